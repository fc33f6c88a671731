"""Writes `firmware/wire.py`, the ids, limits and layouts of `spec` that a device needs, `signals.py` and `settings.py`.

Constants are plain public names, because `_NAME = const()` vanishes from a MicroPython module.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from vitalwire_protocol import spec

from .layouts import struct_format

# Enums a device needs, with the prefix of their constants there. Limits stand without a prefix.
DEVICE_ENUMS: tuple[tuple[type[IntEnum], str], ...] = (
    (spec.Limit, ""),
    (spec.Tag, "TAG_"),
    (spec.Alg, "ALG_"),
    (spec.Header, "HEADER_"),
    (spec.CoseKey, "COSEKEY_"),
    (spec.Kind, "KIND_"),
    (spec.Key, "KEY_"),
    (spec.ChannelKey, "CHANNELKEY_"),
    (spec.Policy, "POLICY_"),
    (spec.Durable, "DURABLE_"),
    (spec.Mark, "MARK_"),
    (spec.Event, "EVENT_"),
    (spec.EventKey, "EVENTKEY_"),
    (spec.Cause, "CAUSE_"),
    (spec.Fault, "FAULT_"),
    (spec.Counter, "COUNTER_"),
    (spec.Coding, "CODING_"),
    (spec.PacketType, "PACKETTYPE_"),
    (spec.LogLevel, "LOGLEVEL_"),
    (spec.BleControl, "BLECONTROL_"),
    (spec.Command, "COMMAND_"),
    (spec.CommandKey, "COMMANDKEY_"),
    (spec.Result, "RESULT_"),
    (spec.Record, "RECORD_"),
    (spec.RecordFlag, "RECORDFLAG_"),
    (spec.UpdateKind, "UPDATEKIND_"),
    (spec.UpdateKey, "UPDATEKEY_"),
    (spec.ConfigurationKey, "CONFIGURATIONKEY_"),
    (spec.Setting, "SETTING_"),
    (spec.ReportedKey, "REPORTEDKEY_"),
)
DEVICE_VALUES = (
    "VERSION", "KTY_EC2", "CRV_P256", "SIGNATURE_SIZE", "MAC_SIZE", "AAD_FRAME", "AAD_COMMAND", "AAD_REPLY",
    "AAD_PRIVATE", "AAD_UPDATE", "AAD_CONFIGURATION", "SECRET_SIZE", "INFO_COMMAND", "INFO_FRAME", "INFO_PRIVATE",
    "INFO_PASSKEY", "BLE_SERVICE", "BLE_TO_DEVICE", "BLE_FROM_DEVICE", "BLE_CONTROL", "BLE_PASSKEY_SIZE",
    "BLE_PASSKEYS", "CCM_KEY_SIZE", "CCM_TAG_SIZE", "PREV_SIZE", "DIGEST_SIZE", "THUMBPRINT_SIZE", "CODING_BITS",
    "PACKET_DELIMITER",
    "NONCE_SIZE", "SECTOR_SIZE", "JOURNAL_MAGIC", "RECORD_ALIGN", "LIFT_ORDER_BITS", "LIFT_LEVELS_BITS",
    "LIFT_SIZE_BITS", "LIFT_PARAMETER_BITS", "LIFT_SHIFT_BITS", "LIFT_SUM_BITS", "LIFT_KERNEL_BITS", "LIFT_UNIT",
    "LIFT_SCALE", "LIFT_WEIGHTS",
)  # fmt: skip
DEVICE_STRUCTS = {
    "packet_header": spec.PacketHeader,
    "packet_trailer": spec.PacketTrailer,
    "log_header": spec.LogHeader,
    "ble_limit": spec.BleLimit,
    "sector_header": spec.SectorHeader,
    "record_header": spec.RecordHeader,
    "ack_body": spec.AckBody,
    "state_body": spec.StateBody,
    "drop_body": spec.DropBody,
    "private_nonce": spec.PrivateNonce,
}

HEAD = """\
# Generated from vitalwire_protocol/spec.py by `python -m vitalwire_tools.codegen`; do not edit.
# Ids, limits and layouts of the contract; a layout is a format of the struct module, see pack().
from struct import calcsize, pack_into
from micropython import const

"""

SIGNALS_HEAD = """\
# Generated from vitalwire_protocol/spec.py by `python -m vitalwire_tools.codegen`; do not edit.
# What there is to be measured, a line each: name, MDC code or 0, UCUM unit. Only a descriptor needs it.
"""

SETTINGS_HEAD = """\
# Generated from vitalwire_protocol/spec.py by `python -m vitalwire_tools.codegen`; do not edit.
# What may be configured from afar: name: (default, smallest, largest) or (default, all of them); a word's number is its
# place from 1 on. NAMES[key] is the name of a configuration's key. STARTS: what takes a start. cycle(on_s, every_s):
# whether the two go together.
"""

PACK = """

def pack(layout, buf, pos, *values):
    # pack_into() that refuses what that would wrap, cut or fill silently; nothing is written then
    i = size = 0
    for letter in layout[1:]:
        if letter.isdigit():
            size = 10 * size + int(letter)
            continue
        if len(values[i]) != size if size else values[i] >> 8 * calcsize("<" + letter):
            raise ValueError("range")
        i += 1
        size = 0
    pack_into(layout, buf, pos, *values)
"""

VARINTS = """

def put_varint(buf, pos, n):
    if not 0 <= n <= 0xFFFFFFFF:
        raise ValueError("varint")
    while n > 0x7F:
        buf[pos] = n & 0x7F | 0x80
        n >>= 7
        pos += 1
    buf[pos] = n
    return pos + 1


def put_zigzag(buf, pos, n):
    return put_varint(buf, pos, 2 * n if n >= 0 else -2 * n - 1)
"""


def device_constants() -> dict[str, int | bytes | str]:
    """Return every constant of the device file by name."""
    constants: dict[str, int | bytes | str] = {name: getattr(spec, name) for name in DEVICE_VALUES}
    for enum, prefix in DEVICE_ENUMS:
        constants.update({prefix + name: member.value for name, member in enum.__members__.items()})
    return constants


def render() -> str:
    """Return the text of `firmware/wire.py`."""
    lines = [HEAD]
    for name, value in device_constants().items():
        lines.append(f"{name} = const({value})\n" if isinstance(value, int) else f"{name} = {value!r}\n")
    for name, struct in DEVICE_STRUCTS.items():
        lines.append(f'{name.upper()} = "{struct_format(struct)}"\n')
        lines.append(f"{name.upper()}_SIZE = const({struct.sizeof()})\n")  # type: ignore[attr-defined]
    return "".join([*lines, PACK, VARINTS])


def render_signals() -> str:
    """Return the text of `firmware/signals.py`."""
    rows = "".join(f'    "{s.name} {s.mdc or 0} {s.unit}\\n"\n' for s in spec.SIGNALS.values())
    return f"{SIGNALS_HEAD}SIGNALS = (\n{rows})\n"


def device_settings() -> dict[str, tuple[Any, ...]]:
    """Return what may be configured from afar as `config.json` has it: (default, least, most) or (default, all)."""
    return {key.name.lower(): _rule(rule) for key, rule in spec.SETTINGS.items()}


def _rule(rule: spec.SettingRule) -> tuple[Any, ...]:
    if rule.words:
        return rule.words[rule.default - 1], rule.words
    return (rule.default, rule.only) if rule.only else (rule.default, rule.least, rule.most)


def render_settings() -> str:
    """Return the text of `firmware/settings.py`."""
    rows = "".join(f"    {json.dumps(name)}: {_text(rule)},\n" for name, rule in device_settings().items())
    names = "".join(f"    {key.value}: {json.dumps(key.name.lower())},\n" for key in spec.SETTINGS)
    starts = "".join(f"    {json.dumps(key.name.lower())},\n" for key, rule in spec.SETTINGS.items() if rule.starts)
    tables = f"SETTINGS = {{\n{rows}}}\nNAMES = {{\n{names}}}\nSTARTS = (\n{starts})\n"
    return f"{SETTINGS_HEAD}{tables}\n\n{_plain(spec.cycle)}\n"


def _plain(function: Callable[..., object]) -> str:
    """Return a function's text without its docstring and types."""
    (node,) = ast.parse(inspect.getsource(function)).body
    assert isinstance(node, ast.FunctionDef)
    node.body, node.returns = node.body[1:], None
    for argument in node.args.args:
        argument.annotation = None
    return ast.unparse(node)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_text, value)) + ")"
    return json.dumps(value)
