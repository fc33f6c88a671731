"""MicroPython's prompt on a board, by mpremote's library: code run there, files put there. Knows no firmware."""

from __future__ import annotations

import contextlib
import io
import posixpath
import struct
import time
from collections.abc import Callable
from hashlib import sha256
from types import TracebackType

import serial
from mpremote.transport import TransportError as NoPrompt
from mpremote.transport import TransportExecError
from mpremote.transport_serial import SerialTransport

from vitalwire.errors import CommandError, TransportError

FIRMWARE = "firmware"  # the folder with the modules, in the root of a chip's file system
ARCHITECTURES = {2: "x64", 10: "xtensawin", 11: "rv32imc"}  # mpy-cross's words for MP_NATIVE_ARCH_*
PATIENCE, TRY = 12.0, 4.0  # seconds: a board that was just read gives its prompt 10 s later (firmware/link.py)
_MOVE = """
import os
def gone(path):
    try:
        for name in os.listdir(path):
            gone(path + "/" + name)
        os.rmdir(path)
    except OSError:
        try: os.remove(path)
        except OSError: pass
"""
_RESET = "import machine\nmachine.reset()"
_RESET_VIRTUAL = "from hal import virtual\nvirtual.reset(5)"


class Prompt:
    """A board stopped at its prompt; use it as a context manager. Its program starts again at the end, by a reset.

    Raises TransportError for a port that cannot be opened or a board that gives no prompt, CommandError with the
    device's last line when code fails there.
    """

    def __init__(self, port: str) -> None:
        self.port = port
        try:
            self._transport = SerialTransport(port, timeout=2)
        except (NoPrompt, serial.SerialException, OSError):
            raise TransportError(f"cannot open {port}", advice="`vitalwire ports` lists ports") from None
        self.virtual = False
        self.architecture = ""

    def __enter__(self) -> Prompt:
        try:
            self._stop()
            kind, number = self.run("import sys\nprint(sys.platform, sys.implementation._mpy)").split()
            architecture = int(number) >> 10 & 15
        except (NoPrompt, TransportError, ValueError) as error:
            self._close()
            raise TransportError(
                f"the board on {self.port} gives no prompt",
                advice="is it powered, with MicroPython on it, and nobody reading it? "
                '"repl": false forbids it, "links" without serial too',
            ) from error
        except OSError as error:
            self._close()
            raise TransportError(
                f"the board on {self.port} went away: {error.strerror or error}", advice="connect it, then do it again"
            ) from None
        self.virtual = kind != "esp32"
        self.architecture = ARCHITECTURES.get(architecture, "")
        if not self.virtual:
            self.run(f"sys.path.insert(0, '/{FIRMWARE}')")
        return self

    def _stop(self) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # mpremote prints what it did not expect
                    return self._transport.enter_raw_repl(timeout_overall=TRY)
            except NoPrompt:
                if time.monotonic() > until:
                    raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(NoPrompt, serial.SerialException, OSError, struct.error):
            self._transport.exec_raw_no_follow(_RESET_VIRTUAL if self.virtual else _RESET)
        self._close()

    def _close(self) -> None:
        with contextlib.suppress(OSError):  # of a port that is gone
            self._transport.close()

    def run(self, code: str, hear: Callable[[str], None] | None = None) -> str:
        """Run code on the board and return what it printed; `hear` gets each line as it comes."""
        out = b""

        def consume(data: bytes) -> None:
            nonlocal out
            *_, rest = out.split(b"\n")
            data = data.replace(b"\x04", b"")
            out += data
            for line in (rest + data).split(b"\n")[:-1]:
                if hear:
                    hear(line.decode(errors="replace").rstrip())

        try:
            self._transport.exec(code, data_consumer=consume)
        except TransportExecError as error:
            said = [line for line in error.error_output.splitlines() if line.strip()]
            raise CommandError(f"the board says: {said[-1] if said else 'nothing'}") from None
        except (NoPrompt, serial.SerialException, OSError, struct.error) as error:
            raise TransportError(
                f"the board on {self.port} went away: {error}", advice="connect it, then do it again"
            ) from None
        return out.decode(errors="replace")

    def install(self, files: dict[str, bytes], step: Callable[[float], None] = lambda done: None) -> None:
        """Put files into a fresh firmware folder, check each by its SHA-256, then exchange the folders.

        Until then the old firmware stays whole; `step` hears how many bytes are there.
        """
        new = FIRMWARE + ".new"
        self.run(_MOVE + f"gone({new!r})")
        for folder in sorted({posixpath.dirname(path) for path in files} | {""}):
            self.run(f"os.mkdir({posixpath.join(new, folder).rstrip('/')!r})")
        done = 0
        try:
            for path, content in files.items():
                where = posixpath.join(new, path)
                self._transport.fs_writefile(where, content)
                if self._transport.fs_hashfile(where, "sha256") != sha256(content).digest():
                    raise TransportError(f"{path} did not arrive as it was sent", advice="try again")
                done += len(content)
                step(done)
        except (NoPrompt, serial.SerialException, OSError, struct.error) as error:
            raise TransportError(
                f"the board on {self.port} went away: {error}", advice="connect it, then do it again"
            ) from None
        old = FIRMWARE + ".old"
        self.run(_MOVE + f"gone({old!r})\ntry: os.rename({FIRMWARE!r}, {old!r})\nexcept OSError: pass")
        self.run(f"os.rename({new!r}, {FIRMWARE!r})\ngone({old!r})")

    def write(self, path: str, content: bytes) -> None:
        """Write one file."""
        try:
            self._transport.fs_writefile(path, content)
        except (NoPrompt, serial.SerialException, OSError, struct.error) as error:
            raise TransportError(f"cannot write {path} on the board: {error}") from None
