"""Delivers each device's frames to Azure IoT Hub as that device; who may not is told apart from a hub that is away."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Sequence

from vitalwire.errors import UsageError
from vitalwire.spool import Entry

from ..batches import by_device
from ..control import Control
from ..descriptors import FindDescriptor
from ..forms import Former
from ..sink import Rejected
from . import topics
from .connection import Connection, RefusedError
from .credentials import credential
from .provision import Assigned, provision
from .settings import Settings

_AT_ONCE = 32  # devices that are connected or delivered for at a time
_REFUSALS = 5  # after so many in a row, if the hub takes other devices, one device holds up nobody any more


def from_settings(settings: Settings, find: FindDescriptor) -> IotHub:
    """Return the sink of these settings."""
    return IotHub(settings, Former(settings.form, envelope=False, find=find))


class IotHub:
    """One hub, or those that the provisioning service assigns."""

    def __init__(self, settings: Settings, form: Former) -> None:
        self._settings = settings
        self._form = form
        self._control: Control | None = None
        self._connections: OrderedDict[str, Connection] = OrderedDict()
        self._assigned: dict[str, Assigned] = {}
        self._refused: Counter[str] = Counter()  # in a row, by device
        self._alone: set[str] = set()  # refused while the hub took others

    def use(self, control: Control) -> None:
        """Let methods and twins command devices, if it was configured so."""
        if self._settings.commands:
            self._control = control

    async def open(self) -> None:
        """Do nothing: a device is connected when it has something to say."""

    async def deliver(self, batch: Sequence[Entry]) -> Sequence[Rejected]:
        """Return when the hub has acknowledged each message."""
        rejected: list[Rejected] = []
        taken = False
        devices = by_device(batch)
        refusals: list[tuple[Sequence[Entry], RefusedError]] = []
        at_once = min(_AT_ONCE, self._settings.connections)
        for start in range(0, len(devices), at_once):
            some = devices[start : start + at_once]
            await self._make_room(len(some))
            answers = await asyncio.gather(*map(self._of_device, some), return_exceptions=True)
            for entries, answer in zip(some, answers, strict=True):
                if isinstance(answer, RefusedError):
                    refusals.append((entries, answer))
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    taken = True
                    rejected += answer
        return rejected + self._judge(refusals, taken)

    def _judge(self, refusals: Sequence[tuple[Sequence[Entry], RefusedError]], taken: bool) -> list[Rejected]:
        """Return the entries to give up: of devices refused often, by a hub that takes others. Else raise."""
        names = [entries[0].device for entries, _ in refusals]
        self._refused.update(names)
        self._alone.update(names if taken else ())
        for name, (_, error) in zip(names, refusals, strict=True):
            if name not in self._alone or self._refused[name] < _REFUSALS:
                raise error
        return [Rejected(entry.position, str(error)) for entries, error in refusals for entry in entries]

    async def _of_device(self, entries: Sequence[Entry]) -> list[Rejected]:
        name = entries[0].device
        if not topics.DEVICE.fullmatch(name) or not name.strip("."):
            return [Rejected(entry.position, "a hub takes no device of this name") for entry in entries]
        messages: list[tuple[str, bytes]] = []
        rejected: list[Rejected] = []
        try:
            connection = await self._connection(name)
            device = self._assigned[name].device
            for entry in entries:
                message = self._form(entry)
                if not isinstance(message, Rejected):
                    topic = topics.telemetry(device, message)
                    if len(message.body) + len(topic) <= topics.MAX_MESSAGE:
                        messages.append((topic, message.body))
                        continue
                    message = Rejected(entry.position, f"{len(message.body)} bytes; a hub takes {topics.MAX_MESSAGE}")
                rejected.append(message)
            await connection.publish(messages)
        except UsageError as error:
            raise RefusedError(str(error), reason="configuration") from None
        del self._refused[name]
        self._alone.discard(name)
        return rejected

    async def _connection(self, name: str) -> Connection:
        found = self._connections.get(name)
        if found is not None and found.alive:
            self._connections.move_to_end(name)
            return found
        if found is not None:
            await self._drop(name)
        settings = self._settings
        proof = credential(settings, name)
        if settings.provisioning is not None and name not in self._assigned:
            self._assigned[name] = await provision(settings.provisioning, name, proof, settings.seconds)
        place = self._assigned.setdefault(name, Assigned(settings.host or "", name))
        connection = Connection(
            place.device,
            place.host,
            settings.port,
            proof,
            token_seconds=settings.token_seconds,
            seconds=settings.seconds,
            control=self._control,
        )
        try:
            await connection.open()
        except RefusedError:
            self._assigned.pop(name)  # it may belong to another hub by now
            raise
        self._connections[name] = connection
        return connection

    async def _make_room(self, count: int) -> None:
        while len(self._connections) + count > self._settings.connections and self._connections:
            await self._drop(next(iter(self._connections)))

    async def _drop(self, name: str) -> None:
        await self._connections.pop(name).close()

    async def close(self) -> None:
        """Disconnect all devices."""
        names = list(self._connections)
        await asyncio.gather(*map(self._drop, names))
