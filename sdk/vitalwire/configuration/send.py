"""Brings a configuration to a device over whatever link there is to it, and asks which is in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitalwire import cbor, crypto
from vitalwire.client import Client
from vitalwire.control import PAUSE, Question, Talk, refusal
from vitalwire.errors import CommandError, FrameError
from vitalwire.frame.fields import integer, octets
from vitalwire_protocol.spec import Command, CommandKey, ConfigurationKey, ReportedKey, Result

from .document import MAX_VERSION
from .words import to_words

_LOOKS = 120  # at what it says, with a pause each: the longest frame, and a second or two to verify a signature


@dataclass(frozen=True, slots=True)
class Reported:
    """What a device says: the version in force (0: as provisioned), the newest it ever took, and every setting."""

    version: int
    newest: int
    settings: Mapping[int, int]


def configure(client: Client, message: bytes) -> None:
    """Send a signed configuration, and return when the device has taken it; frames meanwhile wait in the client.

    The device looks at it when its next frame is made, and takes it whole or refuses it whole: CommandError says why.
    A start may follow; the event CONFIGURED says when it is in force.
    """
    client.hold(configuring(message))


def configuring(message: bytes) -> Talk[None]:
    """What to ask until a device has taken a signed configuration; CommandError as `configure` says."""
    fields: Any = cbor.decode(crypto.sign1_payload(message))
    version = integer(fields, ConfigurationKey.VERSION, 1, MAX_VERSION)
    yield Question(Command.CONFIGURE, message)
    was_new = False  # to the device
    for _ in range(_LOOKS):
        is_pending, said = _read((yield Question(Command.CONFIGURATION)))
        is_new = integer(said, ReportedKey.NEWEST, 0, MAX_VERSION) < version
        if not is_pending:
            if ReportedKey.OUTCOME in said:
                outcome = integer(said, ReportedKey.OUTCOME, 0, 255)
                break
            if was_new and not is_new:
                return  # it was taken, and the device has started since
            yield Question(Command.CONFIGURE, message)  # a start forgot it; once more harms nothing
        was_new |= is_new
        yield PAUSE
    else:
        raise CommandError("the device has not looked at its configuration in time")
    if outcome != Result.OK:
        key = integer(said, ReportedKey.SETTING, 0, 255)
        about = next(iter(to_words({key: 0}))) if key else ""
        result = Result(outcome) if outcome in Result._value2member_map_ else outcome
        raise refusal(Command.CONFIGURE, result, about)


def reported(client: Client) -> Reported:
    """Return what is in force. Raises CommandError, or FrameError for an answer without the form."""
    _, fields = _read(client.ask(Command.CONFIGURATION))
    settings = fields.get(ReportedKey.SETTINGS)
    if not isinstance(settings, dict) or not all(type(each) is int and each >= 0 for each in settings.values()):
        raise FrameError("settings are a map of numbers", reason="type")
    return Reported(
        integer(fields, ReportedKey.IN_FORCE, 0, MAX_VERSION),
        integer(fields, ReportedKey.NEWEST, 0, MAX_VERSION),
        settings,
    )


def _read(reply: Mapping[int, Any]) -> tuple[bool, dict[int, Any]]:
    """Return whether a configuration waits, and what the device reports, by `ReportedKey`."""
    said: Any = cbor.decode(octets(reply, CommandKey.REPORTED))
    if not isinstance(said, dict):
        raise FrameError("what is reported is a map", reason="type")
    return reply.get(CommandKey.PENDING) is True, said
