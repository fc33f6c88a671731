"""Brings an update to a device over whatever link there is to it; goes on where an earlier attempt ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from vitalwire.client import Client
from vitalwire.control import PAUSE, Question, Talk
from vitalwire.errors import CommandError
from vitalwire.frame.fields import integer
from vitalwire_protocol.spec import Command, CommandKey, Limit, Result

from .package import Package

_BLOCK = 384  # bytes of an update in one command: the rest of MAX_COMMAND is its COSE and its own fields
_MOST = Limit.MAX_FRAME + Limit.MAX_UPDATE_FILES * Limit.MAX_UPDATE_FILE  # more than a whole image
_STUBBORN = 3  # times that a device may lose what it had before this gives up
_STARTED_SINCE = (Result.NO_UPDATE.name, Result.BAD_ARGUMENT.name)  # none is whole in this boot; one is on trial


class Progress(Protocol):
    """Is told how many bytes the device has of how many."""

    def __call__(self, done: float, total: float | None = None) -> None:
        """Take both."""


def send(client: Client, package: Package, progress: Progress | None = None) -> None:
    """Send an update until the device has it whole and verified; frames that arrive meanwhile wait in the client.

    Raises CommandError when the device refuses it (its reason says which), or loses blocks again and again.
    """
    client.hold(bringing(package, progress))


def apply(client: Client, *, now: bool = True) -> bool:
    """Have the device start the update it has, now or whenever it starts; raises CommandError if it has none.

    Returns whether the update waits: for a start of the device, or with `now` for the hour that its settings name.
    """
    return _pending(client.ask(Command.UPDATE_APPLY, int(now)))


def waits(client: Client) -> bool:
    """Return whether an update that the device has waits for its start; raises CommandError during a trial."""
    return _pending(client.ask(Command.UPDATE_STATUS))


def confirmed(client: Client) -> int:
    """Return the anti-rollback counter of the device's confirmed firmware; 0 is the factory's."""
    return _confirmed(client.ask(Command.UPDATE_STATUS))


def bringing(package: Package, progress: Progress | None = None) -> Talk[None]:
    """What to ask until a device has an update whole and verified; CommandError as `send` says."""
    total = len(package.data)
    begin = Question(Command.UPDATE_BEGIN, (package.signed, package.digest))
    offset = _offset((yield begin))
    lost = 0
    while offset < total:
        if progress is not None:
            progress(offset, total)
        before = offset
        try:
            offset = _offset((yield Question(Command.UPDATE_WRITE, (offset, package.data[offset : offset + _BLOCK]))))
        except CommandError as error:
            if error.reason != Result.NO_UPDATE.name:
                raise
            offset = _offset((yield begin))  # it has started since, and goes on
        if offset <= before:
            lost += 1
            if lost == _STUBBORN:
                raise CommandError(f"the device has {offset} of {total} bytes and takes no more")
    if progress is not None:
        progress(total, total)


def installing(
    package: Package, progress: Progress | None = None, *, at_once: bool = True, started: bool = False
) -> Talk[bool]:
    """What to ask until a device has an update for good: returns whether it stayed, or went back to the one before.

    `at_once`: the device is to start it as its settings say, otherwise whenever it starts; `started`: it was told
    so before. CommandError when the device refuses it.
    """
    lost = 0
    while True:
        try:
            status = yield Question(Command.UPDATE_STATUS)
        except CommandError as error:
            if error.reason != Result.BAD_ARGUMENT.name:
                raise
            yield PAUSE  # one starts, or is on trial
            continue
        if _pending(status):
            yield PAUSE
            continue
        counter = _confirmed(status)
        if started or counter == package.manifest.counter:
            return counter == package.manifest.counter
        yield from bringing(package, progress)
        try:
            yield Question(Command.UPDATE_APPLY, int(at_once))
            started = True
        except CommandError as error:
            lost += 1
            if error.reason not in _STARTED_SINCE or lost == _STUBBORN:
                raise  # else it has started since it was whole, perhaps for this question, whose answer was lost


def _confirmed(fields: Mapping[int, Any]) -> int:
    return integer(fields, CommandKey.CONFIRMED, 0, 0xFFFFFFFF)


def _pending(fields: Mapping[int, Any]) -> bool:
    return fields.get(CommandKey.PENDING) is True


def _offset(fields: Mapping[int, Any]) -> int:
    return integer(fields, CommandKey.OFFSET, 0, _MOST)
