"""Writes the tables of `protocol/SPEC.md` between its `generated` markers, meanings included."""

from __future__ import annotations

import inspect
import re
import struct
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any

from vitalwire_protocol import spec

from .layouts import fields

BLE_UUIDS = ("BLE_SERVICE", "BLE_TO_DEVICE", "BLE_FROM_DEVICE", "BLE_CONTROL")
MARKER = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(head), *[[str(cell) for cell in row] for row in rows]]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    text.insert(1, "|" + "---|" * len(lines[0]))
    return "\n".join(text) + "\n"


def meanings(enum: type[IntEnum]) -> dict[str, str]:
    """Return the comment beside each member in `spec`'s source, so that a meaning is written once."""
    found = re.findall(r"^ +(\w+) = [^#\n]+(?:# (.*))?$", inspect.getsource(enum), re.MULTILINE)
    return dict(found)


def _enum(enum: type[IntEnum]) -> str:
    said = meanings(enum)
    members = enum.__members__.items()  # iterating the class would leave out names of equal value
    if any(said.values()):
        return _table(("name", "value", "meaning"), ((f"`{name}`", m.value, said.get(name, "")) for name, m in members))
    return _table(("name", "value"), ((f"`{name}`", m.value) for name, m in members))


def _struct(name: str, layout: Any) -> str:
    offset, rows = 0, []
    for field, letter in fields(layout):
        size = struct.calcsize(f"<{letter}")
        rows.append((offset, size, f"`{field}`"))
        offset += size
    return f"{name}, {offset} bytes:\n\n" + _table(("offset", "bytes", "field"), rows)


def _signals() -> str:
    rows = (
        (f"`{s.name}`", s.mdc or "-", s.mdc_name or "local", ", ".join(s.loinc) or "-", f"`{s.unit}`")
        for s in spec.SIGNALS.values()
    )
    return _table(("name", "MDC", "reference id", "LOINC", "UCUM"), rows)


def _calibrated() -> str:
    rows = ((f"`{name}`", spec.SIGNALS[name].mdc, x) for name, x in spec.CALIBRATED.items())
    return _table(("reading", "MDC", "x"), rows)


def _ble() -> str:
    rows = [(f"`{name[4:]}`", f"`{getattr(spec, name)}`") for name in vars(spec) if name in BLE_UUIDS]
    return _table(("name", "UUID"), rows) + "\n" + _struct("BleLimit", spec.BleLimit)


def _aad() -> str:
    names = sorted(n for n in vars(spec) if n.startswith("AAD_"))
    return _table(("use", "external_aad"), ((n[4:].lower(), f"`{getattr(spec, n).decode()}`") for n in names))


def _info() -> str:
    uses = {
        "COMMAND": ("MACs of commands and replies", spec.MAC_SIZE),
        "FRAME": ("MACs of frames", spec.MAC_SIZE),
        "PRIVATE": ("encryption in frames", spec.CCM_KEY_SIZE),
        "PASSKEY": ("pairing over Bluetooth LE", spec.BLE_PASSKEY_SIZE),
    }
    rows = ((use, f"`{getattr(spec, 'INFO_' + name).decode()}`", size) for name, (use, size) in uses.items())
    return _table(("key for", "info", "bytes"), rows)


def _settings() -> str:
    said = meanings(spec.Setting)
    rows = (
        (
            f"`{key.name}`",
            key.value,
            ", ".join(f"{number} {word}" for number, word in enumerate(rule.words, 1))
            or ", ".join(map(str, rule.only))
            or f"{rule.least} to {rule.most}",
            rule.default,
            "yes" if rule.starts else "",
            said[key.name],
        )
        for key, rule in spec.SETTINGS.items()
    )
    return _table(("name", "key", "values", "default", "takes a start", "meaning"), rows)


SPECIAL: dict[str, Callable[[], str]] = {
    "SIGNALS": _signals,
    "SETTINGS": _settings,
    "CALIBRATED": _calibrated,
    "AAD": _aad,
    "INFO": _info,
    "ble": _ble,
    "nonce": lambda: _struct("Nonce", spec.PrivateNonce),
    "packets": lambda: _struct("Header", spec.PacketHeader) + "\n" + _struct("Trailer", spec.PacketTrailer),
    "journal": lambda: "\n".join(
        (
            _struct("Sector header", spec.SectorHeader),
            _struct("Record header", spec.RecordHeader),
            _struct("Body of an `ACK` record", spec.AckBody),
            _struct("Body of a `STATE` record", spec.StateBody),
            _struct("Body of a `DROP` record", spec.DropBody),
        )
    ),
}


def render(text: str) -> str:
    """Return SPEC.md with every generated table written anew; KeyError for a marker that names nothing."""

    def fill(match: re.Match[str]) -> str:
        name = match[2]
        body = SPECIAL[name]() if name in SPECIAL else _enum(getattr(spec, name))
        return f"{match[1]}\n{body}\n{match[3]}"

    return MARKER.sub(fill, text)
