"""Runs one MicroPython script on virtual hardware, without a terminal or a supervisor: what driver tests stand on."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vitalwire_protocol.spec import Cause

from ..codegen.board import Board
from ..codegen.boardmodule import render
from ..interpreter import MICROPYTHON
from .hardware import Hardware
from .serving import Serving, environment


@dataclass(frozen=True, slots=True)
class Run:
    """How a script ended."""

    code: int
    output: str
    errors: str


def run(
    hardware: Hardware,
    board: Board,
    script: str,
    folder: Path,
    firmware: Path,
    arguments: Iterable[str] = (),
    *,
    speed: float = 0.0,
    cpu: str = "",
    cause: int = Cause.POWER_ON,
    heap: str = "16m",
    data: bytes | None = b"",
) -> Run:
    """Boot `script` with the firmware's folder on its path and serve its hardware until it ends.

    `folder` takes board.py and the flash file; `data` is given on stdin (None: left open and silent). Raises
    subprocess.TimeoutExpired after ten minutes.
    """
    (folder / "board.py").write_text(render(board))
    ours, theirs = socket.socketpair()
    server = threading.Thread(target=Serving(hardware).serve, args=(ours,))
    silent, silence = os.pipe()
    try:
        settings = environment(board, fd=theirs.fileno(), flash=folder / "flash.bin", speed=speed, cpu=cpu, cause=cause)
        command = [*MICROPYTHON, "-X", f"heapsize={heap}", "-c", script, *arguments]
        server.start()
        process = subprocess.Popen(
            command,
            env={**os.environ, **settings, "MICROPYPATH": f"{firmware}:{folder}:.frozen"},
            pass_fds=[theirs.fileno()],
            stdin=silent if data is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()
        output, errors = process.communicate(data.decode() if data else None, timeout=600)
    finally:
        theirs.close()
        server.join(10)
        os.close(silent)
        os.close(silence)
    return Run(process.returncode, output, errors)
