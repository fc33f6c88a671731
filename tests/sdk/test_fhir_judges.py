"""Everything we write as FHIR is accepted by those who did not write it; and they would say if it were wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.fhirjudges import judged
from tests.walk import BEGAN_US, walk

from vitalwire.capture import Writer
from vitalwire.charts import chart
from vitalwire.fhir import Gateway, Plan, dumps, loads
from vitalwire.fhir.bundle import entry
from vitalwire.messages import Channel, Decimal10
from vitalwire.offline import Reader
from vitalwire.registry import Registry
from vitalwire.testing import FakeDevice

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")

Resource = dict[str, Any]


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    """Return all kinds of resources: both modes, numbers and absences, Devices, Provenances and a Bundle."""
    made = walk(tmp_path_factory.mktemp("judges") / "walk.vwc", 33)
    gateway = Gateway(ec.generate_private_key(ec.SECP256R1()))
    found: list[Resource] = []
    for plan in (Plan(), Plan(phd=True)):
        found += chart(Reader(made.path, made.registry()), gateway, lambda *_: "Patient/p", plan)
    amended = copy.deepcopy(next(each for each in found if each["resourceType"] == "Observation"))
    found.append(amended | {"id": "amended", "status": "amended"})
    gone = {key: value for key, value in found[3].items() if not key.startswith(("value", "effective"))}
    assert gone["resourceType"] == "Observation"
    found.append(gone | {"id": "withdrawn", "status": "entered-in-error"})
    entries = [entry(each) for each in found]
    found.append({"resourceType": "Bundle", "id": "b", "type": "transaction", "entry": entries})
    return [loads(dumps(each)) for each in found]


def test_all_judges_accept_what_we_write(resources: list[Resource], tmp_path: Path) -> None:
    """`@medplum/core` with HL7's profiles, npm `fhir` and `fhir.resources` find nothing wrong with any resource."""
    kinds = {
        "wave": any("valueSampledData" in each for each in resources),
        "vital sign": any("valueQuantity" in each for each in resources),
        "absence": any("dataAbsentReason" in each for each in resources),
        "PHD": any("PhdRtsa" in str(each.get("meta")) for each in resources),
    }
    assert all(kinds.values()), kinds
    assert {each["resourceType"] for each in resources} == {"Observation", "Provenance", "Device", "Bundle"}
    assert judged(resources, tmp_path, dumps) == {}


def wave(change: Callable[[Resource], object]) -> tuple[str, Callable[[Resource], object]]:
    """Return a fault of a waveform."""
    return "valueSampledData", change


def number(change: Callable[[Resource], object]) -> tuple[str, Callable[[Resource], object]]:
    """Return a fault of a vital sign."""
    return "valueQuantity", change


def phd(change: Callable[[Resource], object]) -> tuple[str, Callable[[Resource], object]]:
    """Return a fault of a waveform after the Personal Health Device guide."""
    return "PhdRtsaObservation", change


FAULTS: dict[str, tuple[str, Callable[[Resource], object]]] = {
    "no-status": wave(lambda each: each.pop("status")),
    "status-word": wave(lambda each: each.update(status="done")),
    "no-code": wave(lambda each: each.pop("code")),
    "no-origin": wave(lambda each: each["valueSampledData"].pop("origin")),
    "no-period": wave(lambda each: each["valueSampledData"].pop("period")),
    "dimensions": wave(lambda each: each["valueSampledData"].update(dimensions=0)),
    "tokens": wave(lambda each: each["valueSampledData"].update(data=[1, 2])),
    "time": wave(lambda each: each["effectivePeriod"].update(start="yesterday")),
    "two-values": number(lambda each: each.update(valueString="72")),
    "value-text": number(lambda each: each["valueQuantity"].update(value="72")),
    "vital-category": number(lambda each: each.pop("category")),
    "vital-subject": number(lambda each: each.pop("subject")),
    "unknown-member": number(lambda each: each.update(heartRate=72)),
    "phd-factor": phd(lambda each: each["valueSampledData"].pop("factor")),
    "phd-unit": phd(lambda each: each["valueSampledData"]["origin"].pop("code")),
    "phd-unit-system": phd(lambda each: each["valueSampledData"]["origin"].update(system="urn:other")),
    "phd-mdc": phd(lambda each: each["code"]["coding"].pop(0)),
    "phd-category": phd(lambda each: each["category"][0]["coding"][0].update(code="procedure")),
    "phd-device": phd(lambda each: each.pop("device")),
    "phd-time": phd(lambda each: each.pop("effectivePeriod")),
}


def test_judges_would_say_if_it_were_wrong(resources: list[Resource], tmp_path: Path) -> None:
    """Of each planted fault at least one judge says so: accepting is worth something."""
    planted = []
    for name, (key, change) in FAULTS.items():
        meant = (each for each in resources if each["resourceType"] == "Observation")
        able = (each for each in meant if key in dumps(each) and (key != "valueQuantity" or "meta" in each))
        resource = copy.deepcopy(next(able))
        change(resource)
        planted.append(resource | {"id": name})
    found = judged(planted, tmp_path, dumps)
    assert {reference.partition("/")[2] for reference in found} == set(FAULTS)


def test_what_a_device_may_call_itself(tmp_path: Path) -> None:
    """Names, units and versions of any text that a descriptor may hold become FHIR that the judges accept."""
    odd = ["", " ", "two  spaces", "line\nbreak", "\u0000", "\u202e", "Zoë <b>", "\ufffd", "x" * 64]
    channels = [
        Channel(
            place, name, None, odd[-place - 1], "", place, Fraction(64), 24, Decimal10(-(2**62), -20), Decimal10(1, 20)
        )
        for place, name in enumerate(odd)
    ]
    device = FakeDevice("\n", channels=channels)
    device.firmware, device.utc_us = "\t", BEGAN_US
    with Writer(tmp_path / "odd.vwc") as writer:
        writer.write(device.descriptor())
        for _ in range(6):
            writer.write(device.data({name: np.arange(128) for name in odd}), BEGAN_US)
    with Registry() as registry:
        registry.enrol(device.thumbprint, "odd")
        gateway = Gateway(ec.generate_private_key(ec.SECP256R1()))
        made = [
            loads(dumps(each))
            for each in chart(Reader(tmp_path / "odd.vwc", registry), gateway, lambda *_: "Patient/p")
        ]
    assert sum(each["resourceType"] == "Observation" for each in made) == 2 * len(odd)
    assert judged(made, tmp_path, dumps) == {}
