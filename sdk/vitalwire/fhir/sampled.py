"""FHIR SampledData from counts and back, exactly: value = origin + data x factor, by the descriptor's own decimals.

`U` and `L` stand for samples that saturated, by which end has the higher value, `E` for samples that were not measured:
lead-off, lost by the sensor, or in a frame that is not there.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

import numpy as np
from numpy.typing import NDArray

from vitalwire.errors import InputError
from vitalwire.messages import Channel
from vitalwire_protocol.spec import Mark

from . import codes
from .jsontext import EXACT, Json, Resource, decimal

MAX_TOKENS = 1 << 16  # of one Observation
MISSING = 255  # stands for a mark where there is no sample at all
VALID = 0
_UPPER, _LOWER, _ERROR = "U", "L", "E"
_INTEGER = re.compile(r"-?[0-9]{1,10}")


def tokens(counts: NDArray[np.int32], marks: NDArray[np.uint8], *, falling: bool = False) -> list[str]:
    """Return the tokens of samples; `marks` holds VALID, MISSING or a `spec.Mark` for each.

    `falling`: higher counts are lower values.
    """
    texts = list(map(str, counts.tolist()))
    for place in np.flatnonzero(marks).tolist():
        is_end = marks[place] == Mark.SATURATED
        texts[place] = _ERROR if not is_end else _UPPER if (counts[place] > 0) != falling else _LOWER
    return texts


def sampled_data(
    channel: Channel, counts: NDArray[np.int32], marks: NDArray[np.uint8], period_ms: Decimal, *, plain: bool = False
) -> Resource:
    """Return the SampledData of one channel; `plain` has no limits, for profiles that know no `U` and `L`.

    Raises InputError for more than MAX_TOKENS samples.
    """
    if len(counts) > MAX_TOKENS:
        raise InputError(f"{len(counts)} samples, more than the {MAX_TOKENS} of one Observation", reason="oversized")
    if period_ms <= 0:
        raise InputError("a period shorter than a nanosecond", reason="range")
    origin, factor = decimal(channel.offset), decimal(channel.scale)
    unit = codes.word(channel.unit)
    made: Resource = {
        "origin": {"value": origin, "unit": unit, "system": codes.UCUM, "code": unit},
        "period": period_ms,
        "factor": factor,
        "dimensions": 1,
        "data": " ".join(tokens(counts, marks, falling=factor < 0)),
    }
    if not plain:
        ends = sorted(EXACT.fma(Decimal(end), factor, origin) for end in _ends(channel.bits, counts, marks))
        made |= {"lowerLimit": ends[0], "upperLimit": ends[1]}
    return made


def _ends(bits: int, counts: NDArray[np.int32], marks: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the counts at which this sensor saturates, if it did and nothing valid is beyond, else the converter's."""
    valid, full = counts[marks == VALID], counts[marks == Mark.SATURATED]
    low, high = full[full <= 0], full[full > 0]
    bottom, top = -(1 << bits - 1), (1 << bits - 1) - 1
    if len(low) and low.max() <= valid.min(initial=top):
        bottom = int(low.max())
    if len(high) and high.min() >= valid.max(initial=bottom):
        top = int(high.min())
    return bottom, top


def counts_of(data: Json) -> tuple[NDArray[np.int32], NDArray[np.str_]]:
    """Return counts and, for each, '' or the token U, L or E that stands instead (its count is 0).

    Raises InputError for what is no SampledData of one dimension with integers in 32 bits.
    """
    try:
        texts = data["data"].split(" ")
        if data["dimensions"] != 1 or len(texts) > MAX_TOKENS:
            raise ValueError
        words = np.array([text if text in {_UPPER, _LOWER, _ERROR} else "" for text in texts])
        counts = np.array([0 if word else _integer(text) for text, word in zip(texts, words, strict=True)], np.int32)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, InvalidOperation):
        raise InputError("not SampledData of integers in one dimension") from None
    return counts, words


def values_of(data: Json) -> list[Decimal | None]:
    """Return the physical values, exact; None where a token stands instead of a number."""
    counts, words = counts_of(data)
    origin, factor = Decimal(data["origin"]["value"]), Decimal(data.get("factor", 1))
    pairs = zip(counts.tolist(), words.tolist(), strict=True)
    return [None if word else EXACT.fma(Decimal(count), factor, origin) for count, word in pairs]


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError
    return int(text)
