"""What signals and readings are called in FHIR: all codes, systems, profiles and displays, as data.

MDC and LOINC codes and UCUM units of signals are the contract's (`spec.SIGNALS`) and stand there alone. MDC goes first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from vitalwire_protocol.spec import SIGNALS

MDC = "urn:iso:std:iso:11073:10101"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"
URI = "urn:ietf:rfc:3986"  # of an identifier that is a URI
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
DATA_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
AGENT_TYPE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
SIGNATURE_TYPE = "urn:iso-astm:E1762-95:2013"
VERIFICATION_SIGNATURE = "1.2.840.10065.1.12.1.5"
PROFILE = "http://hl7.org/fhir/StructureDefinition/"
PHD_WAVEFORM = "http://hl7.org/fhir/uv/phd/StructureDefinition/PhdRtsaObservation"
PHD_CATEGORY = "http://hl7.org/fhir/uv/phd/CodeSystem/PhdObservationCategories"

# Ours, for what nobody else has a code or a place.
OURS = "urn:vitalwire:fhir:"
SIGNAL_CODE = OURS + "signal"
ALGORITHM = OURS + "algorithm"
ABSENT_CODE = OURS + "absent-reason"
WINDOW_ID = OURS + "window"
QUALITY = OURS + "quality"
CALIBRATED = OURS + "calibrated"
CLOCK = OURS + "clock"
WINDOW = OURS + "of-window"
DIGEST = OURS + "sha-256"


_CODE = re.compile(r"\S+( \S+)*")


@dataclass(frozen=True, slots=True)
class Meaning:
    """How one signal or reading is shown: `unit` is for people, `profile` the vital-sign profile it conforms to."""

    display: str
    unit: str = ""
    profile: str = ""
    is_vital: bool = False


MEANINGS: dict[str, Meaning] = {
    "ecg_lead_i": Meaning("ECG lead I"),
    "ecg_lead_ii": Meaning("ECG lead II"),
    "ppg_red": Meaning("Pleth, red light"),
    "ppg_ir": Meaning("Pleth, infrared light"),
    "accel_x": Meaning("Acceleration, x"),
    "accel_y": Meaning("Acceleration, y"),
    "accel_z": Meaning("Acceleration, z"),
    "battery": Meaning("Battery charge"),
    "battery_voltage": Meaning("Battery voltage"),
    "heart_rate": Meaning("Heart rate", "beats/minute", "heartrate", is_vital=True),
    "pulse_rate": Meaning("Pulse rate by oximeter", "beats/minute", "heartrate", is_vital=True),
    "spo2": Meaning("Oxygen saturation by pulse oximetry", "%", "oxygensat", is_vital=True),
    "respiration_rate": Meaning("Respiratory rate", "breaths/minute", "resprate", is_vital=True),
    "temperature_body": Meaning("Body temperature", "Cel", "bodytemp", is_vital=True),
    "temperature_skin": Meaning("Skin temperature", "Cel", is_vital=True),
    "activity": Meaning("Mean acceleration beyond gravity (ENMO)", "m/s2"),
}

# Why there is no reading, in FHIR's words; ours stand beside them.
ABSENT_REASONS = {"too-short": "not-performed"}
ABSENT_OTHERWISE = "error"


def word(text: str) -> str:
    """Return a text that a device chose as a FHIR code: one without odd spaces as it is, others percent-quoted."""
    return text if _CODE.fullmatch(text) and text.isprintable() else quote(text, safe="") or "-"


def line(text: str) -> str:
    """Return a text that a device chose as a FHIR string: printable, one line, not empty."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split()) or "unknown"


def meaning(name: str) -> Meaning:
    """Return how a channel or reading is shown; a channel that nobody knows by its own name."""
    return MEANINGS.get(name) or Meaning(line(name))


def codings(name: str, mdc: int | None = None) -> list[dict[str, str]]:
    """Return the codings of a channel or reading: MDC, LOINC, ours; `mdc` is what the device's descriptor says."""
    signal = SIGNALS.get(name)
    mdc = signal.mdc if mdc is None and signal else mdc
    found: list[dict[str, str]] = []
    if mdc is not None:
        found.append({"system": MDC, "code": str(mdc)})
        if signal and signal.mdc == mdc and signal.mdc_name:
            found[0]["display"] = signal.mdc_name
    found += [{"system": LOINC, "code": code} for code in (signal.loinc if signal else ())]
    return [*found, {"system": SIGNAL_CODE, "code": word(name)}]
