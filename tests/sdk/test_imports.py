"""Imports go one way: the rule of the design, read off the sources."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "sdk" / "vitalwire"

# What each room of the SDK may import of ours. A room not named here is free but for the rules below the table.
BASE = {"errors", "messages", "vitalwire_protocol"}
CORE = BASE | {"codec", "crypto", "cbor", "frame", "packet"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "messages": {"vitalwire_protocol"},
    "cbor": BASE,
    "codec": BASE,
    "crypto": BASE | {"cbor"},
    "frame": BASE | {"cbor", "crypto"},
    "packet": BASE,
    "transports": {"errors", "transports"},
    "readings": BASE | {"readings"},
    "fhir": BASE | {"fhir"},
    "sinks": BASE | {"readings", "fhir", "sinks"},
}


def imported(path: Path) -> set[str]:
    """Return the names of our packages and of the SDK's rooms that a file imports."""
    package = path.relative_to(SDK.parent).parts[:-1] if SDK in path.parents else ()
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            module = (base + (node.module or "")).strip(".")
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "vitalwire" and len(parts) > 1:
                found.add(parts[1])
            elif parts[0].startswith("vitalwire_"):
                found.add(parts[0])
    return found


SOURCES = sorted(SDK.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(SDK)))
def test_sdk_imports_go_one_way(path: Path) -> None:
    """A file of the SDK imports only from rooms below its own, and never the tools."""
    room = path.relative_to(SDK).parts[0].removesuffix(".py")
    found = imported(path) - {room}
    assert "vitalwire_tools" not in found
    if room in ALLOWED:
        assert found <= ALLOWED[room], f"{room} must not import {sorted(found - ALLOWED[room])}"
    if room not in {"cli", "__main__"}:
        assert "cli" not in found


def test_spec_imports_nothing_of_ours() -> None:
    """`spec` stands on `construct` and the standard library alone."""
    for path in (ROOT / "protocol").rglob("*.py"):
        if path.parent.name == "vitalwire_protocol":
            assert not imported(path)


def firmware_imports(path: Path) -> set[str]:
    """Return the top-level names a firmware file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


MICROPYTHON = {
    "array", "binascii", "cryptolib", "gc", "hashlib", "io", "json", "micropython", "os", "select", "struct", "sys",
    "time", "uctypes", "vfs", "errno", "random", "termios", "socket",
}  # fmt: skip
RADIO = {"bluetooth", "network"}


@pytest.mark.parametrize("path", sorted((ROOT / "firmware").rglob("*.py")), ids=lambda p: p.name)
def test_firmware_stands_alone(path: Path) -> None:
    """Firmware imports itself and MicroPython only; `machine` in main and hal/esp32, radios in links."""
    firmware = ROOT / "firmware"
    relative = path.relative_to(firmware)
    own = {p.name.removesuffix(".py") for p in firmware.iterdir()} | {"board"}
    allowed = own | MICROPYTHON
    if str(relative) in {"main.py", "hal/esp32.py"}:
        allowed |= {"machine", "esp32"}
    if relative.parts[0] == "links":
        allowed |= RADIO
    assert firmware_imports(path) <= allowed
