"""Puts the device's decoders to a seeded mutation fuzzer inside the real MicroPython, where atheris cannot go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ..folders import FIRMWARE
from ..interpreter import MICROPYTHON
from . import corpus

HERE = Path(__file__).resolve().parent
COMMAND = (*MICROPYTHON, "-X", "heapsize=32m", str(HERE / "device_mp.py"))
# target: (what it reads, the kind of vectors it begins with)
TARGETS: dict[str, tuple[str, str]] = {
    "device-cbor": ("CBOR items", "cbor"),
    "device-cose": ("frames and MACed messages", "frame"),
    "device-packet": ("a stream of packets", "packet"),
    "device-control": ("a controller's commands", "command"),
    "device-configuration": ("settings an operator signed", ""),
    "device-mqtt": ("what a broker sends", ""),
    "device-hub": ("what an IoT hub sends", ""),
    "device-records": ("the journal's sectors and records", "record"),
    "device-journal": ("a flash of any contents, mounted", ""),
}


def run(name: str, *, seconds: int | None, runs: int | None, seed: int, findings: Path, only: bytes | None) -> int:
    """Fuzz one target; returns 0, or 1 once an input broke something: it is then in the folder `findings`.

    With `only`, try this input and no other.
    """
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder, "seeds.json")
        kind = TARGETS[name][1]
        given = corpus.raw(kind) if only is None else [only]
        seeds.write_text(json.dumps([data.hex() for data in given]))
        runs = runs if only is None else 1
        numbers = [str(number or 0) for number in (seed, runs, seconds)]
        done = subprocess.run(
            [
                *COMMAND,
                name.removeprefix("device-"),
                str(seeds),
                *numbers,
            ],
            env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:{HERE}:.frozen"},
            stdout=subprocess.PIPE,
            text=True,
        )
    *said, last = done.stdout.splitlines() or [""]
    print("\n".join(said))
    try:
        found = json.loads(last)
    except ValueError:
        print(last, file=sys.stderr)
        return done.returncode or 1
    print(f"{name}: {found['runs']} inputs, {found['accepted']} accepted")
    if "input" not in found:
        return 0
    findings.mkdir(parents=True, exist_ok=True)
    path = findings / f"{name}-crash-{seed}-{found['runs']}"
    path.write_bytes(bytes.fromhex(found["input"]))
    print(f"{found['error']}\nthe input is in {path}", file=sys.stderr)
    return 1
