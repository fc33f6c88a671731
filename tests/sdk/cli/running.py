"""How tests run a command, and what it said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vitalwire.capture import Writer
from vitalwire.testing import FakeDevice

SECRET = bytes(range(32))


class Run:
    """What a command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        """The one JSON document it printed."""
        return json.loads(self.out)


def steady(path: Path, frames: int = 5, name: str = "fake") -> FakeDevice:
    """Write a capture without a fault, and return its device."""
    device = FakeDevice(name)
    with Writer(path) as writer:
        for raw in (device.descriptor(), *(device.sampled() for _ in range(frames))):
            writer.write(raw)
    return device
