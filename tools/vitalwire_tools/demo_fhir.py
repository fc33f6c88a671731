"""The end of the demo: its minute as FHIR, a heart rate and an ECG shown, all of it proven back to signed frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from rich.console import Console
from rich.table import Table

from vitalwire.charts import chart, judge
from vitalwire.fhir import Gateway, read, write
from vitalwire.offline import Reader
from vitalwire.registry import Registry

BUNDLE = Path("demo.json")
PATIENT = "Patient/demo"


def show(capture: Path, registry: Registry, key: EllipticCurvePrivateKey, console: Console, within: float) -> bool:
    """Write BUNDLE, signed with `key`, and show it; return whether all of it is proven.

    Arrivals tell the time, `within` seconds.
    """
    BUNDLE.unlink(missing_ok=True)
    resources = chart(Reader(capture, registry), Gateway(key), lambda *_: PATIENT, within=within)
    write(BUNDLE, resources)
    written = list(read(BUNDLE))
    found = judge(Reader(capture, registry), written, key.public_key(), within=within)
    observations = [each for each in written if each["resourceType"] == "Observation"]
    table = Table("", "", title="the same minute as FHIR", show_header=False)
    heart = next((each for each in observations if each["code"]["text"] == "Heart rate"), None)
    if heart is not None:
        table.add_row("heart rate", _reading(heart))
    ecg = next((each for each in observations if each["code"]["text"] == "ECG lead I"), None)
    if ecg is not None:
        data = ecg["valueSampledData"]
        first = " ".join(data["data"].split(" ")[:8])
        table.add_row("ECG", f"{data['data'].count(' ') + 1} counts of {data['factor']} mV: {first} ...")
        frames = next(len(each["entity"]) for each in written if _names(each, ecg))
        table.add_row("it came from", f"{frames} signed frames, by their SHA-256 in a signed Provenance")
    table.add_row("proven", f"{found.proven} of {len(observations)} Observations, made anew from the signed frames")
    for finding in found.findings[:5]:
        table.add_row(f"[red]{finding.wrong}[/red]", f"{finding.reference}: {finding.detail}")
    console.print(table)
    return found.ok and found.proven == len(observations) > 0


def _reading(observation: dict[str, Any]) -> str:
    if "valueQuantity" in observation:
        return f"{observation['valueQuantity']['value']} /min, {observation['id']}"
    return f"absent: {observation['dataAbsentReason']['coding'][-1]['code']}"


def _names(resource: dict[str, Any], observation: dict[str, Any]) -> bool:
    return any(each["reference"] == f"Observation/{observation['id']}" for each in resource.get("target", ()))
