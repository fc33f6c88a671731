"""From verified to durable: frames wait for their times, then go into the spool, one batch under way at a time.

What the spool refuses waits in its order, and nothing overtakes it. What is not believed goes into quarantine; what
finds no room there stays with its device, which brings it again. Called by the intake's thread only.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from vitalwire.errors import SpoolError
from vitalwire.frame import parse
from vitalwire.messages import Frame, Trust
from vitalwire.registry import Registry
from vitalwire.session import Quarantined, Reason, Refused, Sealed, Session, Verified
from vitalwire.session.limits import FUTURE_US
from vitalwire.spool import Entry, Quarantine, Spool, Suspect

from .events import GatewayEvent, QuarantineChanged, SpoolChanged, Spooled
from .port import Answer, Desk
from .timing import Timed, Timing

MOST_READY = 512  # verified frames waiting for the spool, beyond which nothing is taken in
MOST_STORED = 512  # frames in one batch
MOST_SUSPECTS = 256  # frames waiting for the quarantine, beyond which they stay with their devices
RETRY = 0.5  # seconds until a spool that refused is asked again
STRANGERS_AGAIN = 10.0  # seconds until a quarantine that had no room for a stranger's frame is asked again

Stored = TypeVar("Stored")


class Storing:
    """The way into one spool; `tell` gets events, `acknowledging` holds devices that have numbers to acknowledge."""

    def __init__(
        self,
        session: Session,
        registry: Registry,
        spool: Spool,
        quarantine: Quarantine,
        timing: Timing,
        desk: Desk,
        tell: Callable[[GatewayEvent], None],
    ) -> None:
        self.acknowledging: set[bytes] = set()
        self.refusal = ""  # why the spool takes nothing
        self._session = session
        self._registry = registry
        self._spool = spool
        self._quarantine = quarantine
        self._timing = timing
        self._desk = desk
        self._tell = tell
        self._ready: deque[Timed] = deque()
        self._storing: tuple[list[Timed], Future[list[Entry]]] | None = None
        self._sealing: deque[tuple[Sealed, Future[list[Entry]]]] = deque()  # groups on their way to the sinks
        self._suspects: list[tuple[Suspect, Quarantined | None]] = []
        self._keeping: tuple[list[tuple[Suspect, Quarantined | None]], Future[set[bytes]]] | None = None
        self._strangers_at = float("-inf")
        self._most = MOST_STORED
        self._retry_at = float("-inf")
        self._alarm = False
        self._keeps = True  # whether the quarantine took all of the last

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be verified for now."""
        return len(self._ready) >= MOST_READY

    @property
    def has_news(self) -> bool:
        """Whether something that was under way is done."""
        return any(under_way is not None and under_way[1].done() for under_way in (self._storing, self._keeping))

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way or waits."""
        return not (self._storing or self._ready or self._sealing or self._suspects or self._keeping)

    # ------------------------------------------------------------ in

    def seal(self, group: Sealed) -> None:
        """Let sinks have frames that a signature covers now."""
        self._sealing.append((group, self._spool.seal(group.device, group.first, group.last)))

    def disprove(self, device: bytes, seq: int, digest: bytes) -> None:
        """Forget a frame that its device never made."""
        self._spool.disprove(device, seq, digest)

    def set_aside(self, found: Quarantined) -> None:
        """Keep a frame that is not to be believed."""
        frame, due_us = found.frame, None
        if found.reason == Reason.FUTURE and frame.utc_us is not None and frame.utc_accuracy is not None:
            due_us = frame.utc_us - (1 << frame.utc_accuracy) - FUTURE_US
        self._suspect(found.reason, found.device, frame, found.received_us, due_us, found)

    def set_aside_stranger(self, found: Refused, arrived_us: int, now: float) -> None:
        """Keep a frame of a device that nobody enrolled, as long as there is room."""
        if found.device is not None and now >= self._strangers_at:
            self._suspect(found.reason, found.device, parse(found.raw), arrived_us, None, None)

    def _suspect(
        self, why: Reason, device: bytes, frame: Frame, arrived_us: int, due_us: int | None, found: Quarantined | None
    ) -> None:
        if len(self._suspects) >= MOST_SUSPECTS:
            self._desk.answer(frame.digest, Answer(False, Reason.BUSY.value))
            return
        known = self._registry.get(device)
        suspect = Suspect(
            0, why.value, known.name if known else "", device, frame.boot, frame.seq, frame.digest, frame.raw,
            arrived_us, due_us,
        )  # fmt: skip
        self._suspects.append((suspect, found))

    # ------------------------------------------------------------ steps

    def step(self, now: float, *, all_of_them: bool = False) -> None:
        """Take note of what is durable, and give the spool more; `all_of_them`: frames wait for their times no more."""
        self._ready.extend(self._timing.release(now, all_of_them=all_of_them))
        self._confirm(now)
        self._store(now)
        self._keep(now)

    def _store(self, now: float) -> None:
        """Give the spool what is ready, one batch at a time, so that a refused one is not overtaken."""
        if self._seal(now) and self._storing is None and self._ready and now >= self._retry_at:
            first = [self._ready.popleft() for _ in range(min(len(self._ready), self._most))]
            ready = [(timed, self._session.trust(timed.verified)) for timed in first]
            for timed in (timed for timed, trust in ready if trust is None):
                self._desk.answer(timed.verified.frame.digest, Answer(False, Reason.CONFLICT.value))
            batch = [timed for timed, trust in ready if trust is not None]
            self._storing = batch, self._waking(self._spool.append([self._entry(timed) for timed in batch]))

    def _seal(self, now: float) -> bool:
        """Say which groups sinks may have now; False if one must be asked for again before anything else is stored."""
        while self._sealing and self._sealing[0][1].done():
            future = self._sealing[0][1]
            try:
                entries = future.result()
            except (SpoolError, sqlite3.Error) as error:
                self._changed(str(error))
                if now < self._retry_at:
                    return False
                self._retry_at = now + RETRY
                groups = [group for group, _ in self._sealing]
                self._sealing = deque((g, self._spool.seal(g.device, g.first, g.last)) for g in groups)
                return False
            self._sealing.popleft()
            now_us = self._desk.utc_us()
            self._tell(Spooled(tuple(entries), (now_us,) * len(entries), now_us))
        return True

    def _entry(self, timed: Timed) -> Entry:
        verified, frame = timed.verified, timed.verified.frame
        return Entry(
            position=0,
            device=self._name(verified),
            thumbprint=verified.device,
            kind=frame.kind,
            boot=frame.boot,
            seq=frame.seq,
            digest=frame.digest,
            raw=frame.raw,
            arrived_us=verified.received_us,
            time_us=timed.time_us,
            accuracy_us=timed.accuracy_us,
            trust=self._session.trust(verified) or Trust.AUTHENTIC,
        )

    def _name(self, verified: Verified) -> str:
        device = self._registry.get(verified.device)
        return device.name if device else verified.descriptor.device

    def _confirm(self, now: float) -> None:
        """Have acknowledged what has become durable; what was refused waits."""
        if self._storing is None or not self._storing[1].done():
            return
        (batch, future), self._storing = self._storing, None
        try:
            entries = future.result()
            verified_us = {timed.verified.frame.digest: timed.verified_us for timed in batch}
            times = tuple(verified_us[entry.digest] for entry in entries)
            self._tell(Spooled(tuple(entries), times, self._desk.utc_us()))
            self._session.durable(timed.verified for timed in batch)
        except (SpoolError, sqlite3.Error) as error:
            self._ready.extendleft(reversed(batch))
            self._most = max(1, len(batch) // 2)  # some may fit where all do not
            self._retry_at = now + RETRY
            self._changed(str(error))
            return
        self._most = min(MOST_STORED, self._most * 2)
        self.acknowledging |= {timed.verified.device for timed in batch}
        for timed in batch:
            self._desk.answer(timed.verified.frame.digest, Answer(True))
        self._changed("")

    def _changed(self, refusal: str) -> None:
        """Say so when the spool begins or ends to refuse, or its alarm does."""
        alarm = self._spool.alarm
        if (bool(refusal), alarm) != (bool(self.refusal), self._alarm):
            self._tell(SpoolChanged(not refusal, alarm, refusal, self._spool.state()))
        self.refusal, self._alarm = refusal, alarm

    # ------------------------------------------------------------ what is not believed

    def _keep(self, now: float) -> None:
        if self._keeping is not None and self._keeping[1].done():
            (batch, future), self._keeping = self._keeping, None
            self._kept(batch, future, now)
        if self._keeping is None and self._suspects:
            batch, self._suspects = self._suspects, []
            self._keeping = batch, self._waking(self._quarantine.keep([suspect for suspect, _ in batch]))

    def _kept(self, batch: list[tuple[Suspect, Quarantined | None]], future: Future[set[bytes]], now: float) -> None:
        """Have acknowledged what is in quarantine; say so when it begins or ends to have no room."""
        why = "there is no more room in quarantine"
        durable: list[Quarantined] = []
        left = False
        try:
            kept = future.result()
        except (SpoolError, sqlite3.Error) as error:
            kept, why = set(), str(error)
        for suspect, found in batch:
            if found is None:
                self._strangers_at = now if suspect.digest in kept else now + STRANGERS_AGAIN
            elif suspect.digest in kept:
                durable.append(found)
                self._desk.answer(suspect.digest, Answer(False, suspect.why))
            else:
                left = True
                self._desk.answer(suspect.digest, Answer(False, Reason.BUSY.value))
        self._session.durable(durable)
        self.acknowledging |= {found.device for found in durable}
        if (durable or left) and self._keeps == left:
            self._keeps = not left
            self._tell(QuarantineChanged(self._keeps, "" if self._keeps else why))

    def _waking(self, future: Future[Stored]) -> Future[Stored]:
        """Have the intake's thread woken once it is done."""
        future.add_done_callback(self._wake)
        return future

    def _wake(self, _: object) -> None:
        with self._desk.changed:
            self._desk.changed.notify()
