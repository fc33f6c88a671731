"""From verified frames to FHIR resources: windows, Observations, their proof; what cannot be said is held, and why.

The one way of the `fhir` sink, `vitalwire fhir export` and `vitalwire fhir verify`: the same frames give the same
resources.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from vitalwire.errors import InputError, UsageError

from .clockfit import Fit, fit_of
from .gather import Gatherer, Late
from .ids import WindowKey
from .jsontext import Resource
from .observations import FORMS, PHD, READINGS, WAVE, Made, observations, withdrawn
from .proof import Gateway, board, provenance
from .windows import SECOND, Source, Window

WAVE_SECONDS, READING_SECONDS = 10, 60
REMEMBERED = 256  # windows of which it is known which Observations they had

# Who wore a device from one moment to another (microseconds since 1970): a Patient reference, or None.
Wearer: TypeAlias = Callable[[bytes, int, int], str | None]


class Hold(StrEnum):
    """Why nothing is made of a window."""

    NO_TIME = "no-time"  # nothing is known of UTC
    NOBODY = "nobody"  # no assignment holds for the whole of it
    CLAIMS = "claims"  # the device claims what no Observation can hold


@dataclass(frozen=True, slots=True)
class Plan:
    """How long windows are, in seconds, and whether waveforms follow the Personal Health Device guide."""

    wave: int = WAVE_SECONDS
    readings: int = READING_SECONDS
    phd: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.wave <= 3600 and 10 <= self.readings <= 3600):
            raise UsageError("windows are 1 to 3600 s of waveform and 10 to 3600 s for readings")

    @property
    def forms(self) -> tuple[tuple[str, int], ...]:
        """The forms and their lengths in ticks."""
        return (PHD if self.phd else WAVE, self.wave * SECOND), (READINGS, self.readings * SECOND)


@dataclass(frozen=True, slots=True)
class Held:
    """A window of which nothing was made, and why."""

    key: WindowKey
    why: Hold


@dataclass(frozen=True, slots=True)
class Entry:
    """What is written of one window: the board's Device, the Observations, their Provenance."""

    window: Window
    fit: Fit
    device: Resource
    observations: tuple[Made, ...]
    provenance: Resource
    withdrawn: tuple[Resource, ...] = ()  # written for this window before, and true no more

    @property
    def resources(self) -> list[Resource]:
        """All of it, in an order in which each reference is to what was written before."""
        return [self.device, *(each.resource for each in self.observations), *self.withdrawn, self.provenance]


class Mapper:
    """Takes verified frames and yields what is to be written; keeps no more than the windows it gathers.

    `patience` is how many seconds of `now` a window waits for frames that are missing.
    """

    def __init__(self, gateway: Gateway, wearer: Wearer, plan: Plan | None = None, patience: float = math.inf) -> None:
        self._gateway = gateway
        self._wearer = wearer
        self._gatherers = [Gatherer(form, length, patience) for form, length in (plan or Plan()).forms]
        self._runs: dict[WindowKey, dict[str, Resource]] = {}  # what would take back each of a window, by id

    def add(self, source: Source, now: float = 0.0) -> Iterator[Entry | Held | Late]:
        """Take a frame; yield what is complete now."""
        for gatherer in self._gatherers:
            for window in gatherer.add(source, now):
                yield from [window] if isinstance(window, Late) else self._made(window)

    def due(self, now: float) -> Iterator[Entry | Held]:
        """Yield what waited long enough."""
        for gatherer in self._gatherers:
            for window in gatherer.due(now):
                yield from self._made(window)

    def flush(self) -> Iterator[Entry | Held]:
        """Yield all that waits."""
        for gatherer in self._gatherers:
            for window in gatherer.flush():
                yield from self._made(window)

    def _made(self, window: Window) -> Iterator[Entry | Held]:
        try:
            made = make(window, self._gateway, self._wearer)
        except InputError:
            made = Held(window.key, Hold.CLAIMS)
        if isinstance(made, Entry):
            made = self._without_lost_runs(made)
        if made is not None:
            yield made

    def _without_lost_runs(self, entry: Entry) -> Entry:
        """Return an entry that takes back Observations whose samples are another's since a late frame came."""
        key = entry.window.key
        now = {each.resource["id"]: withdrawn(each.resource) for each in entry.observations}
        before = self._runs.pop(key, {})
        self._runs[key] = now
        if len(self._runs) > REMEMBERED:
            del self._runs[next(iter(self._runs))]
        return replace(entry, withdrawn=tuple(each for name, each in before.items() if name not in now))


def make(window: Window, gateway: Gateway, wearer: Wearer, otherwise: Fit | None = None) -> Entry | Held | None:
    """Return what is written of a window, why nothing is, or None where it holds nothing to write.

    `otherwise` is the clock fit where none of its frames has one. Raises InputError where the device claims what no
    Observation can hold.
    """
    fit = fit_of(window.sources) or otherwise
    if fit is None:
        return Held(window.key, Hold.NO_TIME)
    start = fit.at(window.key.start)
    subject = wearer(window.key.device, start, start + window.key.length)
    if subject is None:
        return Held(window.key, Hold.NOBODY)
    made: Sequence[Made] = observations(window, fit, subject)
    if not made:
        return None
    proof = provenance(window, fit, made, gateway)
    return Entry(window, fit, board(window.descriptor), tuple(made), proof)


def gatherer_for(form: str, length: int) -> Gatherer:
    """Return a gatherer for windows as a Provenance names them; raises InputError."""
    if form not in FORMS or not SECOND <= length <= 3600 * SECOND:
        raise InputError(f"no windows of form {form!r} and {length} ticks")
    return Gatherer(form, length)
