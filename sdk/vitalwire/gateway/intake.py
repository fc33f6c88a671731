"""The intake: what ports give is verified, spooled and then acknowledged, in one thread for all devices and ports.

One session serves the whole gateway, so a device on two ports is delivered once. The thread takes turns among ports, a
bounded piece each, so that none starves another. While a batch is being made durable the next is verified; nothing is
acknowledged before its batch is. What cannot be spooled stays with its device: the ports fill, and are read no more.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from vitalwire.client import Line, LineEvent
from vitalwire.control import Controller, TimeMeasured
from vitalwire.errors import SpoolError
from vitalwire.messages import Trust
from vitalwire.registry import Registry
from vitalwire.session import (
    Disproved,
    Duplicate,
    Held,
    May,
    NeedDescriptor,
    Outcome,
    Quarantined,
    Reason,
    Refused,
    Sealed,
    Session,
    Verified,
)
from vitalwire.spool import Entry, Spool

from .commands import Commands
from .events import Concluded, GatewayEvent, SpoolChanged, Spooled
from .port import Answer, Desk, Given, Port
from .timing import Timed, Timing

TURN = 8 << 10  # bytes a port may have dealt with in its turn
MOST_TURNS = 32
TICK = 0.05  # seconds between looks at what time alone brings
MOST_READY = 512  # verified frames waiting for the spool, beyond which nothing is taken in
MOST_STORED = 512  # frames in one batch
RETRY = 0.5  # seconds until a spool that refused is asked again
FAREWELL = 1.0  # seconds that the end takes at most to bring out the last acknowledgements


class Intake:
    """Takes frames for a session and puts them into a spool. `tell` is called in the event loop."""

    def __init__(
        self,
        session: Session,
        registry: Registry,
        spool: Spool,
        tell: Callable[[GatewayEvent], None],
        *,
        settle: float,
        set_time: bool,
    ) -> None:
        self._session = session
        self._registry = registry
        self._spool = spool
        self._tell = tell
        self._set_time = set_time
        self._timing = Timing(settle, self._is_being_measured)
        self._desk = Desk()
        self.commands = Commands(registry, self._desk, set_time=set_time)
        self._ports: set[Port] = set()
        self._ways: dict[bytes, set[Port]] = {}  # by device: the ports it came through
        self._ready: deque[Timed] = deque()
        self._storing: tuple[list[Timed], Future[list[Entry]]] | None = None
        self._sealing: deque[tuple[Sealed, Future[list[Entry]]]] = deque()  # groups on their way to the sinks
        self._most = MOST_STORED
        self._retry_at = 0.0
        self._refusal = ""
        self._acknowledging: set[bytes] = set()  # devices with numbers to acknowledge
        self._events: list[GatewayEvent] = []
        self._looked_at = float("-inf")
        self._alarm = False
        self._until: float | None = None
        self._timed = False  # whether the bytes being read came straight from their device
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()  # raises what ended the thread
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ for sources and the gateway

    def port(self, source: str, peer: str, may: May | None = None, send: Callable[[bytes], None] | None = None) -> Port:
        """Return a port for a peer that speaks for whom it `may`; `send` gets packets for it, in the event loop."""
        port = Port(source, peer, may, send, self._desk)
        if send is not None:
            controller = Controller(self._registry.secret, set_time=self._set_time)
            port.line = Line(
                controller,
                lambda raw, now, utc_us: self._receive(port, raw, utc_us, now),
                lambda event: self._hear(port, event),
            )
        with self._desk.changed:
            self._ports.add(port)
        return port

    async def close(self) -> None:
        """Bring what was verified into the spool and out the acknowledgements, and end."""
        with self._desk.changed:
            self._until = time.monotonic() + FAREWELL
            self._desk.changed.notify()
        await asyncio.to_thread(self._thread.join)

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            while not self._is_done():
                self._step()
        except Exception as error:  # a bug of ours: the gateway must end rather than look alive
            failure = error
            self._loop.call_soon_threadsafe(lambda: self.failed.set_exception(failure))

    def _is_done(self) -> bool:
        if self._until is None:
            return False
        waiting = (
            self._storing or self._ready or self._sealing or any(p.line and p.line.acknowledging for p in self._open())
        )
        return not waiting or time.monotonic() > self._until

    def _open(self) -> list[Port]:
        with self._desk.changed:
            return list(self._ports)

    def _step(self) -> None:
        turns = self._wait()
        now = time.monotonic()
        tick = now - self._looked_at >= TICK
        for port, given in turns:
            self._take(port, given, now)
        if tick:
            self._looked_at = now
            self._conclude(self._session.poll(time.time_ns() // 1000), None, now)
            self._let_go()
        self._ready.extend(self._timing.release(now, all_of_them=self._until is not None))
        self._confirm()
        self._store(now)
        self._acknowledge()
        self.commands.ask(self._ways, now)
        for port in self._open() if tick else {port for port, _ in turns}:
            self._answer(port, now)
        events, self._events = self._events, []
        if events:
            self._loop.call_soon_threadsafe(self._tell_all, events)

    def _wait(self) -> list[tuple[Port, list[Given]]]:
        """Return a turn of each port that gave something, once there is anything to do or a tick has passed."""
        with self._desk.changed:
            takes = len(self._ready) < MOST_READY and self._until is None
            stored = self._storing is not None and self._storing[1].done()
            if not stored and not (takes and self._desk.busy):
                self._desk.changed.wait(TICK)
            if not takes:
                return []
            turns = [self._desk.busy.popleft() for _ in range(min(len(self._desk.busy), MOST_TURNS))]
            return [(port, port.take(TURN)) for port in turns]

    def _let_go(self) -> None:
        """Forget the ports whose peers are gone."""
        with self._desk.changed:
            gone = [port for port in self._ports if port.closed]
            self._ports.difference_update(gone)
        for port in gone:
            self.commands.gone(port)
            for device in port.devices:
                self._ways[device].discard(port)

    def _take(self, port: Port, given: Iterable[Given], now: float) -> None:
        for each in given:
            if each.is_frame:
                self._receive(port, each.data, each.arrived_us, now, timed=False)
            elif port.line is not None:
                self._timed = each.timed
                port.line.feed(each.data, now, each.arrived_us)

    # ------------------------------------------------------------ frames

    def _receive(self, port: Port, raw: bytes, utc_us: int, now: float, *, timed: bool | None = None) -> None:
        outcomes = self._session.receive(raw, utc_us, port.may)
        if any(isinstance(outcome, Duplicate) and outcome.durable for outcome in outcomes):
            self._desk.answer(hashlib.sha256(raw).digest(), Answer(True))
        self._conclude(outcomes, port, now, timed=self._timed if timed is None else timed)

    def _conclude(self, outcomes: Iterable[Outcome], port: Port | None, now: float, *, timed: bool = False) -> None:
        for outcome in outcomes:
            match outcome:
                case Verified(device):
                    self._claim(port, device)
                    self._learn(outcome)
                    self._timing.hold(outcome, time.time_ns() // 1000, now, timed=timed)
                    continue
                case Duplicate(device):
                    self._claim(port, device)
                    self._acknowledging.add(device)
                case Held(frame) if port is not None and frame.descriptor is not None:
                    if frame.descriptor not in port.needs:
                        port.needs.append(frame.descriptor)
                case NeedDescriptor(digest):
                    for each in self._open():
                        if each.line is not None and (each is port or digest in each.needs):
                            each.line.controller.describe()
                case Sealed():
                    self._sealing.append((outcome, self._spool.seal(outcome.device, outcome.first, outcome.last)))
                case Disproved(device, seq, digest):
                    self._spool.disprove(device, seq, digest)
                case Refused(reason, _, raw):
                    self._desk.answer(hashlib.sha256(raw).digest(), Answer(False, reason.value))
                case Quarantined(_, reason, frame):
                    self._desk.answer(frame.digest, Answer(False, reason.value))
                case _:
                    pass
            source, peer = (None, None) if port is None else (port.source, port.peer)
            self._events.append(Concluded(source, peer, outcome))

    def _learn(self, verified: Verified) -> None:
        if verified.frame.body is not None and (device := self._registry.get(verified.device)) is not None:
            self.commands.learn(device.name, verified.descriptor)

    def _claim(self, port: Port | None, device: bytes) -> None:
        if port is not None and device not in port.devices:
            port.devices.add(device)
            self._ways.setdefault(device, set()).add(port)
            self._acknowledging.add(device)  # what nobody took before goes this way

    def _hear(self, port: Port, event: LineEvent) -> None:
        assert port.line is not None
        self.commands.hear(port, event)
        controller = port.line.controller
        if isinstance(event, TimeMeasured) and controller.identity is not None and controller.plausible:
            fix = event.fix
            clock = self._timing.clock(controller.identity.thumbprint)
            clock.bound(event.boot, fix.ticks, fix.utc_us, fix.error_us)
        self._events.append(Concluded(port.source, port.peer, event))

    def _is_being_measured(self, device: bytes, boot: int) -> bool:
        if self._registry.secret(device) is None:
            return False
        lines = (port.line for port in self._ways.get(device, ()) if port.line is not None)
        identities = (line.controller.identity for line in lines)
        return any(known and (known.thumbprint, known.boot) == (device, boot) for known in identities)

    # ------------------------------------------------------------ durability

    def _store(self, now: float) -> None:
        """Give the spool what is ready, one batch at a time, so that a refused one is not overtaken."""
        if self._seal(now) and self._storing is None and self._ready and now >= self._retry_at:
            first = [self._ready.popleft() for _ in range(min(len(self._ready), self._most))]
            ready = [(timed, self._session.trust(timed.verified)) for timed in first]
            for timed in (timed for timed, trust in ready if trust is None):
                self._desk.answer(timed.verified.frame.digest, Answer(False, Reason.CONFLICT.value))
            batch = [timed for timed, trust in ready if trust is not None]
            future = self._spool.append([self._entry(timed) for timed in batch])
            future.add_done_callback(self._notify)
            self._storing = batch, future

    def _seal(self, now: float) -> bool:
        """Say which groups sinks may have now; False if one must be asked for again before anything else is stored."""
        while self._sealing and self._sealing[0][1].done():
            future = self._sealing[0][1]
            try:
                entries = future.result()
            except (SpoolError, sqlite3.Error) as error:
                self._spool_changed(str(error))
                if now < self._retry_at:
                    return False
                self._retry_at = now + RETRY
                groups = [group for group, _ in self._sealing]
                self._sealing = deque((g, self._spool.seal(g.device, g.first, g.last)) for g in groups)
                return False
            self._sealing.popleft()
            now_us = time.time_ns() // 1000
            self._events.append(Spooled(tuple(entries), (now_us,) * len(entries), now_us))
        return True

    def _notify(self, _: object) -> None:
        with self._desk.changed:
            self._desk.changed.notify()

    def _entry(self, timed: Timed) -> Entry:
        verified, frame = timed.verified, timed.verified.frame
        device = self._registry.get(verified.device)
        return Entry(
            position=0,
            device=device.name if device else verified.descriptor.device,
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

    def _confirm(self) -> None:
        """Acknowledge what has become durable; what was refused waits."""
        if self._storing is None or not self._storing[1].done():
            return
        (batch, future), self._storing = self._storing, None
        try:
            entries = future.result()
            verified_us = {timed.verified.frame.digest: timed.verified_us for timed in batch}
            times = tuple(verified_us[entry.digest] for entry in entries)
            self._events.append(Spooled(tuple(entries), times, time.time_ns() // 1000))
            self._session.durable(timed.verified for timed in batch)
        except (SpoolError, sqlite3.Error) as error:
            self._ready.extendleft(reversed(batch))
            self._most = max(1, len(batch) // 2)  # some may fit where all do not
            self._retry_at = time.monotonic() + RETRY
            self._spool_changed(str(error))
            return
        self._most = min(MOST_STORED, self._most * 2)
        self._acknowledging |= {timed.verified.device for timed in batch}
        for timed in batch:
            self._desk.answer(timed.verified.frame.digest, Answer(True))
        self._spool_changed("")

    def _spool_changed(self, refusal: str) -> None:
        """Say so when the spool begins or ends to refuse, or its alarm does."""
        alarm = self._spool.alarm
        if (bool(refusal), alarm) != (bool(self._refusal), self._alarm):
            self._events.append(SpoolChanged(not refusal, alarm, refusal, self._spool.state()))
        self._refusal, self._alarm = refusal, alarm

    # ------------------------------------------------------------ answers

    def _acknowledge(self) -> None:
        for device in self._acknowledging:
            ports = self._ways.get(device)
            if not ports:
                continue  # until one brings frames of it again
            for first, last in self._session.acknowledgements(device):
                for port in ports:
                    if port.line is not None:
                        port.line.acknowledge(device, first, last)
        self._acknowledging.clear()

    def _answer(self, port: Port, now: float) -> None:
        """Let a line say what it has to."""
        if port.line is not None and port.send is not None and not port.closed:
            data = port.line.poll(now)
            if data:
                self._loop.call_soon_threadsafe(port.send, data)

    def _tell_all(self, events: list[GatewayEvent]) -> None:
        for event in events:
            self._tell(event)
