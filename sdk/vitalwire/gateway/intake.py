"""The intake: what ports give is verified and handed on to be stored, in one thread for all devices and ports.

One session serves the whole gateway, so a device on two ports is delivered once. The thread takes turns among ports, a
bounded piece each, so that none starves another. Nothing is acknowledged before it is durable.

While the spool takes nothing, devices keep their frames: those that come are left out, unacknowledged, and asked for
again, in order, once there is room; everything else that a device says is heard. A peer that never said that it is a
device may have no copy: it is not read until there is room.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Iterable

from vitalwire.client import Line, LineEvent
from vitalwire.control import Controller, TimeMeasured
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
from vitalwire.spool import Quarantine, Spool

from .commands import Commands
from .events import Concluded, GatewayEvent
from .port import Answer, Desk, Given, Port
from .storing import Storing
from .timing import Clock, Timing

TURN = 8 << 10  # bytes a port may have dealt with in its turn
MOST_TURNS = 32
TICK = 0.05  # seconds between looks at what time alone brings
FAREWELL = 1.0  # seconds that the end takes at most to bring out the last acknowledgements


class Intake:
    """Takes frames for a session and puts them into a spool. `tell` is called in the event loop."""

    def __init__(
        self,
        session: Session,
        registry: Registry,
        spool: Spool,
        quarantine: Quarantine,
        tell: Callable[[GatewayEvent], None],
        *,
        settle: float,
        set_time: bool,
        utc_us: Clock,
    ) -> None:
        self._session = session
        self._registry = registry
        self._tell = tell
        self._set_time = set_time
        self._timing = Timing(settle, self._is_being_measured)
        self._desk = Desk(utc_us)
        self._events: list[GatewayEvent] = []
        self._storing = Storing(session, registry, spool, quarantine, self._timing, self._desk, self._say)
        self.commands = Commands(registry, self._desk, set_time=set_time)
        self._ports: set[Port] = set()
        self._ways: dict[bytes, set[Port]] = {}  # by device: the ports it came through
        self._looked_at = float("-inf")
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
        waiting = not self._storing.is_idle or any(p.line and p.line.acknowledging for p in self._open())
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
            self._conclude(self._session.poll(self._desk.utc_us()), None, now)
            self._let_go()
        self._storing.step(now, all_of_them=self._until is not None)
        if not self._storing.refusal:
            self._ask_again()
        self._acknowledge()
        self.commands.send(self._ways, now)
        for port in self._open() if tick else {port for port, _ in turns}:
            self._answer(port, now)
        events, self._events = self._events, []
        if events:
            self._loop.call_soon_threadsafe(self._tell_all, events)

    def _wait(self) -> list[tuple[Port, list[Given]]]:
        """Return a turn of each port that gave something, once there is anything to do or a tick has passed."""
        with self._desk.changed:
            turns = self._turns()
            if not turns and not self._storing.has_news:
                self._desk.changed.wait(TICK)
                turns = self._turns()
            return [(port, port.take(TURN)) for port in turns]

    def _turns(self) -> list[Port]:
        """Return the ports whose turn it is."""
        busy = self._desk.busy
        if self._until is not None or (self._storing.is_full and not self._storing.refusal):
            return []
        first = [busy.popleft() for _ in range(min(len(busy), MOST_TURNS))]
        turns = [port for port in first if not self._leaves_out or _can_come_again(port)]
        busy.extend(port for port in first if port not in turns)
        return turns

    @property
    def _leaves_out(self) -> bool:
        """Whether frames that come are left out, because there is no room for them."""
        return self._storing.is_full and bool(self._storing.refusal)

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
        if self._leaves_out:
            port.left_out = True
            self._desk.answer(hashlib.sha256(raw).digest(), Answer(False, Reason.BUSY.value))
            self._say(Concluded(port.source, port.peer, Refused(Reason.BUSY, "", raw)))
            return
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
                    self._timing.hold(outcome, self._desk.utc_us(), now, timed=timed)
                    continue
                case Duplicate(device):
                    self._claim(port, device)
                    self._storing.acknowledging.add(device)
                case Held(frame) if port is not None and frame.descriptor is not None:
                    if frame.descriptor not in port.needs:
                        port.needs.append(frame.descriptor)
                case NeedDescriptor(digest):
                    for each in self._open():
                        if each.line is not None and (each is port or digest in each.needs):
                            each.line.controller.describe()
                case Sealed():
                    self._storing.seal(outcome)
                case Disproved(device, seq, digest):
                    self._storing.disprove(device, seq, digest)
                case Refused(reason, _, raw):
                    self._desk.answer(hashlib.sha256(raw).digest(), Answer(False, reason.value))
                    if reason == Reason.FOREIGN:
                        self._storing.set_aside_stranger(outcome, self._desk.utc_us(), now)
                case Quarantined():
                    self._storing.set_aside(outcome)
                case _:
                    pass
            source, peer = (None, None) if port is None else (port.source, port.peer)
            self._say(Concluded(source, peer, outcome))

    def _ask_again(self) -> None:
        """Ask for what was left out: a device that describes itself sends all that is not acknowledged, in order."""
        for port in self._open():
            if port.left_out:
                port.left_out = False
                if port.line is not None:
                    port.line.controller.describe()

    def _learn(self, verified: Verified) -> None:
        if verified.frame.body is not None and (device := self._registry.get(verified.device)) is not None:
            self.commands.learn(device.name, verified.descriptor)

    def _claim(self, port: Port | None, device: bytes) -> None:
        if port is not None and device not in port.devices:
            port.devices.add(device)
            self._ways.setdefault(device, set()).add(port)
            self._storing.acknowledging.add(device)  # what nobody took before goes this way

    def _hear(self, port: Port, event: LineEvent) -> None:
        assert port.line is not None
        self.commands.hear(port, event)
        controller = port.line.controller
        if isinstance(event, TimeMeasured) and controller.identity is not None and controller.plausible:
            fix = event.fix
            clock = self._timing.clock(controller.identity.thumbprint)
            clock.bound(event.boot, fix.ticks, fix.utc_us, fix.error_us)
        self._say(Concluded(port.source, port.peer, event))

    def _is_being_measured(self, device: bytes, boot: int) -> bool:
        if self._registry.secret(device) is None:
            return False
        lines = (port.line for port in self._ways.get(device, ()) if port.line is not None)
        identities = (line.controller.identity for line in lines)
        return any(known and (known.thumbprint, known.boot) == (device, boot) for known in identities)

    # ------------------------------------------------------------ answers

    def _acknowledge(self) -> None:
        for device in self._storing.acknowledging:
            ports = self._ways.get(device)
            if not ports:
                continue  # until one brings frames of it again
            for first, last in self._session.acknowledgements(device):
                for port in ports:
                    if port.line is not None:
                        port.line.acknowledge(device, first, last)
        self._storing.acknowledging.clear()

    def _answer(self, port: Port, now: float) -> None:
        """Let a line say what it has to."""
        if port.line is not None and port.send is not None and not port.closed:
            data = port.line.poll(now)
            if data:
                self._loop.call_soon_threadsafe(port.send, data)

    def _say(self, event: GatewayEvent) -> None:
        self._events.append(event)

    def _tell_all(self, events: list[GatewayEvent]) -> None:
        for event in events:
            self._tell(event)


def _can_come_again(port: Port) -> bool:
    """Return whether the peer keeps what is not acknowledged: it asks for each frame, or says that it is a device."""
    return port.line is None or port.line.controller.identity is not None
