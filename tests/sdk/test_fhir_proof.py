"""FHIR resources proven back to signed frames; and each way to alter them, found and named."""

# ruff: noqa: D103

from __future__ import annotations

import base64
import copy
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.walk import BEGAN_US, Walk, walk

from vitalwire import jws
from vitalwire.assignments import Assignments
from vitalwire.capture import Writer
from vitalwire.charts import chart, judge, sources
from vitalwire.cli import main
from vitalwire.errors import InputError
from vitalwire.fhir import Entry, Gateway, Judge, Judgement, Plan, Wrong, dumps, read, write
from vitalwire.fhir import proof as proofs
from vitalwire.fhir.clockfit import fit_of
from vitalwire.fhir.jsontext import Resource
from vitalwire.fhir.mapping import gatherer_for, make
from vitalwire.fhir.windows import Window
from vitalwire.offline import Reader
from vitalwire.registry import Registry
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Mark

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")

KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass
class Charted:
    """A capture and what was made of it."""

    made: Walk
    resources: list[Resource]

    def judged(self, resources: list[Resource], key: ec.EllipticCurvePublicKey | None = None) -> Judgement:
        return judge(Reader(self.made.path, self.made.registry()), resources, key or KEY.public_key())


@pytest.fixture(scope="module")
def charted(tmp_path_factory: pytest.TempPathFactory) -> Charted:
    made = walk(tmp_path_factory.mktemp("proof") / "walk.vwc", 33)
    resources = list(chart(Reader(made.path, made.registry()), Gateway(KEY), lambda *_: "Patient/p"))
    return Charted(made, json_copy(resources))


def json_copy(resources: Iterable[Resource]) -> list[Resource]:
    """Return resources as a server would give them back: through text."""
    from vitalwire.fhir import loads

    return [loads(dumps(each)) for each in resources]


def pick(resources: list[Resource], kind: str, **having: str) -> Resource:
    """Return the second resource of a kind, so that others stand before and behind it."""
    found = [
        each
        for each in resources
        if each["resourceType"] == kind and all(key in each for key in having.get("key", "").split())
    ]
    return found[1]


@pytest.mark.parametrize("phd", [False, True])
@pytest.mark.parametrize("name", ["out.json", "out.ndjson"])
def test_all_is_proven(charted: Charted, tmp_path: Path, phd: bool, name: str) -> None:
    """Everything a capture says, written and read back, is proven by its frames, in both forms and modes."""
    made = charted.made
    plan = Plan(wave=7, readings=30, phd=phd)
    resources = chart(Reader(made.path, made.registry()), Gateway(KEY), lambda *_: "Patient/p", plan)
    count = write(tmp_path / name, resources)
    found = charted.judged(list(read(tmp_path / name)))
    assert found.ok
    assert found.absent == 0
    assert found.proven > count / 2
    with pytest.raises(Exception, match="cannot write"):
        write(tmp_path / name, [])


def test_the_same_frames_give_the_same_bytes(charted: Charted) -> None:
    """Whoever charts the capture again with the gateway's key gets the same text, signatures included."""
    made = charted.made
    again = list(chart(Reader(made.path, made.registry()), Gateway(KEY), lambda *_: "Patient/p"))
    assert [dumps(each) for each in again] == [dumps(each) for each in charted.resources]


def set_value(each: Resource) -> None:
    each["valueQuantity"]["value"] += 1


def set_sample(each: Resource) -> None:
    data = each["valueSampledData"]
    first, rest = data["data"].split(" ", 1)
    data["data"] = f"{int(first) + 1} {rest}"


def set_time(each: Resource) -> None:
    each["effectivePeriod"]["start"] = each["effectivePeriod"]["start"].replace("2025", "2024")


def set_code(each: Resource) -> None:
    each["code"]["coding"][0]["code"] = "150364"


def set_subject(each: Resource) -> None:
    each["subject"]["reference"] = "Patient/somebody-else"


def set_status(each: Resource) -> None:
    each["status"] = "entered-in-error"


def set_factor(each: Resource) -> None:
    each["valueSampledData"]["factor"] *= 2


def set_algorithm(each: Resource) -> None:
    each["method"]["coding"][0]["version"] = "0"


def add_note(each: Resource) -> None:
    each["note"] = [{"text": "the patient was running"}]


OBSERVATIONS: dict[str, tuple[str, Callable[[Resource], None], str]] = {
    "value": ("valueQuantity", set_value, "valueQuantity.value"),
    "sample": ("valueSampledData", set_sample, "valueSampledData.data"),
    "time": ("valueSampledData", set_time, "effectivePeriod.start"),
    "code": ("valueQuantity", set_code, "code.coding[0].code"),
    "patient": ("valueQuantity", set_subject, "subject"),
    "status": ("valueQuantity", set_status, "status"),
    "factor": ("valueSampledData", set_factor, "valueSampledData.factor"),
    "algorithm": ("method", set_algorithm, "method.coding[0].version"),
    "addition": ("valueQuantity", add_note, "note"),
}


@pytest.mark.parametrize("what", OBSERVATIONS)
def test_an_altered_observation_is_named(charted: Charted, what: str) -> None:
    """Whatever is altered in one Observation, exactly that one is named, with the place."""
    key, alter, where = OBSERVATIONS[what]
    resources = copy.deepcopy(charted.resources)
    victim = pick(resources, "Observation", key=key)
    alter(victim)
    found = charted.judged(resources)
    assert [(each.reference, each.wrong) for each in found.findings] == [
        (f"Observation/{victim['id']}", Wrong.ALTERED)
    ], found.findings
    assert where in found.findings[0].detail
    total = sum(each["resourceType"] == "Observation" for each in resources)
    assert found.proven == total - 1


def test_digests_are_not_believed(charted: Charted) -> None:
    """Who alters a patient and the digest beside it is found by the signature; a value is found whoever signs."""
    resources = copy.deepcopy(charted.resources)
    victim = pick(resources, "Observation", key="valueQuantity")
    (holder,) = (each for each in resources if names(each, victim))
    set_subject(victim)
    replace_target(holder, victim)
    findings = charted.judged(resources).findings
    assert [(each.reference, each.wrong) for each in findings] == [(f"Provenance/{holder['id']}", Wrong.SIGNATURE)]
    set_value(victim)
    replace_target(holder, victim)
    sign(holder)
    findings = charted.judged(resources).findings
    assert [(each.reference, each.wrong) for each in findings] == [(f"Observation/{victim['id']}", Wrong.ALTERED)]


def names(resource: Resource, observation: Resource) -> bool:
    targets = resource.get("target", ())
    return any(each["reference"] == f"Observation/{observation['id']}" for each in targets)


def replace_target(holder: Resource, observation: Resource) -> None:
    new = proofs.target(observation)
    holder["target"] = [new if each["reference"] == new["reference"] else each for each in holder["target"]]


def sign(holder: Resource) -> None:
    text = Gateway(KEY).sign(proofs.payload(holder))
    holder["signature"][0]["data"] = base64.b64encode(text.encode()).decode()


def drop_entity(each: Resource) -> None:
    del each["entity"][0]


def swap_entity(each: Resource) -> None:
    each["entity"][0] = proofs.entity(bytes(32))


def spoil_entity(each: Resource) -> None:
    each["entity"][0]["what"]["identifier"]["value"] = "ni:///sha-256;!"


def move_clock(each: Resource) -> None:
    (clock,) = (part for part in each["extension"] if part["url"].endswith(":clock"))
    clock["extension"][1]["valueInstant"] = "2025-10-09T10:00:00Z"


def move_window(each: Resource) -> None:
    (window,) = (part for part in each["extension"] if part["url"].endswith(":of-window"))
    window["extension"][1]["valueDecimal"] += 1


PROVENANCES: dict[str, tuple[Callable[[Resource], None], Wrong]] = {
    "a frame is not named": (drop_entity, Wrong.ALTERED),
    "another frame is named": (swap_entity, Wrong.ALTERED),
    "no frame is named": (spoil_entity, Wrong.ALTERED),
    "another clock": (move_clock, Wrong.TIME),
    "another window": (move_window, Wrong.ALTERED),
}


@pytest.mark.parametrize("what", PROVENANCES)
@pytest.mark.parametrize("signed", [False, True], ids=["altered", "signed anew"])
def test_an_altered_provenance_is_named(charted: Charted, what: str, signed: bool) -> None:
    """Frames, clock or window altered in a Provenance are found, even if the gateway itself signed the lie."""
    alter, wrong = PROVENANCES[what]
    resources = copy.deepcopy(charted.resources)
    victim = pick(resources, "Provenance")
    alter(victim)
    if signed:
        sign(victim)
    findings = charted.judged(resources).findings
    assert (f"Provenance/{victim['id']}", wrong) in {(each.reference, each.wrong) for each in findings}
    if wrong is Wrong.ALTERED and what != "another window":
        assert any(f.wrong == Wrong.SIGNATURE for f in findings) != signed


def test_a_missing_observation_is_named(charted: Charted) -> None:
    """An Observation that was taken out is missed, by name; one smuggled in is unproven; one twice is told."""
    resources = copy.deepcopy(charted.resources)
    victim = pick(resources, "Observation", key="valueQuantity")
    found = charted.judged([each for each in resources if each is not victim])
    assert [(each.reference, each.wrong) for each in found.findings] == [(f"Observation/{victim['id']}", Wrong.MISSING)]
    stranger = copy.deepcopy(victim) | {"id": "stranger"}
    found = charted.judged([*resources, stranger])
    assert [(each.reference, each.wrong) for each in found.findings] == [("Observation/stranger", Wrong.UNPROVEN)]
    found = charted.judged([*resources, victim])
    assert [each.wrong for each in found.findings] == [Wrong.TWICE]


def test_a_whole_window_that_is_missing_is_counted(charted: Charted) -> None:
    """Without a window's Provenance its Observations are unproven; without both, the window is counted as absent."""
    resources = copy.deepcopy(charted.resources)
    holder = pick(resources, "Provenance")
    targets = {each["reference"] for each in holder["target"]}
    rest = [each for each in resources if each is not holder]
    found = charted.judged(rest)
    assert {each.reference for each in found.findings} == targets
    assert {each.wrong for each in found.findings} == {Wrong.UNPROVEN}
    found = charted.judged([each for each in rest if f"Observation/{each['id']}" not in targets])
    assert found.ok
    assert found.absent == 1


def test_another_gateways_signature_is_no_proof(charted: Charted) -> None:
    """Under another key nothing is proven: every Provenance is named."""
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    found = charted.judged(charted.resources, other)
    wanted = {f"Provenance/{each['id']}" for each in charted.resources if each["resourceType"] == "Provenance"}
    assert {each.reference for each in found.findings} == wanted
    assert {each.wrong for each in found.findings} == {Wrong.SIGNATURE}


def test_another_capture_is_no_proof(charted: Charted, tmp_path: Path) -> None:
    """Frames of another device prove none of it."""
    other = Charted(walk(tmp_path / "other.vwc", 8), [])
    found = other.judged(charted.resources)
    assert found.proven == 0
    assert {each.wrong for each in found.findings} == {Wrong.UNPROVEN}


def test_what_servers_add_changes_nothing(charted: Charted) -> None:
    """Version, time of writing and narrative are the server's own, and numbers may be written otherwise."""
    resources = copy.deepcopy(charted.resources)
    for each in resources:
        each["meta"] = {**each.get("meta", {}), "versionId": "3", "lastUpdated": "2026-01-01T00:00:00Z"}
        each["text"] = {"status": "generated", "div": "<div/>"}
    assert charted.judged(resources).ok


def test_a_renamed_device_is_named(charted: Charted) -> None:
    """The Device resource says what the signed descriptor says, or it is found."""
    resources = copy.deepcopy(charted.resources)
    device = next(each for each in resources if each["resourceType"] == "Device" and "version" in each)
    device["version"][0]["value"] = "9.9.9"
    (finding,) = charted.judged(resources).findings
    assert finding.reference == f"Device/{device['id']}"


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b'{"resourceType":"Bundle","entry":1}', b'{"resourceType":"Bundle","entry":[{}]}', b"{" * 100_000,
     b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation","id":1}}]}', b'{"a": NaN}'],
)  # fmt: skip
def test_what_is_no_bundle(tmp_path: Path, text: bytes) -> None:
    """A file that is no Bundle of resources is refused by its name."""
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(InputError, match=r"x\.json"):
        list(read(tmp_path / "x.json"))


# ---------------------------------------------------------------- the command


@pytest.fixture
def files(charted: Charted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make a gateway's key; return the options that name device and key."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    jws.create_key(tmp_path / "gateway.pem")
    return ["--key", "gateway.pem", "--fingerprint", charted.made.fingerprint]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(list(arguments))
    out = capsys.readouterr().out
    return code, json.loads(out) if out.startswith("{") else out


def test_export_and_verify(charted: Charted, files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`fhir export` writes a Bundle that `fhir verify` proves with code 0; altered, it is 4; emptied, it is 1."""
    capture = str(charted.made.path)
    code, said = run(capsys, "fhir", "export", capture, "--patient", "p", "--out", "b.json", "--json", *files)
    assert code == 0
    assert said["observations"] == 54
    code, said = run(capsys, "fhir", "verify", "b.json", capture, "--json", *files)
    assert (code, said["proven"], said["findings"]) == (0, 54, [])
    bundle = json.loads(Path("b.json").read_text())
    assert {each["request"]["method"] for each in bundle["entry"]} == {"PUT"}
    victim = next(each["resource"] for each in bundle["entry"] if "valueQuantity" in each["resource"])
    victim["valueQuantity"]["value"] = 200
    Path("c.json").write_text(json.dumps(bundle))
    code, said = run(capsys, "fhir", "verify", "c.json", capture, "--json", *files)
    assert (code, [each["resource"] for each in said["findings"]]) == (4, [f"Observation/{victim['id']}"])
    bundle["entry"] = []
    Path("d.json").write_text(json.dumps(bundle))
    code, said = run(capsys, "fhir", "verify", "d.json", capture, "--json", *files)
    assert (code, said["proven"]) == (1, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--patient", "a/b", "--out", "x.json"], 2, "no id of a Patient"),
        (["--patient", "p", "--out", "there.json"], 2, "there already"),
        (["--patient", "p", "--out", "x.json", "--wave", "0"], 2, "windows are"),
        (["--patient", "p", "--out", "nowhere/x.json"], 6, "cannot write"),
    ],
)
def test_what_export_refuses(
    charted: Charted, files: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    """A wrong patient, a file that is there, windows of no length and a folder that is not there: one line, a code."""
    Path("there.json").write_text("mine")
    assert main(["fhir", "export", str(charted.made.path), *arguments, *files]) == code
    assert said in capsys.readouterr().err
    assert Path("there.json").read_text() == "mine"


def test_export_by_assignments(charted: Charted, files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Without --patient, windows of assigned times get that patient; the others are held, never guessed."""
    capture = str(charted.made.path)
    code, said = run(capsys, "fhir", "export", capture, "--out", "b.ndjson", "--json", *files)
    assert (code, said["observations"], set(said["held"])) == (0, 0, {"nobody"})
    with Assignments("home/assignments.db", lambda *_, **__: None) as store:
        thumbprint = charted.made.device.thumbprint
        store.assign(thumbprint, "Patient/a", BEGAN_US - 60_000_000, BEGAN_US + 22_000_000)
        store.assign(thumbprint, "Patient/b", BEGAN_US + 22_000_000)
    code, said = run(capsys, "fhir", "export", capture, "--out", "c.ndjson", "--json", *files)
    assert code == 0
    assert said["held"]
    observations = [each for each in read(Path("c.ndjson")) if each["resourceType"] == "Observation"]
    assert {each["subject"]["reference"] for each in observations} == {"Patient/a", "Patient/b"}


def test_windows_that_say_nothing_are_not_missed(tmp_path: Path) -> None:
    """A capture of nothing but lead-off has readings that are absent and no waveforms, and nothing of it is missing."""
    device = FakeDevice()
    device.utc_us = BEGAN_US
    with Writer(tmp_path / "off.vwc") as writer:
        writer.write(device.descriptor())
        for _ in range(16):
            raw = device.data({"ecg_lead_i": [0] * 512}, marks=[(0, Mark.LEAD_OFF, 0, 512)])
            writer.write(raw, device.utc_us)
    with Registry() as registry:
        registry.enrol(device.thumbprint, "off")
        resources = list(chart(Reader(tmp_path / "off.vwc", registry), Gateway(KEY), lambda *_: "Patient/p"))
        found = judge(Reader(tmp_path / "off.vwc", registry), resources, KEY.public_key())
    assert (found.ok, found.absent, found.proven) == (True, 0, 2)


def test_the_clock_of_another_frame_is_proven(charted: Charted) -> None:
    """Windows of which no frame had a time take that of another frame of their boot: proven, or found to be moved."""
    made = charted.made
    timed = list(sources(Reader(made.path, made.registry())))
    known = timed[-1]
    frames = [replace(e, utc_us=None, accuracy_us=None) for e in timed if e.frame.boot == known.frame.boot]
    fit = fit_of([known])
    assert fit is not None
    for moved_us, wrong in ((0, set()), (3_000_000, {Wrong.TIME})):
        resources: list[Resource] = []
        moved = replace(fit, utc_us=fit.utc_us + moved_us)
        for gatherer in (gatherer_for("wave", 10_000_000), gatherer_for("readings", 60_000_000)):
            for window in [each for frame in frames for each in gatherer.add(frame)] + list(gatherer.flush()):
                assert isinstance(window, Window)
                entry = make(window, Gateway(KEY), lambda *_: "Patient/p", moved.around(window.key.start))
                resources += entry.resources if isinstance(entry, Entry) else []
        judge_ = Judge(json_copy({f"{e['resourceType']}/{e['id']}": e for e in resources}.values()), KEY.public_key())
        for frame in [*frames[:-1], known]:
            judge_.add(frame)
        found = judge_.finish()
        assert {each.wrong for each in found.findings} == wrong, found.findings
        assert found.proven > 10


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths to every member and item of a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from places(inner, (*path, key))


JUNK = (None, True, -1, Decimal("1e9999"), "", "x", [], {}, [None], {"a": [1]}, [[]], "9" * 50)


def test_no_junk_breaks_the_judge(tmp_path: Path) -> None:
    """Whatever stands anywhere in a resource, the judge finds something and never fails: 200 seeded replacements."""
    random = Random(7)
    made = walk(tmp_path / "short.vwc", 4)
    registry = made.registry()
    resources = json_copy(list(chart(Reader(made.path, registry), Gateway(KEY), lambda *_: "Patient/p")))
    frames = list(sources(Reader(made.path, registry)))
    for _ in range(200):
        spoiled = copy.deepcopy(resources)
        victim = random.choice(spoiled)
        path = random.choice([each for each in places(victim) if each[0] not in {"resourceType", "id"}])
        inner = victim
        for key in path[:-1]:
            inner = inner[key]
        junk = random.choice(JUNK)
        if inner[path[-1]] == junk:
            continue
        inner[path[-1]] = junk
        judge_ = Judge(spoiled, KEY.public_key())
        for frame in frames:
            judge_.add(frame)
        found = judge_.finish()
        named = {each.reference for each in found.findings}
        assert f"{victim['resourceType']}/{victim['id']}" in named, (path, junk, found.findings)


@pytest.mark.parametrize("module", ["scipy.signal", "sleepecg.heartbeats"])
def test_what_is_not_installed(
    charted: Charted,
    files: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    module: str,
) -> None:
    """Without a library that readings need, export says which extra to install, and leaves no half file."""
    monkeypatch.setitem(sys.modules, module, None)
    capture = str(charted.made.path)
    assert main(["fhir", "export", capture, "--patient", "p", "--out", "b.json", *files]) == 2
    assert "vitalwire[readings]" in capsys.readouterr().err
    assert not Path("b.json").exists()
