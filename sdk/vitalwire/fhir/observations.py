"""The Observations of one window: waveforms as SampledData, readings as vital signs. Makes values only, no proofs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from vitalwire.messages import Channel, Descriptor
from vitalwire.readings import Reading, Samples, derive
from vitalwire_protocol.spec import CALIBRATED, SIGNALS, Mark

from . import codes
from .clockfit import Fit, instant
from .ids import device_id, observation_id
from .jsontext import Resource, decimal
from .sampled import MAX_TOKENS, VALID, sampled_data
from .windows import Track, Window, points, streams, track

WAVE, PHD, READINGS = "wave", "phd", "readings"
WITHDRAWN = "entered-in-error"
SLOWEST_WAVE = 4  # Hz; slower channels are readings only
SCALARS = ("temperature_skin", "temperature_body")  # channels of which single readings make a reading, too
SHORTEST_RUN = 2  # samples: what is shorter is no waveform


@dataclass(frozen=True, slots=True)
class Made:
    """One Observation of a channel or reading, and the places of the window's sources that it came from."""

    name: str
    resource: Resource
    frames: frozenset[int]


_Form: TypeAlias = Callable[[Window, Fit, str], Iterator[Made]]


def observations(window: Window, fit: Fit, subject: str) -> list[Made]:
    """Return the Observations of a window about `subject`, a Patient reference.

    Raises InputError where the device claims what no Observation can hold.
    """
    return list(FORMS[window.key.form](window, fit, subject))


# ---------------------------------------------------------------- waveforms


def _waves(window: Window, fit: Fit, subject: str) -> Iterator[Made]:
    for channel in _sampled_fast(window):
        found = track(window, channel)
        if found is None:
            continue
        for run, (low, high) in enumerate(_cut([(0, len(found.counts))])):
            if (found.marks[low:high] == VALID).any():
                yield _wave(window, found, fit, subject, (codes.CATEGORY, "procedure"), low, high, run)


def _phd(window: Window, fit: Fit, subject: str) -> Iterator[Made]:
    """HL7's Personal Health Device guide knows no U, L and E: each run of valid samples is an Observation.

    Its profile wants an MDC code, so what has none does not claim it.
    """
    for channel in _sampled_fast(window):
        found = track(window, channel)
        if found is None:
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[1], found.marks != VALID, [1]])))
        runs = [(low, high) for low, high in pairwise(edges.tolist()) if found.marks[low] == VALID]
        for number, (low, high) in enumerate(_cut(run for run in runs if run[1] - run[0] >= SHORTEST_RUN)):
            category = codes.PHD_CATEGORY, "phd-observation"
            made = _wave(window, found, fit, subject, category, low, high, number)
            if made.resource["code"]["coding"][0]["system"] == codes.MDC:
                made.resource["meta"] = {"profile": [codes.PHD_WAVEFORM]}
            yield made


def _cut(runs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield runs of samples, those longer than an Observation holds in pieces."""
    for low, high in runs:
        for start in range(low, high, MAX_TOKENS):
            yield start, min(start + MAX_TOKENS, high)


def _sampled_fast(window: Window) -> list[Channel]:
    return [channel for channel in streams(window.descriptor) if channel.rate and channel.rate >= SLOWEST_WAVE]


def _wave(
    window: Window, found: Track, fit: Fit, subject: str, category: tuple[str, str], low: int, high: int, run: int
) -> Made:
    channel = found.channel
    size = len(found.counts)
    ends = (found.last - round((size - 1 - low) * found.period), found.last - round((size - high) * found.period))
    made = _observation(window, channel.name, subject, category, run)
    made["code"] = _code(channel.name, channel.mdc)
    made["effectivePeriod"] = {"start": instant(fit.at(ends[0])), "end": instant(fit.at(ends[1]))}
    made["valueSampledData"] = sampled_data(
        channel, found.counts[low:high], found.marks[low:high], found.period_ms, plain=window.key.form == PHD
    )
    return Made(channel.name, made, frozenset(found.frames))


# ---------------------------------------------------------------- readings


def _readings(window: Window, fit: Fit, subject: str) -> Iterator[Made]:
    tracks = {channel.name: found for channel in streams(window.descriptor) if (found := _meant(window, channel))}
    tracks = _alike(tracks)
    for channel in window.descriptor.channels:
        # Only a temperature needs no grid.
        if channel.name in SCALARS and channel.rate is None and channel.unit == SIGNALS[channel.name].unit:
            single = points(window, channel)
            tracks |= {channel.name: single} if single else {}
    samples = {name: _samples(found) for name, found in tracks.items()}
    for reading in derive(samples, _curves(window.descriptor)):
        used = [tracks[name] for name in reading.channels]
        made = _observation(window, reading.name, subject, _category(reading), 0)
        made["code"] = _code(reading.name)
        # The end of what it was made of: HL7's profiles of vital signs hold a dateTime to a rule that a Period fails.
        made["effectiveDateTime"] = instant(fit.at(max(each.last for each in used)))
        made |= _value(reading)
        yield Made(reading.name, made, frozenset().union(*(each.frames for each in used)))


def _curves(descriptor: Descriptor) -> dict[str, list[float]]:
    names = {SIGNALS[name].mdc: name for name in CALIBRATED}
    known = (each for each in descriptor.calibrations if each.mdc in names)
    return {names[each.mdc]: [float(decimal(number)) for number in each.coefficients] for each in known}


def _meant(window: Window, channel: Channel) -> Track | None:
    """Return the samples of a channel that is what its name says, in the unit that name has."""
    if channel.name not in SIGNALS or channel.unit != SIGNALS[channel.name].unit:
        return None
    return track(window, channel)


def _alike(tracks: dict[str, Track]) -> dict[str, Track]:
    """Return the tracks whose streams have as many samples of each channel, as all honest ones have."""
    sizes: dict[int | None, set[int]] = {}
    for found in tracks.values():
        sizes.setdefault(found.channel.stream, set()).add(len(found.counts))
    return {name: found for name, found in tracks.items() if len(sizes[found.channel.stream]) == 1}


def _samples(found: Track) -> Samples:
    scale, offset = float(decimal(found.channel.scale)), float(decimal(found.channel.offset))
    counted = {mark: int(np.count_nonzero(found.marks == mark)) for mark in (Mark.LEAD_OFF, Mark.SATURATED)}
    return Samples(
        np.asarray(found.counts * scale + offset, np.float64),
        found.marks == VALID,
        found.rate,
        counted[Mark.LEAD_OFF],
        counted[Mark.SATURATED],
    )


def _category(reading: Reading) -> tuple[str, str]:
    return codes.CATEGORY, "vital-signs" if codes.meaning(reading.name).is_vital else "activity"


def _value(reading: Reading) -> Resource:
    meaning = codes.meaning(reading.name)
    made: Resource = {
        "method": {"coding": [{"system": codes.ALGORITHM, "version": str(reading.version), "code": reading.algorithm}]},
        "extension": [{"url": codes.QUALITY, "valueDecimal": reading.quality}],
    }
    if reading.value is None:
        assert reading.reason is not None
        reason = reading.reason.value
        code = codes.ABSENT_REASONS.get(reason, codes.ABSENT_OTHERWISE)
        codings = [{"system": codes.ABSENT, "code": code}, {"system": codes.ABSENT_CODE, "code": reason}]
        made["dataAbsentReason"] = {"coding": codings}
    else:
        unit = {"unit": meaning.unit, "system": codes.UCUM, "code": reading.unit}
        made["valueQuantity"] = {"value": reading.value, **unit}
        if not reading.calibrated:
            made["extension"].append({"url": codes.CALIBRATED, "valueBoolean": False})
            made["note"] = [{"text": "Not calibrated: comparable with itself only."}]
    if meaning.profile:
        made["meta"] = {"profile": [codes.PROFILE + meaning.profile]}
    return made


# ---------------------------------------------------------------- what all share


def withdrawn(resource: Resource) -> Resource:
    """Return what takes back an Observation whose run of samples has become part of another."""
    said = ("value", "effective", "meta")
    return {key: each for key, each in resource.items() if not key.startswith(said)} | {"status": WITHDRAWN}


def _observation(window: Window, name: str, subject: str, category: tuple[str, str], run: int) -> Resource:
    system, code = category
    return {
        "resourceType": "Observation",
        "id": observation_id(window.key, name, run),
        "identifier": [{"system": codes.WINDOW_ID, "value": f"{window.key.text}.{codes.word(name)}.{run}"}],
        "status": "amended" if window.amended else "final",
        "category": [{"coding": [{"system": system, "code": code}]}],
        "subject": {"reference": subject},
        "device": {"reference": f"Device/{device_id(window.key.device)}"},
    }


def _code(name: str, mdc: int | None = None) -> Resource:
    return {"coding": codes.codings(name, mdc), "text": codes.meaning(name).display}


FORMS: dict[str, _Form] = {WAVE: _waves, PHD: _phd, READINGS: _readings}
