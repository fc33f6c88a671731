"""An audit log's file: one line at a time, on the disk before the call returns, by several processes at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from vitalwire.errors import InputError, TransportError, VitalwireError

from . import chain
from .chain import Detail, Record
from .head import Head, sign_head

try:
    import fcntl
except ImportError:  # Windows: appends of one process only are kept apart
    fcntl = None  # type: ignore[assignment]


class AuditLog:
    """Appends to the log at `path`, which is made when first written to and can be read by its owner only."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def write(self, what: str, /, **details: Detail) -> Record:
        """Append what happened; returns when it is durable. Raises TransportError, UsageError, InputError.

        No keys and nobody's name belong in it. The rest of a line torn by a power cut is cut off and said to be.
        """
        with self._locked() as file:
            last, torn = _tail(file, self.path)
            if torn:
                os.ftruncate(file, os.lseek(file, 0, os.SEEK_END) - torn)
                last = self._append(file, last, "audit-log-torn", {"bytes": torn})
            return chain.parse(self._append(file, last, what, details))

    def export_head(self, key: EllipticCurvePrivateKey) -> str:
        """Return the signed head of the log; raises InputError if its lines do not fit together."""
        checked = chain.check(self.lines())
        return sign_head(Head(checked.count, checked.digest, _now()), key)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines, none longer than one more than allowed; raises TransportError."""
        try:
            with self.path.open("rb") as file:
                while line := file.readline(chain.MAX_LINE + 1):
                    yield line
        except OSError as error:
            raise TransportError(f"cannot read {self.path}: {error.strerror}") from error

    def _append(self, file: int, last: bytes, what: str, details: dict[str, Detail]) -> bytes:
        n, prev = (chain.parse(last).n, chain.digest(last)) if last else (0, chain.FIRST)
        line = chain.record(n + 1, _now(), what, details, prev).line()
        try:
            written = os.write(file, line)
            if written < len(line):
                raise OSError(28, "no room")
            os.fsync(file)
        except OSError as error:
            raise TransportError(f"cannot write {self.path}: {error.strerror}") from error
        return line

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self.path.exists()
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            if is_new:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise TransportError(f"cannot open {self.path}: {error.strerror}") from error
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)  # and with it the lock


@contextmanager
def audited(path: Path, what: str, device: str, thumbprint: bytes) -> Iterator[None]:
    """Write down in the log at `path` what is about to be changed of a device; and that it was not, if so."""
    log = AuditLog(path)
    log.write(what, device=device[: chain.MAX_TEXT], thumbprint=thumbprint.hex())
    try:
        yield
    except VitalwireError:
        log.write(f"{what}-failed", thumbprint=thumbprint.hex())
        raise


def _tail(file: int, path: Path) -> tuple[bytes, int]:
    """Return the last whole line, empty if there is none, and how many bytes follow it."""
    size = os.lseek(file, 0, os.SEEK_END)
    start = max(0, size - 2 * chain.MAX_LINE)
    os.lseek(file, start, os.SEEK_SET)
    data = os.read(file, size - start)
    end = data.rfind(b"\n") + 1
    line = data[data.rfind(b"\n", 0, max(end - 1, 0)) + 1 : end]
    if size and not line and start:
        raise InputError(f"{path} is no audit log", reason="form")
    return line, len(data) - end


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
