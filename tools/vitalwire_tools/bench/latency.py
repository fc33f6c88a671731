"""Measures one live frame's way: from the last byte off the stream to arrays in physical units with times."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from rich.table import Table

from vitalwire.client import Client
from vitalwire.packet import encode_packet
from vitalwire.registry import Registry
from vitalwire.session import ReplayState
from vitalwire_protocol.spec import PacketType

from . import standard

FRAMES = 600
WARM = 30  # first ones, not counted: whoever reads a device reads on


class _Line:
    """A transport that hands out one packet when asked to; `at` is when it had its last byte."""

    def __init__(self, packets: list[bytes]) -> None:
        self._packets = iter(packets)
        self.arrived_us: int | None = None
        self.at = 0.0

    def open(self) -> None:
        """Be there."""

    def read(self, timeout: float) -> bytes | None:
        """Return the next packet at once."""
        del timeout
        packet = next(self._packets, None)
        self.arrived_us = time.time_ns() // 1000
        self.at = time.perf_counter()
        return packet

    def write(self, data: bytes) -> None:
        """Drop what the client says."""

    def close(self) -> None:
        """Need nothing."""


def run(frames: int = FRAMES) -> dict[str, Any]:
    """Return `median_ms`, `p99_ms` and `worst_ms` of the time one frame takes; nothing is acknowledged meanwhile."""
    device, raws = standard.chained(frames + WARM, standard.minute())
    line = _Line([encode_packet(PacketType.FRAME, number & 0xFF, raw) for number, raw in enumerate(raws)])
    taken: list[float] = []
    with Registry() as registry:
        registry.enrol(device.thumbprint, "bench")
        options: dict[str, Any] = {
            "registry": registry,
            "state": ReplayState(),
            "settle": 0.0,
            "auto_acknowledge": False,
        }
        with Client(line, **options) as client:
            client.open()
            while (frame := client.receive(1.0)) is not None or not client.ended:
                if frame is not None:
                    for signal in frame.signals.values():
                        _ = signal.values, signal.time, signal.valid
                    taken.append(time.perf_counter() - line.at)
    assert len(taken) == len(raws)
    milliseconds = 1e3 * np.array(taken[WARM:])
    return {
        "median_ms": float(np.median(milliseconds)),
        "p99_ms": float(np.percentile(milliseconds, 99)),
        "worst_ms": float(milliseconds.max()),
        "frames": len(milliseconds),
    }


def render(result: dict[str, Any]) -> Table:
    """Return the figures of `run` as a table for a person."""
    table = Table("one live frame", "milliseconds", title="latency", title_justify="left")
    table.add_row(f"median of {result['frames']}", f"{result['median_ms']:.2f}")
    table.add_row("99th percentile", f"{result['p99_ms']:.2f}")
    table.add_row("worst", f"{result['worst_ms']:.2f}")
    return table
