"""Frames as the firmware makes them, with the samples that were put in; for tests of readers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"


@dataclass(frozen=True)
class Made:
    """What the frames are, who made them, and the samples of each stream's channels."""

    frames: list[bytes]
    thumbprint: bytes
    samples: list[list[list[int]]]


def wave(count: int, top: int, phase: float) -> list[int]:
    """Return samples of a slow wave with spikes."""
    return [round(top * math.sin(phase + n / 9)) + (top // 3 if n % 60 < 3 else 0) for n in range(count)]


def made_by_firmware(micropython: Callable[..., Any], folder: Path) -> Made:
    """Let the firmware's frame maker, codec, journal and signer make the frames of two boots (frames_mp.py)."""
    private = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    numbers = private.public_numbers
    key = {name: f"{value:064x}" for name, value in (("x", numbers.x), ("y", numbers.y), ("d", private.private_value))}
    samples = [[wave(600, 90_000, 0)], [wave(600, 9_000, phase) for phase in (1, 2, 3)]]
    (folder / "cases.json").write_text(json.dumps({"key": key, "samples": samples}))
    script = "import sys, frames_mp; frames_mp.main(*sys.argv[1:])"
    done = micropython(script, str(folder / "flash"), str(folder / "cases.json"), heap="4m", path=f"{HERE}:{FIRMWARE}")
    thumbprint = hashlib.sha256(bytes.fromhex(f"a401022001215820{key['x']}225820{key['y']}")).digest()
    return Made([bytes.fromhex(line) for line in done.stdout.split()], thumbprint, samples)
