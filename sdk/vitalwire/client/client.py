"""The public client: connects, reads, answers and reconnects; one call at a time, no threads.

All work is done inside `receive`, iteration, `command` and `close`: between calls nothing is read or acknowledged.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypedDict, TypeVar, cast

from vitalwire import capture, paths, transports
from vitalwire.clock import DeviceClock
from vitalwire.control import PAUSE, Answered, Controller, Identity, Refused, Talk, Unanswered, go_on, refusal
from vitalwire.control.command import Argument
from vitalwire.errors import CommandError, TransportError, UsageError
from vitalwire.registry import Registry
from vitalwire.session import Quarantined, ReplayState, Session
from vitalwire.transports import Transport
from vitalwire_protocol.spec import Command

from .conversation import ClientEvent, Connected, Conversation, Disconnected
from .frame import VerifiedFrame

PATIENCE = 0.5  # seconds of a pause in a talk
T = TypeVar("T")
SLICE = 0.05  # seconds to wait for bytes at a time: the controller wants to be asked often
FIRST_WAIT = 0.25  # seconds until a lost stream is opened again; doubles with each failure, up to
LONGEST_WAIT = 10.0
FAREWELL = 1.0  # seconds that closing takes at most to bring out the last acknowledgements
TOGETHER = 64  # frames whose durability is written down at once

log = logging.getLogger("vitalwire")


class Options(TypedDict, total=False):
    """How to connect, all of it optional."""

    registry: Registry | Path | str | None  # the devices to trust; the user's own by default
    state: ReplayState | Path | str | None  # what was accepted before; the user's own by default, for a replay none
    quarantine: Path | str | None  # a capture for frames to be kept but not believed; without, they stay on the device
    auto_acknowledge: bool  # asking for the next frame says that those before are durable; else `durable` says it
    settle: float  # seconds the first frames wait at most until their times are good
    reconnect: bool  # open a broken stream again, with growing pauses, instead of raising TransportError
    set_time: bool  # tell the device UTC
    sealed_only: bool  # give out nothing that only a MAC proves, but whole groups once a signature seals them
    keys: Registry | None  # has the secrets for MACs and private contents, where `registry` must not have them
    on_event: Callable[[ClientEvent], None] | None  # is told all else: gaps, security events, refused frames, log lines


class Client:
    """Reads one stream. Made by `connect`; iterates over verified frames; closes as a context manager."""

    def __init__(
        self,
        url: str | Transport,
        *,
        registry: Registry | Path | str | None = None,
        state: ReplayState | Path | str | None = None,
        quarantine: Path | str | None = None,
        auto_acknowledge: bool = True,
        settle: float = 15.0,
        reconnect: bool = True,
        set_time: bool = True,
        sealed_only: bool = False,
        keys: Registry | None = None,
        on_event: Callable[[ClientEvent], None] | None = None,
    ) -> None:
        self._transport = transports.from_url(url) if isinstance(url, str) else url
        self._is_replay = isinstance(url, str) and url.startswith("replay:")
        if state is None and not self._is_replay:
            state = paths.state_file()
        with contextlib.ExitStack() as opened:
            if not isinstance(registry, Registry):
                registry = opened.enter_context(contextlib.closing(Registry(registry or paths.registry_file())))
            if not isinstance(state, ReplayState):
                state = opened.enter_context(contextlib.closing(ReplayState(state)))
            self._quarantine = None if quarantine is None else opened.enter_context(capture.Writer(quarantine))
            self._owned = opened.pop_all()  # closes with the client
        self._on_event = on_event
        self._auto = auto_acknowledge
        self._reconnect = reconnect and not self._is_replay
        self.session = Session(registry, state, sealed_only=sealed_only, keys=keys)
        self._controller = Controller(registry.secret, set_time=set_time)
        self._conversation = Conversation(
            self.session,
            self._controller,
            registry,
            self._tell,
            settle=settle,
            keep=None if self._quarantine is None else self._keep,
        )
        self._given: VerifiedFrame | None = None  # the consumer has it and is not yet done with it
        self._done: list[VerifiedFrame] = []  # durable, and not yet written down
        self._awaited: int | None = None
        self._result: Answered | Refused | Unanswered | None = None
        self._is_open = False
        self._failures = 0
        self._open_at = 0.0
        self.ended = False  # the source has no more, as a replay at its end

    # ------------------------------------------------------------ reading

    def receive(self, timeout: float | None = None) -> VerifiedFrame | None:
        """Return the next verified frame, or None after about `timeout` seconds or at the end (`ended`).

        With `auto_acknowledge` it says that the frame returned before is durable. Raises TransportError if the stream
        broke and is not to be opened again.
        """
        if self._auto and self._given is not None:
            self._done.append(self._given)
            self._given = None
        until = None if timeout is None else time.monotonic() + timeout
        while not self._conversation.frames:
            left = SLICE if until is None else until - time.monotonic()
            if self.ended or left < 0:
                self._write_down()
                return None
            self._step(min(SLICE, left))
        if len(self._done) >= TOGETHER:
            self._write_down()
        self._given = self._conversation.frames.popleft()
        return self._given

    def __iter__(self) -> Iterator[VerifiedFrame]:
        """Yield verified frames until the source ends, which a live one never does."""
        return self

    def __next__(self) -> VerifiedFrame:
        frame = self.receive()
        if frame is None:
            raise StopIteration
        return frame

    def durable(self, frames: Iterable[VerifiedFrame]) -> None:
        """Say that these frames are stored, so that their device may erase them; only for what a power cut leaves."""
        self._done += frames
        self._write_down()

    # ------------------------------------------------------------ asking

    def command(self, command: Command, argument: Argument = None) -> None:
        """Ask the device to do something (SPEC section 10) and wait until it has; frames go on arriving meanwhile.

        After REPL the source has ended: what else this side sent would be typed at the prompt. Raises CommandError if
        the device refuses or does not answer within 30 s.
        """
        self.ask(command, argument)

    def ask(self, command: Command, argument: Argument = None) -> Mapping[int, Any]:
        """Do as `command` does, and return the fields of the reply by `spec.CommandKey`."""
        if self._is_replay:
            raise UsageError("a replay takes no commands")
        self._result = None
        self._awaited = self._controller.request(command, argument, now=time.monotonic())
        while self._result is None:
            self._step(SLICE)
        if isinstance(self._result, Refused):
            raise refusal(command, self._result.result)
        if isinstance(self._result, Unanswered):
            raise CommandError(f"{command.name} was not answered", advice="is the device still there?")
        if command is Command.REPL:
            self._transport.close()
            self._is_open = False
            self.ended = True
        return self._result.fields

    def hold(self, talk: Talk[T]) -> T:
        """Ask what a talk asks, to its end, and return what it returns; raises CommandError as `ask` does."""
        answer: Mapping[int, Any] | CommandError | None = None
        try:
            while True:
                question = go_on(talk, answer)
                if question is PAUSE:
                    self.attend(PATIENCE)
                    answer = {}
                    continue
                try:
                    answer = self.ask(*question)
                except CommandError as error:
                    if not error.reason:
                        raise  # nobody answered
                    answer = error
        except StopIteration as end:
            return cast(T, end.value)

    def attend(self, seconds: float) -> None:
        """Do what is due for so long; frames that arrive wait to be asked for."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._step(min(SLICE, left))

    @property
    def identity(self) -> Identity | None:
        """Who is at the other end; a hint, unlike what verified frames say."""
        return self._controller.identity

    def clock(self, device: bytes) -> DeviceClock:
        """Return the clocks of a device, which know its chips' rates."""
        return self._conversation.clock(device)

    # ------------------------------------------------------------ opening and closing

    def open(self) -> None:
        """Connect now, or raise TransportError."""
        self._transport.open()
        self._is_open = True
        self._tell(Connected())

    def close(self) -> None:
        """Bring out the acknowledgements that are due, and disconnect. Frames not asked for stay on the device."""
        try:
            self._write_down()
            until = time.monotonic() + FAREWELL
            self._reconnect = True  # whatever breaks now has no more to say
            while self._is_open and not self._is_replay and time.monotonic() < until:
                self._step(SLICE / 5)
                if not self._conversation.is_acknowledging:
                    break
        finally:
            self._is_open = False
            self._transport.close()
            self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ one step

    def _step(self, wait: float) -> None:
        """Send what is due and read once, for at most `wait` seconds."""
        self._write_down()
        if not self._is_open:
            self._conversation.lapse(time.monotonic())
            self._open_again(wait)
            return
        try:
            data = self._conversation.poll(time.monotonic(), self._utc())
            if data:
                self._transport.write(data)
            received = self._transport.read(wait)
        except TransportError as error:
            self._lost(error)
            return
        if received is None:
            self.ended = True
            self._conversation.finish(time.monotonic())
        elif received:
            self._failures = 0
            self._conversation.feed(received, time.monotonic(), self._utc(), self._transport.arrived_us)

    def _utc(self) -> int:
        """Return the time in microseconds: a replay lives in that of its recording."""
        recorded = self._transport.arrived_us if self._is_replay else None
        return time.time_ns() // 1000 if recorded is None else recorded

    def _lost(self, error: TransportError) -> None:
        self._transport.close()
        self._is_open = False
        if not self._reconnect:
            raise error
        self._tell(Disconnected(str(error)))
        self._wait_longer()

    def _wait_longer(self) -> None:
        # Half of it by chance, so that many readers of one lost gateway do not come back at once.
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._failures, 16))
        self._open_at = time.monotonic() + wait * random.uniform(0.5, 1.0)  # noqa: S311
        self._failures += 1

    def _open_again(self, wait: float) -> None:
        left = self._open_at - time.monotonic()
        if left > 0:
            time.sleep(min(left, wait))
            return
        try:
            self._transport.open()
        except TransportError:
            self._wait_longer()
            return
        self._is_open = True
        self._conversation.reconnected()
        self._tell(Connected())

    def _write_down(self) -> None:
        if self._done:
            done, self._done = self._done, []
            self._conversation.durable(done)

    def _keep(self, quarantined: Quarantined) -> None:
        assert self._quarantine is not None
        self._quarantine.write(quarantined.frame.raw, quarantined.received_us)
        self._quarantine.sync()

    def _tell(self, event: ClientEvent) -> None:
        if isinstance(event, Answered | Refused | Unanswered) and event.ticket == self._awaited:
            self._result = event
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:  # somebody else's code must not cost a frame
                log.exception("on_event failed at %s", type(event).__name__)
