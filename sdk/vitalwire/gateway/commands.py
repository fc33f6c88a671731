"""Commands that sinks' peers and jobs ask for, to whatever port a device is at now; who may ask is the sinks' business.

Asked in the event loop, carried out in the intake's thread, which alone speaks with controllers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from vitalwire.control import Answered, Question, Refused, Unanswered
from vitalwire.errors import UsageError
from vitalwire.messages import Descriptor
from vitalwire.registry import Registry
from vitalwire.sinks import Asked
from vitalwire_protocol.spec import Command, Result

from .port import Desk, Port

MOST_WAITING = 256  # commands, beyond which more are answered as if the device were away


Reply: TypeAlias = Mapping[int, Any] | Result | int | None  # fields of the reply, why not, or None: no answer


class _Waiting(NamedTuple):
    device: str
    question: Question
    tell: Callable[[Reply], None]


class Commands:
    """A `Control`. `set_time` says whether the gateway tells devices UTC, which it then does by itself."""

    def __init__(self, registry: Registry, desk: Desk, *, set_time: bool) -> None:
        self._registry = registry
        self._desk = desk
        self._set_time = set_time
        self._waiting: deque[_Waiting] = deque()
        self._tickets: dict[tuple[Port, int], _Waiting] = {}
        self._channels: dict[str, Mapping[str, int]] = {}

    # ------------------------------------------------------------ for sinks and jobs, in the event loop

    def channels(self, device: str) -> Mapping[str, int]:
        """Return the ids of a device's channels by name, as its newest descriptor since we began has them."""
        return self._channels.get(device, {})

    async def carry_out(self, device: str, asked: Asked) -> Result | int | None:
        """Return how the device answered, None if it is at no port or did not answer."""
        if asked.command is Command.SET_TIME:
            return Result.OK if self._set_time else Result.NOT_ALLOWED
        found = await self.ask(device, Question(asked.command, asked.argument))
        return Result.OK if isinstance(found, Mapping) else found

    async def ask(self, device: str, question: Question) -> Reply:
        """Return what the device answered: the fields of its reply by `spec.CommandKey`, or why it did not do it."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Reply] = loop.create_future()

        def tell(reply: Reply) -> None:
            loop.call_soon_threadsafe(lambda: None if answered.done() else answered.set_result(reply))

        with self._desk.changed:
            if len(self._waiting) + len(self._tickets) >= MOST_WAITING:
                return None
            self._waiting.append(_Waiting(device, question, tell))
            self._desk.changed.notify()
        return await answered

    # ------------------------------------------------------------ for the intake, in its thread

    def learn(self, device: str, descriptor: Descriptor) -> None:
        """Note which channels a device has."""
        self._channels[device] = {channel.name: channel.id for channel in descriptor.channels}

    def send(self, ways: Mapping[bytes, Iterable[Port]], now: float) -> None:
        """Send what waits, each device through a port where it has proven who it is."""
        while self._waiting:
            with self._desk.changed:
                waiting = self._waiting.popleft()
            port = self._way(waiting.device, ways)
            if port is None or port.line is None:
                waiting.tell(None)
                continue
            try:
                ticket = port.line.controller.request(*waiting.question, now=now)
            except UsageError:
                waiting.tell(None)
            else:
                self._tickets[port, ticket] = waiting

    def _way(self, device: str, ways: Mapping[bytes, Iterable[Port]]) -> Port | None:
        try:
            thumbprint = self._registry.find(device).thumbprint
        except UsageError:
            return None
        for port in ways.get(thumbprint, ()):
            if port.line is not None and not port.closed:
                controller = port.line.controller
                if controller.confirmed and controller.identity and controller.identity.thumbprint == thumbprint:
                    return port
        return None

    def hear(self, port: Port, event: object) -> None:
        """Take a controller's word for what became of a command."""
        if isinstance(event, (Answered, Refused, Unanswered)):
            waiting = self._tickets.pop((port, event.ticket), None)
            if waiting is not None:
                match event:
                    case Answered(_, _, fields):
                        waiting.tell(fields)
                    case Refused(_, _, result):
                        waiting.tell(result)
                    case Unanswered():
                        waiting.tell(None)

    def gone(self, port: Port) -> None:
        """Give up what was asked through a port that is gone."""
        for key in [key for key in self._tickets if key[0] is port]:
            self._tickets.pop(key).tell(None)
