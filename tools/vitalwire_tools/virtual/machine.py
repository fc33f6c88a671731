"""One virtual board in this process: its chips in a thread, its MicroPython as a child, its terminal in `run()`.

Flash stays in `flash.bin` of the board's folder over resets and power cuts, as on a chip; everything else is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import pty
import queue
import signal
import socket
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vitalwire import wholefile
from vitalwire_protocol.spec import Cause

from ..codegen.board import Board
from ..codegen.boardfile import SECTOR, load
from ..codegen.boardmodule import render
from ..compile import compile_firmware, compile_modules
from ..folders import BOARDS
from ..interpreter import MICROPYTHON
from ..provision import Identity, filesystem_image, new_identity
from ..signers import Signers
from .hardware import Hardware, load_signals
from .relay import Relay
from .serving import Serving, environment

FLASH, ABOUT = "flash.bin", "board.json"
MODULES = Path(__file__).parent / "modules"  # what a chip's MicroPython has and the one for this computer has not
EXIT = 64  # a board process that resets ends with this plus the cause (firmware/hal/virtual.py)
RAW_REPL = b"raw REPL; CTRL-B to exit\r\n"
HEAP = 256 * 1024  # bytes: room for an update; words are twice as long as a chip's
OFF_US = 1_000_000  # how long a power cut lasts for the chips
Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a board; `speed` is virtual per real time (0: as fast as can be), `cpu` names a cost table."""

    folder: Path
    speed: float = 1.0
    cpu: str = ""
    heap: int = HEAP
    seed: int = 0
    listen: tuple[str, int] | None = None
    faults: tuple[Mapping[str, Any], ...] = ()
    sectors: int = 0  # of the journal, instead of the board's own number
    extra: Mapping[str, str] = field(default_factory=dict)  # further VITALWIRE_* settings, for tests
    modules: Mapping[str, str] = field(default_factory=dict)  # further device modules, name.py -> source
    start: str = "main"  # the module that is started
    watchdog: float = 10.0  # seconds without a sign of life after which a board that feeds its watchdog is reset
    board: str = ""  # the board.toml of another board, whose parts are played
    radio: str = ""  # host:port of the Air that its Bluetooth is in


def board_file(sectors: int = 0, path: str = "") -> Board:
    """Return the virtual board's description, or that of `path`; its journal cut to so many sectors if that is given.

    A processor's costs are the virtual board's.
    """
    board = own = load(BOARDS / "virtual" / "board.toml")
    if path:
        board = replace(load(Path(path)), cpu=own.cpu)
    if not sectors:
        return board
    offset, _ = board.partitions["journal"]
    return replace(board, partitions=board.partitions | {"journal": (offset, sectors * SECTOR)})


def create(
    folder: Path,
    device: str = "virtual",
    settings: Mapping[str, object] | None = None,
    maker: bytes = b"",
    board: str = "",
    operator: bytes = b"",
) -> Identity:
    """Make a new board's flash, with a new identity; FileExistsError if the folder already holds one.

    `maker` is the public key (uncompressed point) of who may sign updates, `operator` of who may sign configurations,
    `board` as in `Options`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / FLASH).exists():
        raise FileExistsError(folder / FLASH)
    described, identity = board_file(path=board), new_identity(device, Signers(maker, operator))
    offset, size = described.partitions["vfs"]
    flash = bytearray(b"\xff") * described.flash
    flash[offset : offset + size] = filesystem_image(identity, dict(settings or {}), size)
    (folder / ABOUT).write_text(json.dumps({"device": device, "public_key": identity.public_key.hex()}))
    wholefile.write(folder / FLASH, flash, private=True)
    return identity


class Machine:
    """A board that can be powered, cut, reset and asked what its chips played; `say` hears what happens to it."""

    def __init__(self, options: Options, say: Say) -> None:
        """Prepare a board whose flash `create` made; OSError if there is none or the address cannot be bound."""
        options = replace(options, folder=options.folder.absolute())  # the board's process runs inside it
        self.options = options
        self.say = say
        self.about = json.loads((options.folder / ABOUT).read_text())
        self._board = board_file(options.sectors, options.board)
        self._hardware = Hardware(
            self._board,
            load_signals(BOARDS / "virtual" / "signals"),
            options.faults,
            seed=options.seed,
            cpu=options.cpu,
        )
        self._code = compile_firmware(
            options.folder / "firmware",
            "x64",
            {"board.py": render(self._board) + f'VERSION = "{version("vitalwire")}"\n', **options.modules},
        )
        self._modules = compile_modules(MODULES, options.folder / "modules", "x64")
        self._relay = Relay(options.listen)
        self._orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._serving: threading.Thread | None = None
        self._terminal = -1
        self._raw = False
        self._running = True

    @property
    def port(self) -> str:
        """The path of the board's serial port."""
        return self._relay.path

    @property
    def address(self) -> tuple[str, int] | None:
        """Where the board listens on TCP, if it does."""
        return self._relay.address

    def order(self, order: dict[str, Any]) -> None:
        """Queue an order from any thread: {"do": "on" | "cut" | "reset" | "save" | "stop", ...}."""
        self._orders.put(order)
        self._relay.wake()

    def run(self) -> None:
        """Power the board and serve its terminal until it is ordered to stop."""
        self._boot(cause=Cause.POWER_ON)
        try:
            while self._running:
                self._observe(self._relay.turn(0.1))
                if self._process and self._process.poll() is not None:
                    self._ended()
                elif self._process and self._hangs():
                    self._cut()
                    self._boot(cause=Cause.WATCHDOG)
                while not self._orders.empty():
                    self._obey(self._orders.get())
        finally:
            self._cut()
            self._relay.close()

    def _boot(self, cause: int, repl: bool = False) -> None:
        ours, theirs = socket.socketpair()
        self._served = Serving(self._hardware)
        self._serving = threading.Thread(target=self._served.serve, args=(ours,), daemon=True)
        self._serving.start()
        self._terminal, slave = pty.openpty()
        tty.setraw(slave)
        settings = environment(
            self._board,
            fd=theirs.fileno(),
            flash=self.options.folder / FLASH,
            speed=self.options.speed,
            cpu=self.options.cpu,
            cause=cause,
            unique_id=hashlib.sha256(self.about["public_key"].encode()).digest()[:6],
        )
        extra = {f"VITALWIRE_{name}": value for name, value in self.options.extra.items()}
        if self.options.radio:
            extra["VITALWIRE_RADIO"] = self.options.radio
        command = [*MICROPYTHON, "-X", f"heapsize={self.options.heap}"]
        command += ["-c", ""] if repl else ["-c", f"import {self.options.start}"]
        self._process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            pass_fds=(theirs.fileno(),),
            cwd=self.options.folder,
            start_new_session=True,
            env={
                **os.environ,
                **settings,
                **extra,
                "MICROPYINSPECT": "1",
                "MICROPYPATH": f"{self._code.name}:{self._modules.name}:.frozen",
            },
        )
        os.close(slave)
        theirs.close()
        self._raw = False
        self._relay.attach(self._terminal)
        self.say({"event": "boot", "cause": cause})

    def _cut(self) -> None:
        """End the board process at once, wherever it is."""
        if self._process:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self._terminal >= 0:
            self._relay.attach(None)
            os.close(self._terminal)
            self._terminal = -1
        if self._serving:
            self._serving.join()
            self._serving = None

    def _hangs(self) -> bool:
        """Whether the watchdog runs and the board's process has asked its hardware for nothing for too long."""
        patience = self.options.watchdog / min(self.options.speed or 1.0, 1.0)
        return self._served.armed and time.monotonic() - self._served.heard > patience

    def _observe(self, seen: bytes) -> None:
        if RAW_REPL in seen:
            self._raw = True
        elif b">>> " in seen:
            self._raw = False

    def _ended(self) -> None:
        """The board process ended by itself: a reset, a soft reset out of the REPL, a cut in its flash, or a bug."""
        assert self._process
        code, raw = self._process.returncode, self._raw
        self._drain()
        self._cut()
        if EXIT < code < EXIT + 16:
            # what it sleeps passes at once
            self._hardware.pass_time(max(self._served.asleep - self._hardware.time, 50_000))
            self._boot(cause=code - EXIT)
        elif code == 0 and raw:
            self._soft_reset()
        elif code == 0:
            self._relay.to_user(b"MPY: soft reboot\r\n")
            self._boot(cause=Cause.SOFT_RESET)
        else:
            self.say({"event": "dead", "code": code})

    def _drain(self) -> None:
        for _ in range(64):
            if not self._relay.turn(0.0):
                return

    def _soft_reset(self) -> None:
        """Ctrl-D in the raw REPL: a new interpreter, again in the raw REPL, as on a chip."""
        self._boot(cause=Cause.SOFT_RESET, repl=True)
        self._relay.attach(None)
        os.set_blocking(self._terminal, True)
        self._read_until(b">>> ")
        os.write(self._terminal, b"\x01")
        self._read_until(RAW_REPL + b">")
        self._raw = True
        self._relay.to_user(b"soft reboot\r\n" + RAW_REPL + b">")
        self._relay.attach(self._terminal)

    def _read_until(self, end: bytes) -> None:
        seen, limit = b"", time.monotonic() + 5
        while end not in seen and time.monotonic() < limit:
            seen += os.read(self._terminal, 4096)

    def _obey(self, order: dict[str, Any]) -> None:
        do = order["do"]
        if do == "cut":
            self._cut()
            self._hardware.power_cycle(OFF_US)
        elif do == "on" and not self._process:
            self._boot(cause=Cause.POWER_ON)
        elif do == "reset":
            self._cut()
            self._hardware.pass_time(50_000)
            self._boot(cause=Cause.HARD_RESET)
        elif do == "save":
            self._hardware.save(Path(order["path"]))
        elif do == "stop":
            self._running = False
        deepest = {part: chip.deepest for part, chip in self._hardware.chips.items()}
        self.say({"event": "done", "do": do, "refused": list(self._hardware.refused), "deepest": deepest})
