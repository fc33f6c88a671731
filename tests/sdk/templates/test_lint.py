"""What is wrong with templates is found before an event meets them."""

from __future__ import annotations

import pytest
from tests.sdk.templates.events import DEVICE, FHIR, MDC, code, fhir_template

from vitalwire.templates import Level, lint, read_template
from vitalwire.templates.known import CODES
from vitalwire.templates.lint import _is_loinc, check_code
from vitalwire.templates.mapping import Code

pytest.importorskip("jsonpath", reason="needs python-jsonpath (vitalwire[fhir])")
pytest.importorskip("jmespath", reason="needs jmespath (vitalwire[fhir])")
WRONG = {
    "188424 as skin": (code("188424", "Skin temperature", MDC), "188424 is oral temperature", "150388"),
    "188424 by its type": (code("188424", "", MDC) | {"typeName": "skinTemp"}, "oral temperature", "150388"),
    "heart rate as diastolic": (code("8867-4", "Diastolic blood pressure"), "8867-4 is heart rate", "8462-4"),
    "check digit": (code("8867-5", "Heart rate"), "check digit", ""),
    "https": (code("8867-4", "Heart rate", "https://loinc.org"), "no system", "http://loinc.org"),
    "slash": (code("8867-4", "Heart rate", "http://loinc.org/"), "no system", "http://loinc.org"),
    "snomed": (code("364075005", "Heart rate", "http://snomed.info"), "no system", "http://snomed.info/sct"),
    "no system": (code("8867-4", "Heart rate", ""), "has no system", ""),
    "unit": (
        {"value": fhir_template()["template"][0]["template"]["value"] | {"code": "bpm"}}, "no UCUM code", "/min",
    ),
    "unit system": (
        {"value": fhir_template()["template"][0]["template"]["value"] | {"system": "https://unitsofmeasure.org"}},
        "no system", "http://unitsofmeasure.org",
    ),
    "period": ({"periodInterval": 30}, "periodInterval", "1440"),
    "value type": ({"value": {"valueType": "Ratio", "valueName": "x"}}, "valueType", "Quantity"),
    "sampled data without period": ({"value": {"valueType": "SampledData", "valueName": "x"}}, "defaultPeriod", ""),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_lint_finds(what: str) -> None:
    """Each wrong code, system, unit and form is an error that says what is right."""
    more, said, right = WRONG[what]
    (remark,) = (each for each in lint({"f": fhir_template(**more)}) if each.level is Level.ERROR)
    assert said in remark.text
    assert right in remark.text


def test_lint_has_nothing_to_say_of_good_templates() -> None:
    """The published shapes have no errors, and neither has a template of every known code by its own name."""
    found = lint({"device": read_template(DEVICE), "fhir": read_template(FHIR)})
    assert [each for each in found if each.level is Level.ERROR] == []
    for known in CODES:
        assert lint({"f": fhir_template(**code(known.code, known.name, known.system), typeName="t", value=None)}) == []


ALIKE = {
    frozenset(("40443-4", "8867-4")),
    frozenset(("59408-5", "2708-6")),
    frozenset(("29463-7", "3141-9")),
}


def test_lint_tells_all_known_codes_apart() -> None:
    """Each code under the name of each other of its system is an error, but for those that may stand for each other."""
    for own in CODES:
        for other in CODES:
            if own.system == other.system:
                found = [
                    each for each in check_code(Code(own.code, own.system, other.name), "t") if each[0] is Level.ERROR
                ]
                alike = own.code == other.code or frozenset((own.code, other.code)) in ALIKE
                assert bool(found) != alike, (own, other, found)


def test_lint_knows_the_published_mistake() -> None:
    """The documentation's own blood pressure template has 8867-4 for diastolic pressure, and lint says so."""
    components = [
        {"codes": [{"code": "8867-4", "display": "Diastolic blood pressure", "system": "http://loinc.org"}],
         "value": {"unit": "mmHg", "valueName": "diastolic", "valueType": "quantity"}},
    ]  # fmt: skip
    more = code("85354-9", "Blood pressure panel with all children optional") | {"components": components}
    found = lint({"f": fhir_template(**more, typeName="bloodpressure", value=None)})
    assert [each.where for each in found if each.level is Level.ERROR] == ["template 1, component 1"]


def test_lint_ties_the_two_files() -> None:
    """Types and values that one file names and the other does not know are errors or warnings, by name."""
    device, fhir = read_template(DEVICE), read_template(FHIR)
    device["template"][0]["template"]["typeName"] = "puls"
    device["template"][1]["template"]["values"][0]["valueName"] = "count"
    del device["template"][5]["template"]["correlationIdExpression"]
    texts = [each.text for each in lint({"d": device, "f": fhir}) if each.level is Level.ERROR]
    assert any("'puls'" in text and "go nowhere" in text for text in texts)
    assert any("'steps'" in text and "extracts" in text for text in texts)
    assert any("correlationIdExpression" in text for text in texts)
    assert len(texts) == 3


def test_lint_names_each_template_that_is_wrong() -> None:
    """One broken template does not hide the next: each is named with its place."""
    device = read_template(DEVICE)
    device["template"][0]["template"]["typeMatchExpression"] = "$.["
    device["template"][2]["templateType"] = "XmlContent"
    del device["template"][3]["template"]["values"][0]["valueName"]
    found = lint({"d": device})
    assert [each.where for each in found] == ["template 1", "template 3", "template 4"]


def test_loinc_check_digits() -> None:
    """Every LOINC code in our table has its check digit; one with another is none."""
    for known in CODES:
        if known.system == "http://loinc.org":
            assert _is_loinc(known.code)
            assert not _is_loinc(known.code[:-1] + str((int(known.code[-1]) + 1) % 10))
