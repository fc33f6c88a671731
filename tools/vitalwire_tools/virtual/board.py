"""A virtual board in a process of its own, to start, cut, reset and end from Python: tests, benchmarks, the demo."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .machine import Options


class VirtualBoard:
    """A running board; use it as a context manager. `events` collects what the board's process said."""

    def __init__(self, options: Options) -> None:
        """Start the board whose flash `machine.create` made; RuntimeError with its last words if it does not start."""
        self.folder = options.folder
        given = {**asdict(options), "folder": str(options.folder)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vitalwire_tools.virtual", json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        ready = self._wait_for("ready")
        self.port: str = ready["port"]
        self.address: tuple[str, int] | None = tuple(ready["address"]) if ready["address"] else None
        self.public_key = bytes.fromhex(ready["public_key"])

    @property
    def url(self) -> str:
        """What `vitalwire.connect` takes."""
        return f"tcp://{self.address[0]}:{self.address[1]}" if self.address else f"serial://{self.port}"

    def power_cut(self) -> None:
        """Take the power away in the middle of whatever the board does."""
        self._order("cut")

    def power_on(self) -> None:
        """Give it back; does nothing while the board runs."""
        self._order("on")

    def reset(self) -> None:
        """Press the reset button."""
        self._order("reset")

    def played(self) -> dict[str, NDArray[Any]]:
        """Return what the chips have played so far, see `Hardware.save`."""
        path = self.folder / "played.npz"
        self._order("save", path=str(path))
        with np.load(path) as file:
            return dict(file)

    def refused(self) -> list[str]:
        """Return the accesses that no chip's data sheet allows."""
        refused = self._order("look")["refused"]
        assert isinstance(refused, list)
        return refused

    def deepest(self) -> dict[str, int]:
        """Return by part the most samples that a chip's FIFO ever held."""
        deepest = self._order("look")["deepest"]
        assert isinstance(deepest, dict)
        return deepest

    def stop(self) -> None:
        """End the board."""
        if self._process.poll() is None:
            self._process.communicate(timeout=30)  # reads what it still has to say, which it may be waiting to
        if self._process.stdout:
            self._process.stdout.close()

    def _order(self, do: str, **more: object) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        return self._wait_for("done", do=do)

    def _wait_for(self, event: str, **fields: object) -> dict[str, Any]:
        assert self._process.stdout
        for line in self._process.stdout:
            said: dict[str, Any] = json.loads(line)
            self.events.append(said)
            if said["event"] == event and all(said[name] == value for name, value in fields.items()):
                return said
        raise RuntimeError(f"the virtual board ended with code {self._process.wait()}: {self.events[-3:]}")

    def __enter__(self) -> VirtualBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
