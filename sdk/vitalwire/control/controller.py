"""When to ask a device what, and what of its answers to believe.

Sans-IO: packets in by `feed`, packets out by `poll`, events out by `events`; `now` is monotonic seconds, `utc_us`
microseconds since 1970. Nothing a peer sends raises. What does not bear the device's MAC is a hint: it can make this
side ask again, never believe that something happened. One command is under way at a time; an unanswered one is asked
again with a new counter, which every command must bear.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from vitalwire import crypto
from vitalwire.errors import FrameError, InputError, TrustError, UsageError
from vitalwire.packet import Packet
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Command, PacketType, Result

from . import events as ev
from .asked import Acknowledgements, Asked, Sent
from .command import Argument, Identity, Reply, closed_command, open_command, parse_identity, parse_reply
from .timesync import TimeSync

ANSWER_WITHIN = 0.75  # seconds until a command is asked again, twice what a long frame takes at 115200 baud; doubles
ANSWER_WITHIN_MOST = 3.0
ASK_AGAIN = 3  # times, before the device is asked who it is
IDENTIFY_AFTER = 0.25  # seconds between a hint that something changed and asking who is there; doubles, too
PING_EVERY = 3.0  # seconds; a device takes a reader for gone after 10 without a packet
FIRST_PINGS = 4  # measurements before a device is told its time
COUNTER_AHEAD = 366 * 86_400_000_000  # how far a device's counter may be in front of UTC in microseconds
MAX_ASKED = 64  # requests that wait

_LOST_TOUCH = (Result.WRONG_DEVICE, Result.WRONG_BOOT, Result.WRONG_NONCE, Result.STALE_COUNTER)


class Controller:
    """Speaks for one reader with whatever device is at the other end of one stream."""

    def __init__(
        self,
        secret_of: Callable[[bytes], bytes | None],
        *,
        own_error_us: int = 50_000,
        patience: float = 30.0,
        set_time: bool = True,
    ) -> None:
        """`secret_of` returns the 32-byte secret provisioned for a thumbprint, or None: then there are hints only.

        `own_error_us` bounds the error of this computer's UTC (the default is what NTP keeps over the internet),
        `patience` is how many seconds a request may take, `set_time` whether the device is told UTC.
        """
        self.identity: Identity | None = None  # a hint until `confirmed`
        self.confirmed = False
        self.counters = ev.ControllerCounters()
        self._secret_of = secret_of
        self._patience = patience
        self._set_time = set_time
        self._own_error_us = own_error_us
        self._sync = TimeSync(own_error_us)
        self._key: bytes | None = None
        self._counter = 0
        self._epoch_us = 0  # UTC when `now` was 0
        self._id = 0
        self._sent: Sent | None = None
        self._in_vain = 0  # times in a row that no good answer came
        self._queue: deque[Asked] = deque()
        self._tickets = 0
        self._events: list[ev.ControlEvent] = []
        self._acks = Acknowledgements()
        self._unsure = True  # the device must say who it is before anything else
        self._describe = True
        self._identify_at = float("-inf")
        self._ping_at = float("-inf")

    def request(self, command: Command, argument: Argument = None, *, now: float) -> int:
        """Ask a closed command; returns the ticket that `Answered`, `Refused` or `Unanswered` will bear.

        The command may be carried out twice when an answer is lost. Raises `UsageError` if it is an open command or
        `MAX_ASKED` requests wait already.
        """
        if command in spec.OPEN_COMMANDS:
            raise UsageError(f"{command.name} is asked by the controller itself")
        if len(self._queue) >= MAX_ASKED:
            raise UsageError("too many requests wait for the device")
        self._tickets += 1
        self._queue.append(Asked(command, argument, self._tickets, now + self._patience))
        return self._tickets

    def describe(self) -> None:
        """Ask for the descriptor frame again; the device then also sends again all that is not acknowledged."""
        self._describe = True

    def acknowledge(self, thumbprint: bytes, first: int, last: int) -> None:
        """Note that frames `first` to `last` of this device are durable here, so that it may erase them."""
        self._acks.add(thumbprint, first, last)

    def reconnected(self) -> None:
        """Note that the stream is a new one: ask who is there, and for all that is not acknowledged."""
        if self._sent is not None:
            self._put_back()
        self._unsure = self._describe = True
        self._identify_at = float("-inf")

    @property
    def plausible(self) -> bool:
        """Whether the device's ticks are microseconds, as far as measurements show: those of a sped-up one are not."""
        return self._sync.plausible

    def events(self) -> list[ev.ControlEvent]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    def lapse(self, now: float) -> None:
        """Give up what was not answered in time; `poll` does, this is for as long as there is no stream."""
        self._give_up(now)

    def poll(self, now: float) -> list[Packet]:
        """Return the packets to send now; to be called after each `feed` and at least ten times a second."""
        self._give_up(now)
        if self._sent is not None:
            if now < self._sent.due:
                return []
            self._put_back()
            self._in_vain += 1
            self._unsure |= self._in_vain % ASK_AGAIN == 0
        asked = self._next(now)
        return [] if asked is None else [self._send(asked, now)]

    def _give_up(self, now: float) -> None:
        if self._sent is not None and self._sent.asked.until <= now:
            self._put_back()
        for asked in [a for a in self._queue if a.until <= now]:
            self._queue.remove(asked)
            self._unanswered(asked)

    def _next(self, now: float) -> Asked | None:
        identity = self.identity
        if identity is None or self._unsure:
            return Asked(Command.IDENTIFY) if now >= self._identify_at else None
        if self._describe:
            return Asked(Command.DESCRIBE)
        if self._key is None:
            while self._queue:
                self._refused(self._queue.popleft(), Result.NOT_PROVISIONED)
            return Asked(Command.IDENTIFY) if now >= self._ping_at else None
        if not self.confirmed or now >= self._ping_at + PING_EVERY:
            return Asked(Command.PING)
        while self._queue:
            asked = self._queue.popleft()
            if asked.command is not Command.REBOOT or asked.boot in (None, identity.boot):
                return replace(asked, boot=identity.boot)
            self._done(asked)  # its answer was lost, but this is another boot, and proven
        return self._acknowledgement(identity.thumbprint, now) or self._timekeeping(now)

    def _timekeeping(self, now: float) -> Asked | None:
        fix = self._sync.to_tell(now) if self._set_time else None
        if fix is not None and self._sync.measured >= FIRST_PINGS:
            return Asked(Command.SET_TIME, (fix.ticks, fix.utc_us, fix.accuracy), fix=fix)
        return Asked(Command.PING) if fix is not None or now >= self._ping_at else None

    def _acknowledgement(self, thumbprint: bytes, now: float) -> Asked | None:
        ranges = self._acks.due(thumbprint, now)
        return Asked(Command.ACKNOWLEDGE, ranges, ranges=ranges) if ranges else None

    def _send(self, asked: Asked, now: float) -> Packet:
        self._id = (self._id + 1) & 0xFF
        wait = self._backed_off(ANSWER_WITHIN)
        counter = None
        if asked.command in spec.OPEN_COMMANDS or self.identity is None or self._key is None:
            body = open_command(asked.command)
        else:
            # Counters follow UTC, so that several controllers of one device, on links of its own each, do not outdate
            # each other, and none comes twice under a nonce that somebody replays.
            self._counter = counter = max(self._counter + 1, self._epoch_us + round(now * 1e6))
            body = closed_command(self._key, self.identity, counter, asked.command, asked.argument)
        self._sent = Sent(asked, self._id, counter, now, now + wait)
        return Packet(PacketType.COMMAND, self._id, body)

    def _put_back(self) -> None:
        """Ask what is under way again later; what the controller asks on its own it will think of again by itself."""
        asked = self._sent.asked if self._sent else None
        self._sent = None
        if asked is not None and asked.ticket is not None:
            self._queue.appendleft(asked)

    def feed(self, packet: Packet, now: float, utc_us: int) -> None:
        """Take a packet that arrived at `now`, which was `utc_us`; other packets than replies are passed over."""
        if packet.type != PacketType.REPLY:
            return
        self._epoch_us = utc_us - round(now * 1e6)
        try:
            reply = parse_reply(packet.body, self._key)
            sent = self._sent
            if sent is None or packet.id != sent.id:
                self.counters.ignored += 1
            elif reply.closed:
                self._take_answer(reply, sent, now, utc_us)
            else:
                self._take_hint(reply, sent, now, utc_us)
        except TrustError:
            self.counters.forged += 1
        except InputError:
            self.counters.malformed += 1

    def _take_hint(self, reply: Reply, sent: Sent, now: float, utc_us: int) -> None:
        asked = sent.asked.command
        if sent.counter is None and reply.command == asked and reply.result == Result.OK:
            if asked is Command.IDENTIFY:
                self._identified(parse_identity(reply), utc_us)
            else:
                self._describe = False
            self._sent = None
            if self._key is None:
                self._in_vain = 0
                self._ping_at = now + PING_EVERY
            return
        self._events.append(ev.Hint(asked, reply.result))
        if asked is Command.DESCRIBE:
            self._describe = False
        self._ask_who(now)

    def _ask_who(self, now: float) -> None:
        self._put_back()
        self._unsure = True
        self._in_vain += 1
        self._identify_at = now + self._backed_off(IDENTIFY_AFTER)

    def _backed_off(self, wait: float) -> float:
        return min(wait * 2.0 ** min(self._in_vain, 8), ANSWER_WITHIN_MOST)

    def _identified(self, identity: Identity, utc_us: int) -> None:
        if identity.counter > utc_us + COUNTER_AHEAD:
            # Not believed: whoever made us use the last counter there is would lock the device until it reboots.
            raise FrameError("a counter that no controller has used", reason="range")
        old, self.identity = self.identity, identity
        self._unsure = False
        self._counter = max(self._counter, identity.counter)
        same_device = old is not None and old.thumbprint == identity.thumbprint
        if old is not None and same_device and (old.boot, old.nonce) == (identity.boot, identity.nonce):
            return
        self.confirmed = False
        self._describe = True
        self._sync = TimeSync(self._own_error_us)
        if not same_device:
            secret = self._secret_of(identity.thumbprint)
            self._key = None if secret is None else crypto.command_key(secret, identity.thumbprint)
            while old is not None and self._queue:
                self._unanswered(self._queue.popleft())  # meant for another device
        self._events.append(ev.Identified(identity, rebooted=same_device))

    def _unanswered(self, asked: Asked) -> None:
        assert asked.ticket is not None
        self._events.append(ev.Unanswered(asked.ticket, asked.command))

    def _take_answer(self, reply: Reply, sent: Sent, now: float, utc_us: int) -> None:
        identity, asked = self.identity, sent.asked
        if identity is None or sent.counter is None or (reply.command, reply.counter) != (asked.command, sent.counter):
            self.counters.ignored += 1
            return
        if reply.nonce != identity.nonce:
            self._ask_who(now)
            return
        if not self.confirmed:
            self.confirmed = True
            self._events.append(ev.Confirmed(identity))
        if reply.result in _LOST_TOUCH:
            self._ask_who(now)
            return
        self._sent = None
        self._in_vain = 0
        if asked.command is Command.PING:
            self._ping_at = now + PING_EVERY
        if reply.result != Result.OK:
            self._refused(asked, reply.result)
            return
        if reply.ticks is not None:
            fix = self._sync.measure(reply.ticks, sent.at, now, utc_us)
            self._events.append(ev.TimeMeasured(identity.boot, fix))
        self._done(asked, reply)

    def _done(self, asked: Asked, reply: Reply | None = None) -> None:
        if asked.ticket is not None:
            self._events.append(ev.Answered(asked.ticket, asked.command, reply.fields if reply else {}))
        elif asked.ranges:
            self._settle(asked)
            self._events.append(ev.Acknowledged(asked.ranges))
        elif asked.fix is not None and self.identity is not None:
            self._sync.told(asked.fix)
            self._events.append(ev.TimeTold(self.identity.boot, asked.fix))

    def _refused(self, asked: Asked, result: Result | int) -> None:
        if asked.ticket is not None:
            self._events.append(ev.Refused(asked.ticket, asked.command, result))
        elif asked.ranges:
            self._settle(asked)
            self._events.append(ev.AcknowledgeRefused(asked.ranges, result))
        elif asked.fix is not None:
            self._sync.refused()

    def _settle(self, asked: Asked) -> None:
        assert self.identity is not None
        self._acks.settle(self.identity.thumbprint, asked.ranges)
