"""When frames were made: one clock a device for all its ports, and frames that wait until their time was measured.

Frames of one device leave in the order they came. None waits longer than `settle` seconds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from vitalwire.clock import DeviceClock
from vitalwire.session import Verified

MOST_HELD = 4  # frames of one device: half of what it sends without an acknowledgement
MOST_US = 1 << 62  # a device may say anything of its time; beyond this it is none, and no spool could keep it

Clock: TypeAlias = Callable[[], int]  # UTC in microseconds since 1970, as this computer has it: it may jump


def utc_us() -> int:
    """Return the UTC of this computer's clock."""
    return time.time_ns() // 1000


class Timed(NamedTuple):
    """A verified frame with the UTC of its ticks (microseconds) and the most it is off by, where known."""

    verified: Verified
    verified_us: int
    time_us: int | None
    accuracy_us: int | None


class _Held(NamedTuple):
    verified: Verified
    verified_us: int
    since: float


class Timing:
    """Clocks by device; `measuring` says whether a device's boot is about to be asked for its time."""

    def __init__(self, settle: float, measuring: Callable[[bytes, int], bool]) -> None:
        self._settle = settle
        self._measuring = measuring
        self._clocks: dict[bytes, DeviceClock] = {}  # of devices the session believed, so not many
        self._held: dict[bytes, deque[_Held]] = {}

    def clock(self, device: bytes) -> DeviceClock:
        """Return the clock of a device."""
        return self._clocks.setdefault(device, DeviceClock())

    def hold(self, verified: Verified, verified_us: int, now: float, *, timed: bool) -> None:
        """Take a frame; `timed` says whether it came straight from its device."""
        arrived = verified.received_us if timed else None
        self.clock(verified.device).observe(verified.frame, verified.descriptor, (), arrived)
        self._held.setdefault(verified.device, deque()).append(_Held(verified, verified_us, now))

    def release(self, now: float, *, all_of_them: bool = False) -> Iterator[Timed]:
        """Yield the frames that need not wait any more."""
        for device, held in list(self._held.items()):
            going: list[_Held] = []
            while held and (all_of_them or self._may_go(held, now)):
                going.append(held.popleft())
            if going:
                yield from self._timed(device, going)
            if not held:
                del self._held[device]

    def _may_go(self, held: deque[_Held], now: float) -> bool:
        first = held[0]
        device, boot = first.verified.device, first.verified.frame.boot
        waited = len(held) > MOST_HELD or now - first.since >= self._settle
        return waited or self.clock(device).bounded(boot) or not self._measuring(device, boot)

    def _timed(self, device: bytes, going: list[_Held]) -> Iterator[Timed]:
        """Yield frames with their times; the clock is asked once a boot, the device's own ticks tell them apart."""
        boot = ticks = None
        utc = error = np.nan
        for verified, verified_us, _ in going:
            frame = verified.frame
            if frame.boot != boot or ticks is None:
                boot, ticks = frame.boot, frame.ticks
                utc, error = self.clock(device).utc(boot, ticks)
            time_us = None if np.isnan(utc) else int(utc * 1e6) + frame.ticks - ticks
            if time_us is None or abs(time_us) > MOST_US:
                yield Timed(verified, verified_us, None, None)
            else:
                yield Timed(verified, verified_us, time_us, int(error * 1e6) if error * 1e6 < MOST_US else None)
