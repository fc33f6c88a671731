"""The locked vectors on three interpreters: the SDK on CPython, the firmware on MicroPython of 64 and of 32 bits."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.protocol import stranger

from vitalwire_protocol import spec

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
VECTORS = HERE.parents[1] / "protocol" / "vectors"
SETS = {1: "", 2: "-2", 3: "-3", 4: "-4"}
FILES = [VECTORS / f"{name}{part}.jsonl" for part in SETS.values() for name in ("accepted", "refused")]
RUNNER = HERE / "run_vectors.py"
DEVICE = HERE / "adapter_device.py"
AES = HERE.parent / "aes32" / "cryptolib.py"  # the 32-bit build has none

# What each side does with how many; whoever changes a side or adds vectors changes this by hand. `absent`: that side
# has neither reader nor writer for the form. `blind`: it reads the bytes, but not as far as this fault.
SDK: dict[str, int] = {
    "cbor read": 39,
    "cbor written": 39,
    "cbor refused": 83,
    "varint read": 13,
    "varint refused": 7,
    "zigzag read": 10,
    "crc32 read": 3,
    "thumbprint read": 2,
    "derived read": 6,
    "frame read": 47,
    "frame written": 47,
    "frame refused": 247,
    "mac-frame read": 10,
    "mac-frame written": 10,
    "mac-frame refused": 30,
    "private-frame read": 25,
    "private-frame written": 25,
    "private-frame refused": 47,
    "blocks read": 72,
    "blocks refused": 51,
    "packet read": 19,
    "packet written": 19,
    "packet refused": 19,
    "command written": 14,
    "command absent": 73,
    "reply read": 9,
    "reply refused": 29,
    "sector written": 3,
    "sector absent": 7,
    "record written": 9,
    "record absent": 6,
    "capture read": 10,
    "capture refused": 5,
}
DEVICES: dict[str, int] = {
    "cbor read": 39,
    "cbor written": 39,
    "cbor refused": 83,
    "varint written": 13,
    "varint absent": 7,
    "zigzag written": 10,
    "crc32 read": 3,
    "thumbprint read": 2,
    "derived read": 6,
    "frame read": 47,
    "frame written": 46,
    "frame refused": 87,
    "frame blind": 160,
    "mac-frame read": 10,
    "mac-frame written": 10,
    "mac-frame refused": 30,
    "private-frame written": 25,
    "private-frame absent": 47,
    "blocks made": 72,
    "blocks absent": 51,
    "packet read": 19,
    "packet written": 19,
    "packet refused": 18,
    "packet blind": 1,
    "command read": 17,
    "command refused": 70,
    "reply written": 9,
    "reply absent": 29,
    "sector read": 3,
    "sector refused": 7,
    "record read": 9,
    "record refused": 6,
    "capture absent": 15,
}


def lines(*files: Path) -> list[dict[str, Any]]:
    """Return the vectors of files."""
    return [json.loads(line) for file in files or FILES for line in file.read_text(encoding="utf-8").splitlines()]


def results(stdout: str) -> tuple[list[dict[str, str]], dict[str, int]]:
    """Return what a side made in a form of its own, and its counts; fails with the first failures."""
    said = [json.loads(line) for line in stdout.splitlines()]
    assert [each for each in said if "fail" in each][:10] == []
    return [each for each in said if "made" in each], said[-1]["counts"]


def on_device(names: list[str]) -> str:
    """Return the script that puts the vectors to the firmware."""
    return f"import run_vectors; run_vectors.main('adapter_device', {names!r})"


@pytest.fixture(scope="module")
def blocks() -> dict[str, dict[str, Any]]:
    """Return the accepted strings of BLOCKS by name."""
    return {vector["name"]: vector for vector in lines(FILES[0]) if vector["what"] == "blocks"}


def check_made(made: list[dict[str, str]], blocks: dict[str, dict[str, Any]]) -> None:
    """Hold what the firmware made of the samples of each vector to the stranger's reader, and to the size of RAW."""
    assert len(made) == len(blocks)
    for each in made:
        vector = blocks[each["made"]]
        data, streams = bytes.fromhex(each["hex"]), vector["key"]["streams"]
        found = stranger.read_blocks(data, vector["key"]["ticks"], streams)
        assert [got and {"ticks": got[0], "samples": got[1]} for got in found] == vector["expect"], each["made"]
        raw = 0
        for widths, readout in zip(streams, vector["expect"], strict=True):
            raw += 7 + sum((len(readout["samples"][0]) * bits + 7) // 8 + 3 for bits in widths) if readout else 1
        assert len(data) <= raw, each["made"]


def test_files_are_locked() -> None:
    """No generator, formatter or editor has touched the vectors: their digests are those of vectors.sha256."""
    locked = [line.split() for line in (VECTORS / "vectors.sha256").read_text().splitlines()]
    assert {name: digest for digest, name in locked} == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(VECTORS.glob("*.jsonl"))
    }


def test_the_maker_refuses_to_overwrite() -> None:
    """Making a set whose files exist fails and changes nothing."""
    before = [file.read_bytes() for file in FILES]
    for number in SETS:
        done = subprocess.run([sys.executable, VECTORS / "make.py", str(number)], capture_output=True, text=True)
        assert "FileExistsError" in done.stderr
    assert [file.read_bytes() for file in FILES] == before


def test_the_maker_makes_these_files(tmp_path: Path) -> None:
    """The maker still makes these very bytes, and imports nothing of vitalwire: it runs without it (`-I`)."""
    subprocess.run(["cp", "-r", *VECTORS.glob("mak*"), tmp_path], check=True)
    for number in SETS:
        code = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
            "sys.modules['vitalwire'] = sys.modules['vitalwire_protocol'] = None; "
            f"import make; make.main({number})"
        )
        subprocess.run([sys.executable, "-I", "-c", code], check=True)
    assert [(tmp_path / file.name).read_bytes() for file in FILES] == [file.read_bytes() for file in FILES]


def test_there_are_enough_and_every_reason_is_documented() -> None:
    """At least 60 of each, names unique; reasons in the README's tables and in the vectors are the same."""
    accepted, refused = lines(*FILES[::2]), lines(*FILES[1::2])
    assert min(len(accepted), len(refused)) >= 60
    assert max(Counter(vector["name"] for vector in accepted + refused).values()) == 1
    text = (VECTORS / "README.md").read_text()
    words = text.split("## Reasons")[1]
    documented = {line.split("`")[1] for line in words.splitlines() if line.startswith("| `")}
    # these depend on what a device has and runs
    of_updates = {name for name in spec.Result.__members__ if "UPDATE" in name or "CONFIGURATION" in name}
    documented |= {name.lower().replace("_", "-") for name in spec.Result.__members__.keys() - of_updates} - {"ok"}
    assert {vector["error"] for vector in refused} == documented
    whats = {
        each for line in text.splitlines() if line.startswith("| `") for each in line.split("|")[1].split("`")[1::2]
    }
    assert {vector["what"] for vector in accepted} <= whats


def test_the_sdk() -> None:
    """The SDK reads, writes and refuses every vector as it says."""
    done = subprocess.run([sys.executable, RUNNER, "adapter_sdk", *FILES], capture_output=True, text=True, cwd=HERE)
    assert done.returncode == 0, done.stderr
    assert results(done.stdout)[1] == SDK


def test_the_firmware(micropython: Callable[..., Any], blocks: dict[str, dict[str, Any]]) -> None:
    """The firmware does under MicroPython with 64-bit words, and the blocks it makes of the same samples mean them."""
    done = micropython(on_device(list(map(str, FILES))), heap="8m", path=f"{HERE}:{FIRMWARE}")
    made, counts = results(done.stdout)
    assert counts == DEVICES
    check_made(made, blocks)


def test_the_firmware_with_32_bit_words(micropython32: Callable[..., Any], blocks: dict[str, dict[str, Any]]) -> None:
    """The firmware does under MicroPython with 32-bit words and 31-bit small integers, as plain bytecode."""
    names = [f"/{file.name}" for file in FILES]
    made, counts = results(micropython32(on_device(names), *FILES, RUNNER, DEVICE, AES, heap=1 << 24).stdout)
    assert counts == DEVICES
    check_made(made, blocks)
