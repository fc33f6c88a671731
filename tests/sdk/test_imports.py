"""Imports go one way: the rule of the design, read off the sources."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from vitalwire.transports import SCHEMES

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "sdk" / "vitalwire"

# What each room of the SDK may import of ours, from the bottom up. Every room stands here.
BASE = {"errors", "messages", "vitalwire_protocol"}
FRAMES = BASE | {"cbor", "crypto", "encryption", "frame"}
TRUST = FRAMES | {"ranges", "database", "registry", "session"}
LIVE = TRUST | {"capture", "clock", "codec", "control", "packet", "paths", "signals", "transports", "client"}
RECORDED = LIVE | {"ahead", "anchors", "crew", "survey", "verdict", "offline"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "messages": {"vitalwire_protocol"},
    "ranges": set(),
    "paths": {"errors"},
    "wholefile": set(),
    "jws": {"errors", "wholefile"},
    "audit": {"errors", "jws"},
    "database": {"errors"},
    "cbor": BASE,
    "codec": BASE,
    "packet": BASE,
    "crypto": BASE | {"cbor"},
    "encryption": BASE | {"cbor"},
    "frame": BASE | {"cbor", "crypto", "encryption"},
    "capture": BASE | {"cbor"},
    "clock": BASE,
    "registry": BASE | {"database"},
    "signals": BASE | {"codec", "frame"},
    "inspect": FRAMES | {"codec"},
    "crew": {"errors"},
    "session": FRAMES | {"ranges", "database", "registry"},
    "verdict": TRUST,
    "control": FRAMES | {"packet", "ranges"},
    "transports": {"errors", "vitalwire_protocol"},
    "replay": BASE | {"capture", "packet", "transports"},
    "subscribe": BASE | {"packet", "transports"},
    "client": LIVE,
    "recorder": LIVE,
    "update": FRAMES | {"client", "control"},
    "configuration": FRAMES | {"client", "control"},
    "survey": TRUST | {"capture", "crew", "verdict"},
    "anchors": TRUST | {"capture"},
    "ahead": BASE | {"crew", "crypto", "frame", "signals"},
    "offline": LIVE | {"ahead", "crew", "survey", "verdict"},
    "plot": LIVE | {"wholefile"},
    "spool": TRUST,
    "settings": {"errors"},
    "sinks": BASE | {"settings", "spool", "signals", "frame", "fhir", "assignments", "database", "jws"},
    "gateway": LIVE | {"audit", "configuration", "jws", "settings", "sinks", "spool", "update"},
    "export": RECORDED,
    "readings": BASE,
    "testing": BASE | {"cbor", "crypto", "encryption", "codec"},
    # Beside the base: samples as they were decoded, what to make of them, numbers seen, and how a gateway signs.
    "fhir": BASE | {"signals", "readings", "ranges", "crypto", "jws"},
    "assignments": {"errors", "database"},
    "templates": BASE | {"fhir"},
    "charts": RECORDED | {"fhir"},
    "__init__": LIVE,
    "cli": RECORDED
    | {"templates", "assignments", "charts", "fhir", "audit", "export", "inspect", "jws", "plot", "recorder"}
    | {"gateway", "spool", "update", "configuration"},
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
    assert found <= ALLOWED[room], f"{room} must not import {sorted(found - ALLOWED[room])}"


def test_every_room_has_a_place() -> None:
    """The table names every room of the SDK and none that is gone."""
    assert {path.relative_to(SDK).parts[0].removesuffix(".py") for path in SOURCES} == set(ALLOWED)


ABOVE = {"replay": "vitalwire.replay", "mqtt": "vitalwire.subscribe.mqtt", "mqtts": "vitalwire.subscribe.mqtt"}


def test_schemes_import_transports() -> None:
    """What the transports import by name is a transport too, but for those that read captures or make packets."""
    below = {scheme: module for scheme, module in SCHEMES.items() if scheme not in ABOVE}
    assert {module.rpartition(".")[0] for module in below.values()} == {"vitalwire.transports"}
    assert below | ABOVE == SCHEMES


@pytest.mark.parametrize("path", sorted((SDK / "cli").glob("*.py")), ids=lambda p: p.name)
def test_cli_uses_what_is_public(path: Path) -> None:
    """The command takes from a room what the room itself names in public, and nothing from inside."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("vitalwire."):
            room = import_module(node.module or "")
            public = getattr(room, "__all__", [name for name in vars(room) if not name.startswith("_")])
            assert (node.module or "").count(".") == 1, f"{node.module} is the inside of a room"
            assert {alias.name for alias in node.names} <= set(public), node.module


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
    "time", "uctypes", "vfs", "errno", "random", "termios",
}  # fmt: skip
RADIO = {"bluetooth", "network", "socket", "ssl"}


@pytest.mark.parametrize("path", sorted((ROOT / "firmware").rglob("*.py")), ids=lambda p: p.name)
def test_firmware_stands_alone(path: Path) -> None:
    """Firmware imports itself and MicroPython only: the chip where it starts, `machine` in the loader and hal."""
    firmware = ROOT / "firmware"
    relative = path.relative_to(firmware)
    own = {p.name.removesuffix(".py") for p in firmware.iterdir()} - {"hal"}
    allowed = own | MICROPYTHON
    if str(relative) in {"main.py", "guard.py", "start.py", "boot.py"} or relative.parts[0] == "hal":
        allowed |= {"hal", "board"}
    if str(relative) in {"main.py", "guard.py", "hal/esp32.py", "hal/esp32_doze.py"}:
        allowed |= {"machine", "esp32"}
    if relative.parts[0] == "links":
        allowed |= RADIO
    assert firmware_imports(path) <= allowed
