"""The virtual board's hardware: buses, interrupt lines and chips, answering a board process over a socket.

The board owns the clock: each request carries its `now`, each answer the time after the transfer. Chips are brought up
to that time before they are touched, so a run depends on nothing but the board's work, the script of faults and a seed.
The message format is described in firmware/hal/virtual.py.
"""

from __future__ import annotations

import contextlib
import errno
import math
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vitalwire_protocol.spec import Cause

from ..codegen.board import Board, BoardError, Sensor
from ..codegen.parts import parts
from . import faults as scripts
from .chips import models
from .chips.base import AnalogChip, Chip, I2cChip, Played, Refused, SpiChip
from .chips.battery import Battery

CHIPS: dict[str, type[Chip]] = models(parts())
LINES = 8
REQUEST = struct.Struct("<qqq")
ANSWER = struct.Struct("<qq")
NOTHING_DRIVES = 0xFF  # what an SPI master reads with no chip selected or none there


def environment(
    board: Board,
    *,
    fd: int,
    flash: Path,
    speed: float = 0.0,
    cpu: str = "",
    cause: int = Cause.POWER_ON,
    unique_id: bytes = b"",
) -> dict[str, str]:
    """Return what firmware/hal/virtual.py reads from its environment.

    `fd` is the board's end of the socket given to `Hardware.serve`; `speed` is virtual per real time, 0 as fast as can
    be; `cpu` names a cost table of the board ("" charges no work). Raises BoardError for an unknown `cpu`.
    """
    if cpu and cpu not in board.cpu:
        raise BoardError(f"board {board.name!r} has no cost table for {cpu!r}")
    settings = {
        "HARDWARE": str(fd),
        "FLASH": str(flash),
        "SPEED": str(speed),
        "COSTS": ",".join(f"{kind}={cost}" for kind, cost in board.cpu.get(cpu, {}).items()),
        "CAUSE": str(int(cause)),
        "ID": unique_id.hex(),
    }
    return {f"VITALWIRE_{name}": value for name, value in settings.items()}


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
        self.time = 0  # microseconds of virtual time since the hardware exists
        self.asleep = 0  # until when the board sleeps
        self.armed = False  # whether the watchdog runs
        self.heard = 0.0  # monotonic seconds when the board's process last did anything
        self.refused: list[str] = []  # accesses no chip's data sheet allows; a correct driver leaves this empty
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
        self._lines: list[Chip | None] = []
        self._base = 0
        self._lock = threading.Lock()  # `save` may be called while a board is served
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
        """Cut the power of every chip for a while; what they held is lost. Call it between two `serve`."""
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
        with self._lock:
            for part, log in self.played.items():
                columns |= {n: np.array(counts, np.int32) for n, counts in zip(log.channels, log.counts, strict=True)}
                columns[f"{part}_us"] = np.array(log.times, np.int64)
                columns[f"{part}_lost"] = np.frombuffer(bytes(log.lost), np.uint8)
                columns[f"{part}_starts"] = np.array(log.starts, np.int64)
        np.savez_compressed(path, **columns)

    # ---- a board process

    def serve(self, link: socket.socket) -> None:
        """Answer one board process from its boot, which is now, until it closes its end."""
        self._base = self.asleep = self.time
        self._lines = []
        self.armed, self.heard = False, time.monotonic()
        handlers: dict[int, Callable[[int, int, int, int, int, bytes], bytes]] = {
            1: self._i2c_raw,
            2: self._i2c_memory,
            3: self._spi_transfer,
            4: self._idle,
            5: self._sync,
            6: self._line,
            7: self._level,
            8: self._adc,
            9: self._sleep,
            10: self._arm,
        }
        with link, link.makefile("rb") as stream, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while len(head := stream.read(REQUEST.size)) == REQUEST.size:
                self.heard = time.monotonic()
                word, now, until = REQUEST.unpack(head)
                sent = word >> 52
                data = stream.read(sent) if sent else b""
                fields = (word >> 8 & 0xFF, word >> 16 & 0xFF, word >> 32 & 0xFF, word >> 40 & 0xFFF, until, data)
                with self._lock:
                    code, body = self._answer(handlers[word & 0xFF], now, fields)
                link.sendall(ANSWER.pack(code, self.time - self._base) + body)

    def _answer(
        self, handler: Callable[[int, int, int, int, int, bytes], bytes], now: int, fields: Any
    ) -> tuple[int, bytes]:
        """Bring everything up to the board's `now` and do what it asks; return errno and the bytes it gets."""
        now = self._stall(max(now + self._base, self.time))
        self._advance(now)
        self.time = now
        try:
            return 0, handler(*fields)
        except OSError as error:
            return error.errno or errno.EIO, b""
        except Refused as error:
            self.refused.append(str(error))
            print(f"virtual board, {self.time / 1e6:.6f} s: {error}", file=sys.stderr, flush=True)
            return errno.EINVAL, b""

    def _stall(self, now: int) -> int:
        while self._stalls and self._stalls[0].start <= now:
            fault = self._stalls.pop(0)
            now += int(fault.end - fault.start)
        return now

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

    def _i2c_raw(self, bus: int, address: int, _: int, wanted: int, __: int, data: bytes) -> bytes:
        chip = self._i2c_chip(bus, address)
        if not wanted:
            chip.select(data[0])
        return self._i2c_bytes(chip, bus, wanted, data[1:])

    def _i2c_memory(self, bus: int, address: int, register: int, wanted: int, _: int, data: bytes) -> bytes:
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

    def _spi_transfer(self, bus: int, select: int, continued: int, _: int, __: int, data: bytes) -> bytes:
        self.time += self._overhead
        bus, phase = bus & 127, bus >> 7
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

    def _idle(self, waking: int, _: int, __: int, ___: int, until: int, ____: bytes) -> bytes:
        wake = min(
            [float(until + self._base)]
            + [chip.wakes() for line, chip in enumerate(self._lines) if chip and waking >> line & 1]
            + [float(fault.start) for fault in self._stalls[:1]]
        )
        return struct.pack("<q", max(math.ceil(wake), self.time) - self._base)

    def _sync(self, *_: object) -> bytes:
        edges = [-1] * LINES
        for number, chip in enumerate(self._lines):
            if chip and chip.edge >= 0:
                edges[number] = max(chip.edge - self._base, 0)
                chip.edge = -1
        return struct.pack(f"<{LINES}q", *edges)

    def _line(self, pin: int, *_: object) -> bytes:
        chip = self._pins.get(pin)
        if chip:
            chip.edge = -1
        self._lines.append(chip)
        if len(self._lines) > LINES:
            raise OSError(errno.ENOSPC, "too many interrupt lines")
        return struct.pack("<q", len(self._lines) - 1)

    def _level(self, pin: int, *_: object) -> bytes:
        if pin in self._levels:
            part, which = self._levels[pin]
            return struct.pack("<q", part.level(which))
        chip = self._pins.get(pin)
        return struct.pack("<q", 0 if chip and chip.low else 1)

    def _sleep(self, _: int, __: int, ___: int, ____: int, until: int, _____: bytes) -> bytes:
        self.asleep = until + self._base
        return b""

    def _arm(self, on: int, *_: object) -> bytes:
        self.armed = bool(on)
        return b""

    def _adc(self, pin: int, *_: object) -> bytes:
        if pin not in self._analog:
            raise OSError(errno.ENODEV, "nothing at this pin")
        return struct.pack("<q", self._analog[pin].read_uv(self.time))
