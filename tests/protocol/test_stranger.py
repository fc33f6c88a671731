"""A decoder written from SPEC.md alone reads what vitalwire writes, and refuses what it must."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.protocol import stranger
from tests.protocol.run_vectors import meant, same
from tests.protocol.test_vectors import lines

HERE = Path(__file__).parent


def read(vector: dict[str, Any]) -> Any:
    """Return what the stranger makes of a vector; LookupError for what SPEC.md gives it no cause to read."""
    data, key = bytes.fromhex(vector["hex"]), meant(vector["key"])
    return READERS[vector["what"]](data, key)


def read_number(data: bytes) -> int:
    """Return the one varint that `data` is."""
    left = stranger.Bytes(data)
    number = left.varint()
    stranger.need(left.at == len(data), "bytes left over")
    return number


def read_frame(data: bytes, key: Any) -> Any:
    """Return the map of a frame."""
    return stranger.read_frame(data, (key["public_key"]["x"], key["public_key"]["y"]))


def read_blocks(data: bytes, key: Any) -> Any:
    """Return ticks and samples, stream by stream."""
    found = stranger.read_blocks(data, key["ticks"], key["streams"])
    return [each and {"ticks": each[0], "samples": each[1]} for each in found]


def read_reply(data: bytes, key: Any) -> Any:
    """Return a reply's map."""
    message, closed = stranger.read_reply(data, key["secret"], key["thumbprint"])
    return {"message": message, "closed": closed}


def read_capture(data: bytes, key: Any) -> Any:
    """Return the frames of a capture and what is torn or damaged."""
    frames, torn, damaged = stranger.split_capture(data)
    return {"frames": frames, "torn": torn, "damaged": damaged}


READERS: dict[str, Any] = {
    "cbor": lambda data, key: stranger.item(data),
    "varint": lambda data, key: read_number(data),
    "zigzag": lambda data, key: stranger.signed(read_number(data)),
    "frame": read_frame,
    "blocks": read_blocks,
    "packet": lambda data, key: dict(zip(("type", "id", "body"), stranger.read_packet(data), strict=True)),
    "reply": read_reply,
    "capture": read_capture,
}
VECTORS = [vector for vector in lines() if vector["what"] in READERS]


def test_it_is_a_stranger() -> None:
    """The decoder imports the standard library, cbor2 and cryptography, and nothing else."""
    nodes = [node for file in (HERE / "stranger").glob("*.py") for node in ast.walk(ast.parse(file.read_text()))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"cbor2", "cryptography"}


@pytest.mark.parametrize("what", sorted(READERS))
def test_it_reads_the_accepted(what: str) -> None:
    """It gets the same values as everyone else."""
    some = [vector for vector in VECTORS if vector["what"] == what and "expect" in vector]
    assert some
    assert [vector["name"] for vector in some if not same(read(vector), meant(vector["expect"]))] == []


@pytest.mark.parametrize(
    "vector", [vector for vector in VECTORS if "error" in vector], ids=lambda vector: vector["name"]
)
def test_it_refuses_the_refused(vector: dict[str, Any]) -> None:
    """It refuses what must be refused."""
    with pytest.raises(stranger.Refused):
        read(vector)
