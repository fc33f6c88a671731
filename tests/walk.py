"""A capture for tests: real recordings, marks, a gap, a reboot, frames late and twice; and what is in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vitalwire.capture import Writer
from vitalwire.registry import Registry
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Event, EventKey, Mark

SIGNALS = Path(__file__).resolve().parents[1] / "boards" / "virtual" / "signals"
RATES = {"ecg_lead_i": 256, "ppg_red": 100, "ppg_ir": 100, "accel_x": 52, "accel_y": 52, "accel_z": 52}
SECONDS = 2
BEGAN_US = 1_760_000_000_000_000
LOST = (4, 5)  # places of the data frames that are not in the capture
LATE = 7  # the place of the one that comes after the next one
REBOOT = 9  # the place of the first one of the second boot
MARKED = {1: [(0, Mark.LEAD_OFF, 100, 412)], 2: [(0, Mark.LEAD_OFF, 0, 50), (4, Mark.SATURATED, 3, 1)]}


@dataclass
class Walk:
    """Where the capture is, who made it, and by channel the counts of each stretch."""

    path: Path
    device: FakeDevice
    stretches: dict[str, list[NDArray[np.int64]]] = field(default_factory=dict)
    raws: list[bytes] = field(default_factory=list)  # as they were made

    @property
    def fingerprint(self) -> str:
        """What to give to `--fingerprint`."""
        return self.device.thumbprint.hex()

    def scale(self, name: str) -> float:
        """Return the value of one count of a channel."""
        return next(float(channel.scale) for channel in self.device.channels if channel.name == name)

    def registry(self) -> Registry:
        """Return a registry that knows the device."""
        registry = Registry()
        registry.enrol(self.device.thumbprint, "walker")
        return registry


def recorded() -> dict[str, NDArray[np.int64]]:
    """Return the published recordings the virtual board plays, by channel."""
    ecg, ppg, accel = (np.load(SIGNALS / f"{name}.npy").astype(np.int64) for name in ("ecg", "ppg", "acceleration"))
    names = (("ecg_lead_i",), ("ppg_red", "ppg_ir"), ("accel_x", "accel_y", "accel_z"))
    return {name: file[:, i] for file, of in zip((ecg, ppg, accel), names, strict=True) for i, name in enumerate(of)}


def walk(path: Path, frames: int = 12) -> Walk:
    """Write the capture, with notes of arrival, in the order of arrival."""
    device = FakeDevice("walker")
    device.utc_us = BEGAN_US
    made = Walk(path, device)
    signals = recorded()
    pieces: dict[str, list[NDArray[np.int64]]] = {name: [] for name in RATES}
    made.stretches = {name: [] for name in RATES}

    def cut() -> None:
        for name, parts in pieces.items():
            if parts:
                made.stretches[name].append(np.concatenate(parts))
            parts.clear()

    arrived: list[bytes] = [device.descriptor()]
    for place in range(frames):
        if place == REBOOT:
            cut()
            arrived.append(device.reboot(burn=2))
        samples = {name: signals[name][place * SECONDS * rate :][: SECONDS * rate] for name, rate in RATES.items()}
        raw = device.data(samples, marks=MARKED.get(place, ()), scalars=[(6, 0, 8192 + place)])
        made.raws.append(raw)
        if place in LOST:
            cut()
            continue
        for name, values in samples.items():
            pieces[name].append(values)
        arrived.append(raw)
        if place == 2:
            arrived.append(device.events((Event.LEAD_ON, {EventKey.CHANNEL: 0})))
        if place == LATE + 1:
            arrived[-1], arrived[-2] = arrived[-2], arrived[-1]
    cut()
    arrived.insert(3, arrived[2])
    with Writer(path) as writer:
        for number, raw in enumerate(arrived):
            writer.write(raw, BEGAN_US + number * SECONDS * 1_000_000)
    return made
