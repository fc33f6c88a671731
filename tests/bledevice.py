"""A device for tests that is nothing but its real Bluetooth link, in a MicroPython process on an `Air`."""

from __future__ import annotations

import ast
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.waiting import FAR

from vitalwire_tools.virtual.air import Air
from vitalwire_tools.virtual.machine import MODULES

HERE = Path(__file__).resolve().parent
PASSKEY = 271828
NAME = "ward 7"


class Device:
    """One board. `ble` is its link, `came` what it read, `going` what it sends, `sent` how much of it has gone."""

    def __init__(self, air: Air, services: str = "") -> None:
        settings = {"MICROPYPATH": f"{HERE.parent / 'firmware'}:{MODULES}:.frozen", "VITALWIRE_RADIO": air.address}
        self._process = subprocess.Popen(
            ["micropython", "-X", "heapsize=256k", str(HERE / "bledevice_mp.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **settings},
        )
        self.do("from links.ble import Ble")
        self.begin(services)

    def begin(self, services: str = "") -> None:
        """Start the link, knowing what it kept; `services` is an expression."""
        self.do(f"ble = Ble(hal, {NAME!r}, {PASSKEY}); ble.services = {services or None}")

    def do(self, line: str) -> Any:
        """Run a line on the device; returns the value of an expression."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        try:
            return ast.literal_eval(said)
        except (SyntaxError, ValueError):
            self._process.kill()
            raise AssertionError(said + self._process.stdout.read()) from None

    def until(self, line: str, what: Any) -> None:
        """Wait until an expression has a value."""
        end = time.monotonic() + FAR
        while (seen := self.do(line)) != what:
            assert time.monotonic() < end, seen
            time.sleep(0.01)

    def close(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.communicate()
