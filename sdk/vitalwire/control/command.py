"""What goes to a device and comes back: commands and replies, to bytes and from bytes (SPEC.md section 10).

Pure functions; who asks when, and whether an answer is to be believed, is the business of `vitalwire.control`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from vitalwire import cbor, crypto
from vitalwire.errors import FrameError
from vitalwire.frame.fields import integer, octets, text
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Command, CommandKey, Result

Argument: TypeAlias = int | bytes | Sequence[int | bytes] | Sequence[tuple[int, int]] | None

_MAC0_TAG = cbor.head(6, spec.Tag.MAC0)
_MAX_UINT = (1 << 64) - 1
_MAX_TICKS = (1 << 63) - 1

# What the keys of a reply must look like, wherever they stand.
_CHECKS: dict[CommandKey, Callable[[Mapping[int, Any], CommandKey], object]] = {
    CommandKey.BOOT: lambda fields, key: integer(fields, key, 1, spec.Limit.MAX_BOOT),
    CommandKey.NONCE: lambda fields, key: octets(fields, key, spec.NONCE_SIZE),
    CommandKey.COUNTER: lambda fields, key: integer(fields, key, 0, _MAX_UINT),
    CommandKey.TICKS: lambda fields, key: integer(fields, key, 0, _MAX_TICKS),
    CommandKey.THUMBPRINT: lambda fields, key: octets(fields, key, spec.THUMBPRINT_SIZE),
    CommandKey.FIRMWARE: text,
    CommandKey.BOARD: text,
    CommandKey.NAME: text,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a device says it is; only a closed reply proves it. `ticks` is its clock, microseconds since its boot."""

    thumbprint: bytes  # 32 bytes
    boot: int
    nonce: bytes = field(repr=False)  # 8 bytes
    counter: int  # the last one it accepted
    ticks: int
    firmware: str
    board: str
    name: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A device's answer. `closed` says whether its MAC was checked; if not, it is a hint, and has no counter."""

    closed: bool
    command: spec.Command | int  # 0: the device could not read which
    result: spec.Result | int
    counter: int | None  # of the command it answers
    nonce: bytes | None = field(repr=False)
    ticks: int | None
    fields: Mapping[int, object] = field(repr=False)


def open_command(command: Command) -> bytes:
    """Return the body of a command without MAC; only `spec.OPEN_COMMANDS` may be asked that way."""
    if command not in spec.OPEN_COMMANDS:
        raise ValueError(f"{command.name} needs a MAC")
    return cbor.encode({CommandKey.COMMAND: command})


def closed_command(key: bytes, identity: Identity, counter: int, command: Command, argument: Argument = None) -> bytes:
    """Return the body of a command under the device's command key (32 bytes); `argument` is of SPEC section 10."""
    fields: dict[int, object] = {
        CommandKey.COMMAND: command,
        CommandKey.DEVICE: identity.thumbprint[: spec.DIGEST_SIZE],
        CommandKey.BOOT: identity.boot,
        CommandKey.NONCE: identity.nonce,
        CommandKey.COUNTER: counter,
    }
    if argument is not None:
        fields[CommandKey.ARGUMENT] = argument
    return crypto.mac0(key, cbor.encode(fields), spec.AAD_COMMAND)


def is_closed(body: bytes) -> bool:
    """Return whether a reply's body claims to have a MAC."""
    return body.startswith(_MAC0_TAG)


def parse_reply(body: bytes, key: bytes | None = None) -> Reply:
    """Return the reply in a packet's body; a closed one only if its MAC is by `key`.

    Raises `FrameError` or `CborError` for what is no reply, `SignatureError` for a MAC that does not verify.
    """
    if len(body) > spec.Limit.MAX_COMMAND:
        raise FrameError(f"a reply of {len(body)} bytes", reason="oversized")
    closed = is_closed(body)
    if closed and key is None:
        raise FrameError("a closed reply, and no key to check it", reason="mac")
    fields = cbor.decode(crypto.open_mac0(key, body, spec.AAD_REPLY) if closed and key is not None else body)
    if not isinstance(fields, dict):
        raise FrameError("a reply is a map", reason="type")
    command = integer(fields, CommandKey.COMMAND, 1 if closed else 0, 255)
    result = integer(fields, CommandKey.RESULT, 0, 255)
    for name, check in _CHECKS.items():
        if name in fields:
            check(fields, name)
    return Reply(
        closed=closed,
        command=Command(command) if command in Command._value2member_map_ else command,
        result=Result(result) if result in Result._value2member_map_ else result,
        counter=integer(fields, CommandKey.COUNTER, 1, _MAX_UINT) if closed else None,
        nonce=octets(fields, CommandKey.NONCE, spec.NONCE_SIZE) if closed else None,
        ticks=integer(fields, CommandKey.TICKS, 0, _MAX_TICKS) if CommandKey.TICKS in fields else None,
        fields=fields,
    )


def parse_identity(reply: Reply) -> Identity:
    """Return what a reply to `IDENTIFY` says of the device; raises `FrameError` where something is missing."""
    fields: Mapping[int, Any] = reply.fields
    for name, check in _CHECKS.items():
        check(fields, name)
    return Identity(
        thumbprint=fields[CommandKey.THUMBPRINT],
        boot=fields[CommandKey.BOOT],
        nonce=fields[CommandKey.NONCE],
        counter=fields[CommandKey.COUNTER],
        ticks=fields[CommandKey.TICKS],
        firmware=fields[CommandKey.FIRMWARE],
        board=fields[CommandKey.BOARD],
        name=fields[CommandKey.NAME],
    )
