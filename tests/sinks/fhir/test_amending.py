"""What came late amends or takes back what was written, and what is altered at the server is named."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.fhirjudges import judged
from tests.fhirserver import proxied
from tests.sinks.entries import drive
from tests.sinks.fhir.ward import Ward, same
from tests.walk import RATES

from vitalwire.capture import Writer
from vitalwire.cli import main
from vitalwire.fhir import Plan, Wrong, dumps, loads

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")
pytestmark = pytest.mark.asyncio


async def test_a_late_frame_amends(server: str, ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that comes after its window was closed for good makes it `amended`, over the version that was read.

    The Bundles that did so are accepted by those who judge FHIR.
    """
    monkeypatch.setattr("vitalwire.sinks.fhir.sink.LOOK", 60)  # or else the device counts as silent
    ward.assign()
    late = ward.entries.pop(8)
    async with proxied(server) as proxy:
        sink = ward.sink(proxy.url, wait=0.01)
        await sink.open()
        for start in range(0, len(ward.entries), 6):
            await sink.deliver(ward.entries[start : start + 6])
            await asyncio.sleep(0.02)
        before = await ward.there(server)
        assert {each["status"] for each in before.values()} == {"final"}
        assert not await sink.deliver([late])
        await sink.close()
        over = [each for each in proxy.asked if each.version]
    after = await ward.there(server)
    assert set(after) >= set(before)
    amended = [each for each in after.values() if each["status"] == "amended"]
    assert len(amended) >= len(RATES)
    assert len(over) >= len(amended)
    bundles = [loads(text) | {"id": f"b{place}"} for place, text in enumerate(proxy.bundles)]
    assert any("ifMatch" in text for text in proxy.bundles)
    assert judged(bundles, ward.folder, dumps) == {}
    whole = sorted([*ward.entries, late], key=lambda entry: entry.seq)
    expected = {key: each | {"status": after[key]["status"]} for key, each in ward.expected(whole).items()}
    assert same({key: after[key] for key in expected}, expected)


async def test_runs_of_the_phd_guide_are_taken_back(server: str, ward: Ward) -> None:
    """With `phd` each run of samples is an Observation; one that a late frame joins to another is entered in error.

    The sink that writes so need not be the one that wrote before.
    """
    ward.assign()
    late = ward.entries.pop(8)
    await drive(ward.sink(server, phd=True, wait=0.01), ward.entries)
    before = await ward.there(server)
    assert not any("E" in each["valueSampledData"]["data"] for each in before.values() if "valueSampledData" in each)
    whole = sorted([*ward.entries, late], key=lambda entry: entry.seq)
    sink = ward.sink(server, "another.db", phd=True)
    await drive(sink, whole)
    after = await ward.there(server)
    gone = {key: each for key, each in after.items() if each["status"] == "entered-in-error"}
    assert len(gone) == len(RATES)
    assert not any(key.startswith("value") for each in gone.values() for key in each)
    there = {key: each | {"status": "final"} for key, each in after.items() if key not in gone}
    assert same({key: there[key] for key in ward.expected(whole, Plan(phd=True))}, ward.expected(whole, Plan(phd=True)))


async def pages(base: str, folder: Path) -> Path:
    """Write into a folder what a server gives back, a page a type."""
    folder.mkdir()
    async with aiohttp.ClientSession() as session:
        for kind in ("Device", "Observation", "Provenance"):
            async with session.get(f"{base}/{kind}?_count=1000") as answer:
                (folder / f"{kind}.json").write_text(await answer.text())
    return folder


def move_clock(proof: dict[str, Any]) -> None:
    """Have a window a month later."""
    clock = proof["extension"][1]["extension"]
    clock[1]["valueInstant"] = "2026-02-01T00:00:00Z"


EDITS: dict[str, tuple[str, Callable[[dict[str, Any]], None] | None, Wrong]] = {
    "a value": ("Observation", lambda each: each["valueQuantity"].update(value=200), Wrong.ALTERED),
    "a patient": ("Observation", lambda each: each["subject"].update(reference="Patient/q"), Wrong.ALTERED),
    "nothing, but it is gone": ("Observation", None, Wrong.MISSING),
    "a proof": ("Provenance", lambda each: each.update(recorded="2026-02-01T00:00:00Z"), Wrong.SIGNATURE),
    "a proof's clock": ("Provenance", move_clock, Wrong.TIME),
    "a proof that is gone": ("Provenance", None, Wrong.UNPROVEN),
}


async def test_what_is_altered_at_the_server_is_named(
    server: str, ward: Ward, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a server gives back is proven by the signed frames; what somebody altered there is named, nothing else."""
    ward.assign()
    late = ward.entries.pop(8)
    await drive(ward.sink(server), [*ward.entries[:20], late, *ward.entries[20:]], size=4)
    with Writer(ward.folder / "walk.vwc") as writer:
        for entry in [*ward.entries, late]:
            writer.write(entry.raw, entry.arrived_us)
    options = [str(ward.folder / "walk.vwc"), "--key", str(ward.folder / "key.pem"), "--within", "1", "--json"]
    options += ["--fingerprint", ward.device.thumbprint.hex()]

    async def verified(name: str) -> tuple[int, dict[str, Any]]:
        folder = await pages(server, ward.folder / name)
        code = main(["fhir", "verify", str(folder), *options])
        return code, json.loads(capsys.readouterr().out)

    async def put(resource: dict[str, Any]) -> None:
        url = f"{server}/{resource['resourceType']}/{resource['id']}"
        async with session.put(url, data=json.dumps(resource)) as answer:
            assert answer.status == 200

    code, said = await verified("before")
    assert (said["findings"], said["proven"]) == ([], len(await ward.there(server)))
    assert code == 1  # the last windows of the capture are not full, so not there
    async with aiohttp.ClientSession(headers={"Content-Type": "application/fhir+json"}) as session:
        for what, (kind, edit, wrong) in EDITS.items():
            found = json.loads((ward.folder / "before" / f"{kind}.json").read_text())
            resources = [each["resource"] for each in found["entry"]]
            original = next(each for each in resources if kind == "Provenance" or "valueQuantity" in each)
            reference = f"{kind}/{original['id']}"
            if edit is None:
                async with session.delete(f"{server}/{reference}") as answer:
                    assert answer.status == 200
            else:
                victim = copy.deepcopy(original)
                edit(victim)
                await put(victim)
            code, said = await verified(what)
            assert code == 4
            assert wrong in {each["wrong"] for each in said["findings"]}
            named = {each["resource"] for each in said["findings"]}
            if edit is move_clock:
                assert reference in named  # and what follows from it: all times of its window
            else:
                gone = {each["reference"] for each in original.get("target", ())}
                assert named == (gone if wrong is Wrong.UNPROVEN else {reference})
            await put(original)
