"""The virtual board's hardware: chips on buses and pins, in virtual time; knows no process.

Chips are brought up to the time before they are touched, so a run depends on nothing but the board's work, the script
of faults and a seed.
"""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..codegen.board import Board, Sensor
from ..codegen.parts import parts
from . import faults as scripts
from .chips import models
from .chips.base import AnalogChip, Chip, I2cChip, Played, Refused, SpiChip
from .chips.battery import Battery

CHIPS: dict[str, type[Chip]] = models(parts())
NOTHING_DRIVES = 0xFF  # what an SPI master reads with no chip selected or none there


def load_signals(folder: Path) -> dict[str, list[tuple[int, ...]]]:
    """Return the recordings of a folder: name -> samples, each a tuple of counts, one per channel."""
    return {path.stem: [tuple(row) for row in np.load(path).tolist()] for path in sorted(folder.glob("*.npy"))}


class Hardware:
    """The chips of one board. Lives as long as the power lasts and longer; serves one board process after another."""

    def __init__(
        self,
        board: Board,
        signals: Mapping[str, list[tuple[int, ...]]],
        faults: Iterable[Mapping[str, Any]] = (),
        seed: int = 0,
        cpu: str = "",
    ) -> None:
        script = scripts.parse(faults)
        self.refused: list[str] = []  # accesses no chip's data sheet allows; a correct driver leaves this empty
        self.time = 0  # microseconds of virtual time since the hardware exists
        self.chips: dict[str, Chip] = {}
        self.battery = Battery(board.battery, [f for f in script if f.chip == scripts.CELL]) if board.battery else None
        self._stalls = [fault for fault in script if fault.chip == scripts.BOARD]
        self._overhead = board.cpu.get(cpu, {}).get("bus", 0) // 1000
        self._i2c: dict[tuple[int, int], I2cChip] = {}
        self._spi: dict[tuple[int, int], SpiChip] = {}
        self._analog: dict[int, AnalogChip | Battery] = {self.battery.cell.adc: self.battery} if self.battery else {}
        self._levels: dict[int, tuple[AnalogChip, int]] = {}
        self._bits = {key: 1e6 / row[0] for key, row in board.buses.items()}  # microseconds of one bit
        self._pins: dict[int, Chip] = {}
        self.lock = threading.Lock()  # held while a board is answered: `save` may be called meanwhile
        for row in board.sensors:
            self._add(row, signals, [fault for fault in script if fault.chip == row.part], seed)
        unknown = {fault.chip for fault in script} - {
            scripts.BOARD,
            *self.chips,
            *([Battery.part] if self.battery else []),
        }
        if unknown:
            raise scripts.FaultError(f"this board has no {sorted(unknown)[0]}")

    def _add(
        self, row: Sensor, signals: Mapping[str, list[tuple[int, ...]]], script: list[scripts.Fault], seed: int
    ) -> None:
        kind = CHIPS[row.part]
        if kind.signal not in signals:
            raise FileNotFoundError(f"no recording {kind.signal!r} for {row.part}")
        chip = kind(signals[kind.signal], script, seed * 256 + len(self.chips))
        self.chips[row.part] = chip
        if isinstance(chip, AnalogChip):
            self._analog[row.bus] = chip
            self._levels |= {row.select: (chip, 0), row.interrupt: (chip, 1)}
            return
        if isinstance(chip, SpiChip):
            self._spi[row.bus, row.select] = chip
        elif isinstance(chip, I2cChip):
            self._i2c[row.bus, row.select] = chip
        if row.interrupt >= 0:
            self._pins[row.interrupt] = chip

    # ---- between boots

    def power_cycle(self, off_us: int = 0) -> None:
        """Cut the power of every chip for a while; what they held is lost. Call it while no board runs."""
        for chip in self.chips.values():
            chip.clock.stop()
            chip.begin()
            chip.power_on()
            chip.settle(self.time)
            chip.edge = -1
        self.pass_time(off_us)

    def pass_time(self, microseconds: int) -> None:
        """Let virtual time pass while no board runs; powered chips go on sampling."""
        self.time += microseconds
        self._advance(self.time)

    @property
    def played(self) -> dict[str, Played]:
        """What each chip has played so far, by part."""
        found = {part: chip.played for part, chip in self.chips.items()}
        return found | ({self.battery.part: self.battery.played} if self.battery else {})

    def save(self, path: Path) -> None:
        """Write what was played as .npz: `<channel>` counts, and per part `<part>_us`, `<part>_lost`, `<part>_starts`.

        Times are microseconds of virtual time; `lost` is 1 where the chip itself lost the sample (overrun, reset);
        `starts` are the indices at which the board emptied the FIFO by command.
        """
        columns: dict[str, Any] = {}
        with self.lock:
            for part, log in self.played.items():
                columns |= {n: np.array(counts, np.int32) for n, counts in zip(log.channels, log.counts, strict=True)}
                columns[f"{part}_us"] = np.array(log.times, np.int64)
                columns[f"{part}_lost"] = np.frombuffer(bytes(log.lost), np.uint8)
                columns[f"{part}_starts"] = np.array(log.starts, np.int64)
        np.savez_compressed(path, **columns)

    # ---- what a board does

    def reach(self, now: int) -> None:
        """Let virtual time come to `now`, or later where the board stands still meanwhile."""
        now = max(now, self.time)
        while self._stalls and self._stalls[0].start <= now:
            fault = self._stalls.pop(0)
            now += int(fault.end - fault.start)
        self._advance(now)
        self.time = now

    def stall(self) -> float:
        """Return when the board will stand still next."""
        return float(self._stalls[0].start) if self._stalls else math.inf

    def at(self, pin: int) -> Chip | None:
        """Return the chip whose interrupt is at a pin."""
        return self._pins.get(pin)

    def _advance(self, now: float) -> None:
        for chip in self.chips.values():
            chip.advance(now)

    def _i2c_chip(self, bus: int, address: int) -> I2cChip:
        """Return the chip that acknowledges; the address byte has then passed."""
        self.time += round(10 * self._bits["i2c", bus]) + self._overhead
        chip = self._i2c.get((bus, address))
        if chip is None or chip.active.keys() & {"nak", "missing"}:
            raise OSError(errno.ENODEV, "no acknowledge")
        return chip

    def i2c(self, bus: int, address: int, register: int, wanted: int, data: bytes) -> bytes:
        """Read `wanted` bytes of a register, or write `data` to it; OSError where nothing answers."""
        chip = self._i2c_chip(bus, address)
        self.time += round((19 if wanted else 9) * self._bits["i2c", bus])
        chip.select(register)
        return self._i2c_bytes(chip, bus, wanted, data)

    def _i2c_bytes(self, chip: I2cChip, bus: int, wanted: int, data: bytes) -> bytes:
        start, step = self.time, 9 * self._bits["i2c", bus]
        out = bytearray()
        for number in range(max(wanted, len(data))):
            self.time = start + round(number * step)
            chip.advance(self.time)
            if wanted:
                out.append(chip.read_byte(self.time))
            else:
                chip.write_byte(data[number], self.time)
            chip.settle(self.time)
        self.time = start + round(max(wanted, len(data)) * step)
        chip.stop()
        return bytes(out)

    def spi(self, bus: int, select: int, phase: int, continued: bool, data: bytes) -> bytes:
        """Shift `data` out and return what comes in; `continued`: the chip has stayed selected since the last call."""
        self.time += self._overhead
        chip = self._spi.get((bus, select))
        start, step = self.time, 8 * self._bits["spi", bus]
        end = start + round(len(data) * step)
        if chip is None or "missing" in chip.active:
            self.time = end
            return bytes([NOTHING_DRIVES]) * len(data)
        if phase != chip.phase:
            raise Refused(f"{chip.part}: SPI mode {chip.phase}, not {phase}")
        if not continued:
            chip.begin_frame()
        chip.begin_transfer(step)
        out = bytearray()
        for number, value in enumerate(data):
            self.time = start + round(number * step)
            chip.advance(self.time)
            out.append(chip.shift(value, self.time))
            chip.settle(self.time)
        self.time = end
        return bytes(out)

    def level(self, pin: int) -> int:
        """Return the level of a pin, 1 where nothing drives it."""
        if pin in self._levels:
            part, which = self._levels[pin]
            return part.level(which)
        chip = self._pins.get(pin)
        return 0 if chip and chip.low else 1

    def adc(self, pin: int) -> int:
        """Return microvolts at a pin; OSError where nothing is."""
        if pin not in self._analog:
            raise OSError(errno.ENODEV, "nothing at this pin")
        return self._analog[pin].read_uv(self.time)
