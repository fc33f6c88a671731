"""One board process on virtual hardware, over a socket; what ends with the process is here and not in the chips.

That is its zero of time, its interrupt lines, its sleep and its watchdog. The board owns the clock: each request
carries its `now`, each answer the time after the transfer. firmware/hal/virtual.py describes the format.
"""

from __future__ import annotations

import contextlib
import errno
import math
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitalwire_protocol.spec import Cause

from ..codegen.board import Board, BoardError
from .chips.base import Chip, Refused
from .hardware import Hardware

LINES = 8
REQUEST = struct.Struct("<qqq")
ANSWER = struct.Struct("<qq")


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

    `fd` is the board's end of the socket given to `Serving.serve`; `speed` is virtual per real time, 0 as fast as can
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


class Serving:
    """A board process from its boot, which is now, to its end."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware
        self._base = self.asleep = hardware.time  # until when the board sleeps, at its end
        self._lines: list[Chip | None] = []
        self.armed = False  # whether the watchdog runs
        self.heard = time.monotonic()  # seconds when the process last did anything
        self._handlers: dict[int, Callable[[int, int, int, int, int, bytes], bytes]] = {
            1: self._i2c,
            2: self._spi,
            3: self._idle,
            4: self._sync,
            5: self._line,
            6: self._level,
            7: self._adc,
            8: self._sleep,
            9: self._arm,
        }

    def serve(self, link: socket.socket) -> None:
        """Answer the process until it closes its end."""
        with link, link.makefile("rb") as stream, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while len(head := stream.read(REQUEST.size)) == REQUEST.size:
                self.heard = time.monotonic()
                word, now, until = REQUEST.unpack(head)
                sent = word >> 52
                data = stream.read(sent) if sent else b""
                fields = (word >> 8 & 0xFF, word >> 16 & 0xFF, word >> 32 & 0xFF, word >> 40 & 0xFFF, until, data)
                with self._hardware.lock:
                    code, body = self._answer(self._handlers[word & 0xFF], now, fields)
                    answer = ANSWER.pack(code, self._hardware.time - self._base)
                link.sendall(answer + body)

    def _answer(
        self, handler: Callable[[int, int, int, int, int, bytes], bytes], now: int, fields: Any
    ) -> tuple[int, bytes]:
        """Bring everything up to the board's `now` and do what it asks; return errno and the bytes it gets."""
        hardware = self._hardware
        hardware.reach(now + self._base)
        try:
            return 0, handler(*fields)
        except OSError as error:
            return error.errno or errno.EIO, b""
        except Refused as error:
            hardware.refused.append(str(error))
            print(f"virtual board, {hardware.time / 1e6:.6f} s: {error}", file=sys.stderr, flush=True)
            return errno.EINVAL, b""

    def _i2c(self, bus: int, address: int, register: int, wanted: int, _: int, data: bytes) -> bytes:
        return self._hardware.i2c(bus, address, register, wanted, data)

    def _spi(self, bus: int, select: int, continued: int, _: int, __: int, data: bytes) -> bytes:
        return self._hardware.spi(bus & 127, select, bus >> 7, bool(continued), data)

    def _idle(self, waking: int, _: int, __: int, ___: int, until: int, ____: bytes) -> bytes:
        wakes = [chip.wakes() for line, chip in enumerate(self._lines) if chip and waking >> line & 1]
        wake = min(float(until + self._base), self._hardware.stall(), *wakes)
        return _number(max(math.ceil(wake), self._hardware.time) - self._base)

    def _sync(self, *_: object) -> bytes:
        edges = [-1] * LINES
        for number, chip in enumerate(self._lines):
            if chip and chip.edge >= 0:
                edges[number] = max(chip.edge - self._base, 0)
                chip.edge = -1
        return struct.pack(f"<{LINES}q", *edges)

    def _line(self, pin: int, *_: object) -> bytes:
        chip = self._hardware.at(pin)
        if chip:
            chip.edge = -1
        self._lines.append(chip)
        if len(self._lines) > LINES:
            raise OSError(errno.ENOSPC, "too many interrupt lines")
        return _number(len(self._lines) - 1)

    def _level(self, pin: int, *_: object) -> bytes:
        return _number(self._hardware.level(pin))

    def _adc(self, pin: int, *_: object) -> bytes:
        return _number(self._hardware.adc(pin))

    def _sleep(self, _: int, __: int, ___: int, ____: int, until: int, _____: bytes) -> bytes:
        self.asleep = until + self._base
        return b""

    def _arm(self, on: int, *_: object) -> bytes:
        self.armed = bool(on)
        return b""


def _number(value: int) -> bytes:
    return struct.pack("<q", value)
