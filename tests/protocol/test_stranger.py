"""A decoder written from SPEC.md alone reads what vitalwire writes, and refuses what it must."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.protocol import stranger
from tests.protocol.made import made_by_firmware
from tests.protocol.run_vectors import meant, same
from tests.protocol.test_vectors import lines
from tests.sdk.test_seals import with_mac

from vitalwire.testing import FakeDevice, flipped, remade
from vitalwire_protocol import spec

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


def read_private_frame(data: bytes, key: Any) -> Any:
    """Return both maps of a frame with private contents."""
    keys = read_frame(data, key)
    inside = stranger.open_private(keys, key["secret"], key["thumbprint"])
    return {"outside": {name: each for name, each in keys.items() if name != 25}, "inside": inside}


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
    "derived": lambda data, key: stranger.derived(data, key["thumbprint"], key["info"].decode(), key["length"]),
    "frame": read_frame,
    "mac-frame": lambda data, key: stranger.read_mac_frame(data, key["secret"], key["thumbprint"]),
    "private-frame": read_private_frame,
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


def test_it_reads_the_example_of_the_specification() -> None:
    """The block that SPEC.md takes apart has the samples that stand beside it."""
    text = (HERE.parents[1] / "protocol" / "SPEC.md").read_text()
    found = re.search(
        r"\*Example\.\* ([-\d ]+), `BITS` = (\d+)\. The block is `([0-9a-f]+)` .* the body `([0-9a-f]+)`", text
    )
    assert found
    samples = [int(each) for each in found[1].split()]
    data = bytes([len(samples)]) + bytes.fromhex(found[3] + found[4])
    assert stranger.read_blocks(data, 0, [[int(found[2])]]) == [(0, [samples])]


def capture_of(frames: list[bytes]) -> bytes:
    """Return a capture of frames, without notes but the first."""
    return bytes.fromhex("a20171766974616c776972652d636170747572650201") + b"".join(frames)


def test_it_reads_what_the_firmware_makes(micropython: Callable[..., Any], tmp_path: Path) -> None:
    """Frames of two boots made by the firmware verify, link, and hold the very integers that were put in."""
    made = made_by_firmware(micropython, tmp_path)
    found = stranger.read_capture(capture_of(made.frames), {made.thumbprint})
    assert (found["missing"], found["broken"]) == ([], [])
    assert list(found["samples"].values()) == [channel for stream in made.samples for channel in stream]
    kinds = [keys[1] for _, keys in found["frames"].values()]
    assert kinds == [1, 3, 2, 2, 2, 4, 3, 2, 2, 2, 4]  # the second boot has the descriptor in its journal
    with pytest.raises(stranger.Refused, match="foreign"):
        stranger.read_capture(capture_of(made.frames), {bytes(32)})


def test_it_believes_what_seals_cover() -> None:
    """Of a sealing device it takes what signed links lead to, in any order, with the same samples; not the rest."""
    device = FakeDevice(policy=spec.Policy.SEAL, group=4)
    frames = [device.descriptor(), *(device.sampled(0.1) for _ in range(12))]
    known = {device.thumbprint}
    for order in (frames, [frames[0], *frames[:0:-1]]):
        found = stranger.read_capture(capture_of(order), known)
        assert (sorted(found["frames"]), found["missing"], found["broken"]) == (list(range(1, 11)), [], [])
        assert found["unsealed"] == 3
        assert len(found["samples"]["ecg_lead_i"]) == 9 * 25
    without = stranger.read_capture(capture_of([*frames[:4], *frames[5:]]), known)
    assert sorted(without["frames"]) == [1, 2, *range(6, 11)]
    signing = FakeDevice()
    named = hashlib.sha256(signing.descriptor()).digest()[:8]
    forged = with_mac(signing.status(), device, {spec.Key.DESCRIPTOR: named})
    with pytest.raises(stranger.Refused, match="downgrade"):
        stranger.read_capture(capture_of([signing.descriptor(), forged]), {signing.thumbprint})


def test_it_finds_what_is_missing_and_broken() -> None:
    """A dropped frame that nobody declares is missing, declared and burned ones are not, a changed one is refused."""
    device = FakeDevice()
    frames = [device.descriptor(), *(device.sampled(0.1) for _ in range(5)), device.reboot(burn=4), device.status()]
    known = {device.thumbprint}
    assert stranger.read_capture(capture_of(frames), known)["missing"] == []
    without = [*frames[:2], *frames[4:]]
    found = stranger.read_capture(capture_of(without), known)
    assert (found["missing"], found["broken"]) == ([[3, 4]], [])
    declared = stranger.read_capture(capture_of([*without, device.dropped(frames[2:4])]), known)
    assert (declared["missing"], declared["broken"]) == ([], [])
    relinked = remade(frames[3], device.private_key, {spec.Key.PREV: bytes(16)})
    assert stranger.read_capture(capture_of([*frames[:3], relinked, *frames[4:]]), known)["broken"] == [4, 5]
    with pytest.raises(stranger.Refused, match="forged"):
        stranger.read_capture(capture_of([*frames[:3], flipped(frames[3], 8 * len(frames[3]) - 1)]), known)
