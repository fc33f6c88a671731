"""One stream's bytes in, verified frames and events out, and the bytes to answer. No I/O, no threads, no clock.

Joins line, session and clocks. Times are given: `now` is monotonic seconds, `utc_us` microseconds since
1970. Frames wait here only while their times are not settled: at first, and never longer than `settle` seconds or four
frames, because a device stops sending when too much is not acknowledged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from vitalwire.clock import DeviceClock, Pending
from vitalwire.control import Controller, TimeMeasured
from vitalwire.errors import InputError
from vitalwire.frame import readouts
from vitalwire.messages import Trust
from vitalwire.registry import Registry
from vitalwire.session import Disproved, NeedDescriptor, Outcome, Quarantined, Sealed, Session, Verified

from .frame import VerifiedFrame
from .line import Line, LineEvent

MAX_HELD = 4  # frames: half of what a device sends without an acknowledgement


@dataclass(frozen=True, slots=True)
class Connected:
    """The stream is open, for the first time or again."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stream broke, and why; it is being opened again."""

    why: str


ClientEvent: TypeAlias = Connected | Disconnected | Outcome | LineEvent


@dataclass(slots=True)
class _Held:
    verified: Verified
    pending: Pending
    since: float


class Conversation:
    """What is said on one stream.

    `tell` gets every event as it happens; `keep`, if given, makes quarantined frames durable and returns when they are.
    """

    def __init__(
        self,
        session: Session,
        controller: Controller,
        registry: Registry,
        tell: Callable[[ClientEvent], None],
        *,
        settle: float,
        keep: Callable[[Quarantined], None] | None = None,
    ) -> None:
        self.frames: deque[VerifiedFrame] = deque()  # to be taken by the consumer
        self._session = session
        self._registry = registry
        self._tell = tell
        self._keep = keep
        self._settle = settle
        self._line = Line(controller, self._receive, self._hear)
        self._clocks: dict[bytes, DeviceClock] = {}  # of devices the session believed, so not many
        self._held: deque[_Held] = deque()
        self._timed = True  # whether it is known when bytes arrived

    @property
    def is_acknowledging(self) -> bool:
        """Whether the device has not yet taken all acknowledgements, and may."""
        identity = self._line.controller.identity
        deaf = identity is not None and self._registry.secret(identity.thumbprint) is None
        return len(self._line.acknowledging) > 0 and not deaf

    def clock(self, device: bytes) -> DeviceClock:
        """Return the clocks of a device."""
        return self._clocks.setdefault(device, DeviceClock())

    # ------------------------------------------------------------ in

    def feed(self, data: bytes, now: float, utc_us: int, arrived_us: int | None) -> None:
        """Take bytes of the stream, which had arrived at UTC `arrived_us` if that is known. Raises nothing."""
        self._timed = arrived_us is not None
        self._line.feed(data, now, utc_us if arrived_us is None else arrived_us)

    def _receive(self, raw: bytes, now: float, utc_us: int) -> None:
        self._conclude(self._session.receive(raw, utc_us), now)

    def _hear(self, event: LineEvent) -> None:
        controller = self._line.controller
        if isinstance(event, TimeMeasured) and controller.identity is not None and controller.plausible:
            fix = event.fix
            self.clock(controller.identity.thumbprint).bound(event.boot, fix.ticks, fix.utc_us, fix.error_us)
        self._tell(event)

    def _conclude(self, outcomes: Iterable[Outcome], now: float) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Verified):
                self._hold(outcome, now)
                continue
            if isinstance(outcome, NeedDescriptor):
                self._line.controller.describe()
            elif isinstance(outcome, Quarantined) and self._keep is not None:
                self._keep(outcome)
                self._session.durable([outcome])
            elif isinstance(outcome, Sealed | Disproved):
                self._learn(outcome)
            self._tell(outcome)

    def _learn(self, outcome: Sealed | Disproved) -> None:
        """Give out what still waits here as what it turned out to be; a disproved frame, not at all."""
        first, last = (outcome.seq, outcome.seq) if isinstance(outcome, Disproved) else (outcome.first, outcome.last)

        def is_meant(verified: Verified) -> bool:
            within = verified.device == outcome.device and first <= verified.frame.seq <= last
            return within and verified.trust == Trust.AUTHENTIC

        if isinstance(outcome, Disproved):
            self.frames = deque(frame for frame in self.frames if not is_meant(frame.verified))
            self._held = deque(held for held in self._held if not is_meant(held.verified))
            return
        for held in self._held:
            if is_meant(held.verified):
                held.verified = replace(held.verified, trust=Trust.SEALED)
        for place, frame in enumerate(self.frames):
            if is_meant(frame.verified):
                self.frames[place] = replace(frame, verified=replace(frame.verified, trust=Trust.SEALED))

    # ------------------------------------------------------------ time

    def _hold(self, verified: Verified, now: float) -> None:
        frame, descriptor = verified.frame, verified.descriptor
        try:
            delivered = readouts(frame, descriptor)
        except InputError:
            delivered = ()  # whoever asks for its signals will get the error
        arrived = verified.received_us if self._timed else None
        pending = self.clock(verified.device).observe(frame, descriptor, delivered, arrived)
        self._held.append(_Held(verified, pending, now))
        self._release(now)

    def _release(self, now: float, *, all_of_them: bool = False) -> None:
        while self._held:
            first = self._held[0]
            waited = all_of_them or len(self._held) > MAX_HELD or now - first.since >= self._settle
            if not waited and (self._is_being_measured(first.verified) or not first.pending.settled):
                return
            self._held.popleft()
            verified, frame = first.verified, first.verified.frame
            times = first.pending.times()
            time, uncertainty = self.clock(verified.device).utc(frame.boot, frame.ticks)
            uncertainty = max((found.uncertainty for found in times.values()), default=uncertainty)
            device = self._registry.get(verified.device)
            name = device.name if device else verified.descriptor.device
            self.frames.append(VerifiedFrame(verified, name, time, uncertainty, times))

    def _is_being_measured(self, verified: Verified) -> bool:
        """Whether the device will soon be asked for its time, and nothing better than arrivals is known yet."""
        identity, device, boot = self._line.controller.identity, verified.device, verified.frame.boot
        return (
            identity is not None
            and (identity.thumbprint, identity.boot) == (device, boot)
            and not self.clock(device).bounded(boot)
            and self._registry.secret(device) is not None
        )

    # ------------------------------------------------------------ out

    def poll(self, now: float, utc_us: int) -> bytes:
        """Return the bytes to send now; to be called after each `feed` and ten times a second."""
        self._conclude(self._session.poll(utc_us), now)
        self._release(now)
        for device in self._clocks:
            for first, last in self._session.acknowledgements(device):
                self._line.acknowledge(device, first, last)
        return self._line.poll(now)

    def lapse(self, now: float) -> None:
        """Give up what the device was asked and did not answer in time, for as long as there is no stream."""
        self._line.lapse(now)

    def durable(self, frames: Iterable[VerifiedFrame]) -> None:
        """Take the consumer's word that these frames are stored; the device may then erase them."""
        self._session.durable(frame.verified for frame in frames)

    def reconnected(self) -> None:
        """Note that the stream is a new one."""
        self._line.reconnected()

    def finish(self, now: float) -> None:
        """Note that nothing more will come: let out all that waits."""
        self._conclude(self._session.flush(), now)
        self._release(now, all_of_them=True)
