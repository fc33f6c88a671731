"""Servers that a test starts for itself on loopback, and ends by their process id."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.waiting import FAR


def free_port() -> int:
    """Return a port that was free a moment ago, of those that no system gives to connections that go out."""
    while True:
        port = random.SystemRandom().randrange(12_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """A process that listens on `port`; what it says goes to a file beside its data."""

    def __init__(
        self,
        command: Sequence[str | Path],
        port: int,
        log: Path,
        *,
        address: str = "127.0.0.1",
        environment: Mapping[str, str] | None = None,
        crash: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.port = port
        self._crash = crash
        self._address = address
        self._command = [str(each) for each in command]
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has said so far."""
        return self._log.read_text(errors="replace")

    def start(self, *, wait: bool = True) -> None:
        """Start it, again if need be, and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until it listens."""
        assert self._process is not None
        until = time.monotonic() + FAR
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise AssertionError(f"{self._command[0]} ended: {self.log[-2000:]}")
            try:
                socket.create_connection((self._address, self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"{self._command[0]} does not listen: {self.log[-2000:]}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def stop(self) -> None:
        """Ask it to end, and wait until it has; again now and then, as mosquitto hears none while it starts."""
        assert self._process is not None
        until = time.monotonic() + FAR
        while self._process.poll() is None and time.monotonic() < until:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
        assert self._process.returncode is not None, f"{self._command[0]} does not end: {self.log[-2000:]}"
        self._process = None

    def kill(self) -> None:
        """End it at once, as a crash would; nothing if it does not run."""
        if self._process is not None:
            self._process.send_signal(self._crash)
            self._process.wait()
            self._process = None
