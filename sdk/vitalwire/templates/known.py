"""Codes, systems and units that go wrong in templates, as data: what codes mean, and what is meant instead.

`words` are what a display or name says, in lower case without spaces, if the code is what is meant.
"""

from __future__ import annotations

from dataclasses import dataclass

from vitalwire.fhir.codes import LOINC, MDC, SNOMED, UCUM


@dataclass(frozen=True, slots=True)
class Known:
    """What a code means."""

    system: str
    code: str
    name: str
    words: tuple[str, ...]
    unit: str = ""  # UCUM


# The first whose words are found is what is meant, so special ones stand before general ones; those that share a word
# may stand for each other.
CODES: tuple[Known, ...] = (
    Known(LOINC, "85354-9", "blood pressure panel", ("pressurepanel", "systolicanddiastolic", "systolicdiastolic")),
    Known(LOINC, "8462-4", "diastolic blood pressure", ("diastolic",), "mm[Hg]"),
    Known(LOINC, "8480-6", "systolic blood pressure", ("systolic",), "mm[Hg]"),
    Known(LOINC, "85354-9", "blood pressure", ("bloodpressure",)),
    Known(LOINC, "80404-7", "heart rate variability", ("heartratevariability", "rrinterval", "sdnn"), "ms"),
    Known(LOINC, "40443-4", "resting heart rate", ("restingheart", "heartrateresting"), "/min"),
    Known(LOINC, "8867-4", "heart rate", ("heartrate", "pulserate", "heartbeat", "restingheart"), "/min"),
    Known(LOINC, "59408-5", "oxygen saturation by pulse oximetry", ("oxygensaturation", "spo2", "pulseoxim"), "%"),
    Known(LOINC, "2708-6", "oxygen saturation", ("oxygensaturation", "spo2"), "%"),
    Known(LOINC, "9279-1", "respiratory rate", ("respiratoryrate", "respirationrate", "breathingrate"), "/min"),
    Known(LOINC, "39106-0", "skin temperature", ("skintemp", "temperatureofskin", "temperatureskin"), "Cel"),
    Known(LOINC, "8331-1", "oral temperature", ("oral",), "Cel"),
    Known(LOINC, "8310-5", "body temperature", ("bodytemp",), "Cel"),
    Known(LOINC, "39156-5", "body mass index", ("bodymassindex", "bmi"), "kg/m2"),
    Known(LOINC, "29463-7", "body weight", ("bodyweight", "bodymass", "weight")),
    Known(LOINC, "3141-9", "body weight measured", ("bodyweight", "weight")),
    Known(LOINC, "8302-2", "body height", ("bodyheight", "height")),
    Known(LOINC, "55423-8", "number of steps", ("step",)),
    Known(LOINC, "41653-7", "blood glucose", ("glucose",), "mg/dL"),
    Known(MDC, "150022", "diastolic blood pressure, non-invasive", ("diastolic",), "mm[Hg]"),
    Known(MDC, "150021", "systolic blood pressure, non-invasive", ("systolic",), "mm[Hg]"),
    Known(MDC, "150020", "blood pressure, non-invasive", ("bloodpressure",)),
    Known(MDC, "147842", "heart rate from ECG", ("heartrate", "heartbeat"), "/min"),
    Known(MDC, "149530", "pulse rate by oximeter", ("pulserate",), "/min"),
    Known(MDC, "150456", "oxygen saturation", ("oxygensaturation", "spo2", "pulseoxim"), "%"),
    Known(MDC, "151562", "respiratory rate", ("respiratoryrate", "respirationrate", "breathingrate"), "/min"),
    Known(MDC, "150388", "skin temperature", ("skintemp", "temperatureofskin", "temperatureskin"), "Cel"),
    Known(MDC, "188424", "oral temperature", ("oral",), "Cel"),
    Known(MDC, "150364", "body temperature", ("bodytemp",), "Cel"),
    Known(MDC, "131330", "ECG lead II", ("leadii",), "mV"),
    Known(MDC, "131329", "ECG lead I", ("leadi",), "mV"),
    Known(MDC, "150452", "pleth", ("pleth", "ppg")),
    Known(MDC, "67996", "battery charge", ("battery",), "%"),
)

# What is found in a URI that means a system, and the one URI that names it.
SYSTEMS: tuple[tuple[str, str], ...] = (
    ("loinc", LOINC), ("unitsofmeasure", UCUM), ("ucum", UCUM), ("snomed", SNOMED), ("11073", MDC),
)  # fmt: skip

# What people write for a unit, and what UCUM calls it.
UNITS: dict[str, str] = {
    "count/min": "/min", "beats/min": "/min", "beats/minute": "/min", "bpm": "/min", "breaths/min": "/min",
    "breaths/minute": "/min", "1/min": "/min", "mmhg": "mm[Hg]", "degc": "Cel", "°c": "Cel", "c": "Cel",
    "celsius": "Cel", "degf": "[degF]", "°f": "[degF]", "fahrenheit": "[degF]", "percent": "%", "pct": "%",
    "lb": "[lb_av]", "lbs": "[lb_av]", "inch": "[in_i]", "inches": "[in_i]", "sec": "s", "seconds": "s",
    "minutes": "min", "kilogram": "kg", "m/s^2": "m/s2",
}  # fmt: skip
