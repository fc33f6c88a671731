"""One device's windows at the sink: which wait, which are closed, held or refused, and which frames they need.

No I/O: digests stand for frames that lie in the store. A window that is held keeps no samples in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from vitalwire.fhir import Plan, Source, WindowKey
from vitalwire.fhir.clockfit import Fit, fit_of
from vitalwire.fhir.gather import Gatherer
from vitalwire.fhir.mapping import gatherer_for
from vitalwire.fhir.windows import Window

from .writer import Job, Outcome, State

NO_TIME = "nothing is known of the time of this window, and its boot is over"
MAX_BOOTS = 64  # of which it is remembered how the clock ran
MAX_LATE = 64  # windows of late frames that wait for more; the oldest is written when there are more


@dataclass(frozen=True, slots=True)
class Held:
    """A window that nothing can be made of yet: nobody wore the device, or without a fit nothing is known of UTC."""

    frames: frozenset[bytes]
    fit: Fit | None


@dataclass(slots=True)
class _Late:
    """Frames for a window that the gatherer has forgotten, and when the last of them came."""

    sources: dict[int, Source] = field(default_factory=dict)  # by number
    heard: float = 0.0

    @property
    def frames(self) -> set[bytes]:
        return {source.frame.digest for source in self.sources.values()}


class Windows:
    """The windows of one device; `wait` is for how many seconds of `now` they wait for what is missing."""

    def __init__(self, plan: Plan, wait: float) -> None:
        self._wait = wait
        self._gatherers = [_gatherer(form, length, wait) for form, length in plan.forms]
        self._late: dict[WindowKey, _Late] = {}
        self._closed: dict[WindowKey, Window] = {}
        self._refused: dict[WindowKey, frozenset[bytes]] = {}  # while the gatherers keep them
        self._fits: dict[int, Fit] = {}  # the surest of each boot
        self._boot = 0
        self._heard = 0.0
        self._is_quiet = True
        self.held: dict[WindowKey, Held] = {}

    def add(self, source: Source, now: float) -> None:
        """Take a frame; one that was taken before changes nothing, but for windows that are gone or were refused."""
        self._heard, self._is_quiet = now, False
        boot, frame = source.frame.boot, source.frame
        self._boot = max(self._boot, boot)
        if (fit := fit_of([source])) is not None and fit.is_surer(self._fits.get(boot)):
            self._fits[boot] = fit
            self._fits = {boot: fit for boot, fit in self._fits.items() if boot > self._boot - MAX_BOOTS}
        for gatherer in self._gatherers:
            for each in gatherer.add(source, now):
                if isinstance(each, Window):
                    self._closed[each.key] = each
                elif (held := self.held.get(each.key)) is not None:
                    self.held[each.key] = Held(held.frames | {frame.digest}, held.fit)
                else:
                    late = self._late.setdefault(each.key, _Late())
                    late.sources[frame.seq], late.heard = source, now

    def refused(self, frame: bytes) -> list[tuple[WindowKey, frozenset[bytes]]]:
        """Return the windows that were refused with a frame, to be tried again."""
        found = [(key, frames) for key, frames in self._refused.items() if frame in frames]
        self._refused = {key: frames for key, frames in self._refused.items() if frame not in frames}
        return found

    def close(self, window: Window) -> None:
        """Have a window written that was held or refused."""
        self._closed[window.key] = window

    def due(self, now: float) -> None:
        """Close the windows whose time is up: all, if nothing at all is heard of the device."""
        quiet = now - self._heard >= self._wait
        for gatherer in self._gatherers:
            for window in gatherer.due(now):
                self._closed[window.key] = window
            if quiet and not self._is_quiet:
                for window in gatherer.flush():
                    self._closed[window.key] = window
        self._is_quiet |= quiet
        surplus = len(self._late) - MAX_LATE
        for place, (key, late) in enumerate(list(self._late.items())):
            if place < surplus or now - late.heard >= self._wait:
                sources = tuple(late.sources[seq] for seq in sorted(late.sources))
                self._closed[key] = Window(key, sources[0].descriptor, sources)
                del self._late[key]

    def jobs(self) -> Iterator[Job]:
        """Yield what is to be written."""
        return (Job(window, self.fit(key)) for key, window in self._closed.items())

    def fit(self, key: WindowKey) -> Fit | None:
        """Return what is known of a window's time by other frames of its boot."""
        known = self._fits.get(key.boot)
        return None if known is None else known.around(key.start)

    def is_over(self, key: WindowKey) -> bool:
        """Return whether the device has rebooted since, so that nothing more will be learnt of a window's time."""
        return self._boot > key.boot

    def settle(self, job: Job, outcome: Outcome) -> Outcome:
        """Take note of what became of a window, and return it: refused, if its time will never be known."""
        key, frames = job.window.key, frozenset(source.frame.digest for source in job.window.sources)
        if outcome.state is State.NO_TIME and self.is_over(key):
            outcome = Outcome(State.REFUSED, NO_TIME)
        if self._closed.get(key) is job.window:
            del self._closed[key]
        self.held.pop(key, None)
        self._refused.pop(key, None)
        if outcome.state is State.REFUSED:
            self._refused[key] = frames
        elif outcome.state is not State.WRITTEN:
            self.held[key] = Held(frames, fit_of(job.window.sources) or job.fit)
        return outcome

    def needed(self) -> set[bytes]:
        """Return the digests of the frames of all windows that wait, are held, or could be amended."""
        kept = {source.frame.digest for gatherer in self._gatherers for source in gatherer.kept()}
        self._refused = {key: frames for key, frames in self._refused.items() if frames <= kept}
        parts: list[Collection[bytes]] = [late.frames for late in self._late.values()]
        parts += [held.frames for held in self.held.values()]
        parts += [_digests(window.sources) for window in self._closed.values()]
        return kept.union(*parts)


def _digests(sources: Sequence[Source]) -> list[bytes]:
    return [source.frame.digest for source in sources]


def _gatherer(form: str, length: int, wait: float) -> Gatherer:
    gatherer = gatherer_for(form, length)
    gatherer.patience = wait
    return gatherer


def window_of(key: WindowKey, sources: Iterable[Source]) -> Window:
    """Return a window made anew from its frames."""
    ordered = tuple(sorted(sources, key=lambda source: source.frame.seq))
    return Window(key, ordered[0].descriptor, ordered)
