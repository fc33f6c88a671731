"""What a cloud asks of a device, in the words of direct methods and twins, as commands and results of the contract.

Pure functions. Who carries a command out, under which key, is the gateway's.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from vitalwire.errors import InputError
from vitalwire_protocol.spec import Command, Limit, LogLevel, Result

from ..control import Asked

MAX_PAYLOAD = 8192  # bytes of JSON from the hub; a twin's desired properties end at 32 KB, ours are a few words
MAX_CONFIGURATION = Limit.MAX_COMMAND - 128  # bytes: the rest is the command around it
SILENT = 504
# HTTP's numbers, which methods and twins are answered with.
_STATUS: dict[int, int] = {
    Result.OK: 200,
    Result.BAD_ARGUMENT: 400,
    Result.NOT_ALLOWED: 403,
    Result.NOT_PROVISIONED: 403,
    Result.UNKNOWN_COMMAND: 501,
}
_REFUSED = 502


def from_method(name: str, payload: object, channels: Mapping[str, int]) -> Asked:
    """Return what a direct method asks. Raises InputError for one that is unknown or whose payload is wrong."""
    read = _METHODS.get(name)
    if read is None:
        raise InputError(f"no method {name[: Limit.MAX_TEXT]!r}", advice="there are " + ", ".join(_METHODS))
    return read(payload if isinstance(payload, dict) else {}, channels)


def from_desired(desired: Mapping[str, Any], channels: Mapping[str, int]) -> dict[str, tuple[Asked, ...]]:
    """Return what each desired property that is ours asks, by its name; others are not ours.

    `logLevel` is a level's name, `channels` says of channels by name or id whether they shall run, `configuration` is
    what `vitalwire config sign` printed: the hub passes on what an operator signed. Raises InputError.
    """
    asked: dict[str, tuple[Asked, ...]] = {}
    if "logLevel" in desired:
        asked["logLevel"] = (_level({"level": desired["logLevel"]}, channels),)
    if "channels" in desired:
        wanted = desired["channels"]
        if not isinstance(wanted, dict) or any(type(each) is not bool for each in wanted.values()):
            raise InputError("channels is a map from channels to true or false")
        switched = ((Command.START, True), (Command.STOP, False))
        asked["channels"] = tuple(
            Asked(command, _ids([name for name, runs in wanted.items() if runs is way], channels))
            for command, way in switched
            if way in wanted.values()
        )
    if "configuration" in desired:
        asked["configuration"] = (Asked(Command.CONFIGURE, _signed(desired["configuration"])),)
    return asked


def status_of(result: Result | int | None) -> int:
    """Return how a command's result is told to the cloud."""
    return SILENT if result is None else _STATUS.get(int(result), _REFUSED)


def _switch(command: Command) -> Callable[[Mapping[str, Any], Mapping[str, int]], Asked]:
    def read(payload: Mapping[str, Any], channels: Mapping[str, int]) -> Asked:
        named = payload.get("channels")
        if not isinstance(named, list) or not named:
            raise InputError('says which: {"channels": ["ecg_lead_i", 3]}')
        return Asked(command, _ids(named, channels))

    return read


def _ids(named: list[Any], channels: Mapping[str, int]) -> tuple[int, ...]:
    if len(named) > Limit.MAX_CHANNELS:
        raise InputError(f"more than {Limit.MAX_CHANNELS} channels")
    ids = []
    for each in named:
        number = each
        if isinstance(each, str):
            number = int(each) if each.isdecimal() and each.isascii() and len(each) < 3 else channels.get(each)
        if type(number) is not int or not 0 <= number < Limit.MAX_CHANNELS:
            raise InputError(f"no channel {str(each)[: Limit.MAX_TEXT]!r}")
        ids.append(number)
    return tuple(dict.fromkeys(ids))


def _signed(text: object) -> bytes:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    if not 0 < len(data) <= MAX_CONFIGURATION:
        raise InputError("configuration is what `vitalwire config sign` printed")
    return data


def _level(payload: Mapping[str, Any], _: Mapping[str, int]) -> Asked:
    level = payload.get("level")
    found = next((each for each in LogLevel if isinstance(level, str) and each.name == level.upper()), None)
    if found is None:
        raise InputError("a level is one of " + ", ".join(each.name.lower() for each in LogLevel))
    return Asked(Command.LOG_LEVEL, int(found))


_METHODS: dict[str, Callable[[Mapping[str, Any], Mapping[str, int]], Asked]] = {
    "start": _switch(Command.START),
    "stop": _switch(Command.STOP),
    "setLogLevel": _level,
    "setTime": lambda _, __: Asked(Command.SET_TIME),
    "reboot": lambda _, __: Asked(Command.REBOOT),
}
