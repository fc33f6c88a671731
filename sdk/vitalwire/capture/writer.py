"""Captures written so that a crash costs at most what was not yet durable; judges no signature.

Every append is one write behind what is known to be whole, and a failed one is undone. Nothing counts as durable
before an fsync has returned. Each file begins with its header, and no frame stands before its descriptor.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from vitalwire import cbor
from vitalwire.errors import CaptureError, TransportError
from vitalwire_protocol.spec import DIGEST_SIZE, Kind, Limit, NoteKey

from .reader import HEADER, Damage, numbered, parts, read
from .scan import FormError, IncompleteError, frame_end, peek

try:
    import fcntl
except ImportError:  # Windows has no advisory locks
    fcntl = None  # type: ignore[assignment]

MAX_DESCRIPTORS = 64  # held, to be written again after a rotation
MAX_TORN = 2 * Limit.MAX_FRAME  # a note and a frame: more than this was not torn by us and is left for the reader


class Writer:
    """Appends frames to a capture, making the file if it is not there and cutting a torn tail if it is.

    `max_bytes` and `max_seconds` begin a new file (`NAME-00001.EXT`, see `parts`) before the one in hand grows larger
    or older. `sync_seconds` makes everything durable when a write comes that long after the last time; 0 with every
    write, None only when `sync` is called. A second writer at a time gets TransportError, as does a full disk; after a
    failed fsync the writer refuses all further work, because nobody knows what the disk holds.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int | None = None,
        max_seconds: float | None = None,
        sync_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base = Path(path)
        self._max_bytes, self._max_seconds, self._sync_seconds = max_bytes, max_seconds, sync_seconds
        self._clock = clock
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        self._failed = False
        self.pending = 0  # frames written and not yet durable
        self.cut = 0  # bytes of a torn tail that were cut off on opening
        existing = parts(self._base)
        self._open(existing[-1] if existing else self._base)

    # ------------------------------------------------------------ what a recorder calls

    def write(self, frame: bytes, received_us: int | None = None, descriptor: bytes | None = None) -> bool:
        """Append a frame that arrived at UTC `received_us`; returns whether all that was written is durable now.

        `descriptor` is the descriptor frame it is to be read with, and may be left out once given. A descriptor the
        file has already is not written twice. Raises CaptureError if `frame` has not the form of a frame.
        """
        if descriptor is not None:
            self._hold(descriptor)
        head = peek(self._checked(frame))
        if head is not None and head.kind == Kind.DESCRIPTOR and self._hold(frame) in self._present:
            return self.pending == 0
        self._rotate_if_due(len(frame))
        if head is not None and head.descriptor is not None and head.descriptor not in self._present:
            needed = self._known.get(head.descriptor)
            if needed is not None:
                self._append(needed)
                self._present.add(head.descriptor)
        note = b"" if received_us is None else cbor.encode({NoteKey.RECEIVED.value: received_us})
        self._append(note + frame)
        if head is not None and head.kind == Kind.DESCRIPTOR:
            self._present.add(hashlib.sha256(frame).digest()[:DIGEST_SIZE])
        self.pending += 1
        if self._sync_seconds is not None and self._clock() - self._synced >= self._sync_seconds:
            self.sync()
        return self.pending == 0

    def sync(self) -> None:
        """Make everything written so far durable; returns when it is."""
        with self._failing("make durable", fatal=True):
            os.fsync(self._file.fileno())
        self.pending = 0
        self._synced = self._clock()

    def close(self) -> None:
        """Make everything durable and close the file; may be called again."""
        if not self._file.closed:
            try:
                if not self._failed:
                    self.sync()
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ files

    def _open(self, path: Path) -> None:
        self.path = path
        with self._failing("open"):
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b", 0)
        try:
            self._lock()
            self._present: set[bytes] = set()
            self._opened = self._synced = self._clock()
            self._frames = 0
            self._size = self._whole()
            with self._failing("write"):
                self._file.truncate(self._size)
            if self._size == 0:
                self._append(HEADER)
            self.sync()
            self._sync_directory()
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise TransportError(f"{self.path} is being written by another process") from None

    def _whole(self) -> int:
        """Return where the next frame belongs: behind the last whole one. Learns the descriptors on the way."""
        total = os.fstat(self._file.fileno()).st_size
        if total == 0:
            return 0
        end = len(HEADER)
        for item in read(self.path):
            if isinstance(item, Damage):
                if item.torn and item.offset == 0:
                    end = 0
                elif item.length > MAX_TORN or not item.torn:
                    end = item.offset + item.length
                continue
            end = item.offset + len(item.raw)
            self._frames += 1
            head = peek(item.raw)
            if head is not None and head.kind == Kind.DESCRIPTOR:
                self._present.add(self._hold(item.raw))
        self.cut += total - end
        return end

    def _sync_directory(self) -> None:
        """Make the file's name durable as well (Linux fsync(2): syncing a file does not sync its directory entry)."""
        with contextlib.suppress(OSError):  # not every system lets a directory be opened
            directory = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _rotate_if_due(self, length: int) -> None:
        large = self._max_bytes is not None and self._size + length > self._max_bytes
        old = self._max_seconds is not None and self._clock() - self._opened >= self._max_seconds
        if self._frames and (large or old):
            self.close()
            number = 1 + max(numbered(self._base))
            try:
                self._open(self._base.with_name(f"{self._base.stem}-{number:05d}{self._base.suffix}"))
            except TransportError:
                self._failed = True  # there is no file to write to
                raise

    # ------------------------------------------------------------ bytes

    def _append(self, data: bytes) -> None:
        with self._failing("write"):
            try:
                self._file.seek(self._size)
                view = memoryview(data)
                while view:
                    view = view[self._file.write(view) :]
            except OSError:
                self._file.truncate(self._size)
                raise
        self._size += len(data)
        self._frames += data is not HEADER

    def _hold(self, descriptor: bytes) -> bytes:
        digest = hashlib.sha256(self._checked(descriptor)).digest()[:DIGEST_SIZE]
        self._known[digest] = descriptor
        self._known.move_to_end(digest)
        if len(self._known) > MAX_DESCRIPTORS:
            self._present.discard(self._known.popitem(last=False)[0])
        return digest

    @staticmethod
    def _checked(frame: bytes) -> bytes:
        try:
            whole = frame_end(frame, 0) == len(frame)
        except (FormError, IncompleteError):
            whole = False
        if not whole:
            raise CaptureError("only frames go into a capture, and this has not the form of one")
        return frame

    @contextlib.contextmanager
    def _failing(self, verb: str, *, fatal: bool = False) -> Iterator[None]:
        if self._failed:
            raise TransportError(f"{self.path} failed before and is not written any more")
        try:
            yield
        except OSError as error:
            self._failed = self._failed or fatal
            raise TransportError(f"cannot {verb} {self.path}: {error.strerror}") from None
