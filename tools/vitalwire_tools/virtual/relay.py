"""Joins a board's terminal with what its user opens: a pty of its own, or one TCP client when listening.

Bytes are never dropped: whoever does not read stops the sender, as a full buffer does on a chip. The board's side may
be exchanged at any time (reset, power cut); the user's side stays open.
"""

from __future__ import annotations

import contextlib
import os
import pty
import selectors
import socket
import tty

CHUNK = 4096


class Relay:
    """Moves bytes between the board (a file descriptor or None) and its user; `turn()` does one round."""

    def __init__(self, listen: tuple[str, int] | None = None) -> None:
        """Open the user's side; OSError if the address cannot be bound."""
        self._user, self._held = pty.openpty()
        tty.setraw(self._held)
        self.path = os.ttyname(self._held)
        self._client: socket.socket | None = None
        self._server = socket.create_server(listen) if listen else None
        self._board: int | None = None
        self._to_board = b""
        self._to_user = b""
        self._wake_read, self._wake_write = os.pipe()
        for fd in (self._user, self._wake_read):
            os.set_blocking(fd, False)

    @property
    def address(self) -> tuple[str, int] | None:
        """Where the TCP side listens."""
        return self._server.getsockname()[:2] if self._server else None

    def wake(self) -> None:
        """Make a `turn()` that waits in another thread return."""
        os.write(self._wake_write, b"w")

    def attach(self, board: int | None) -> None:
        """Exchange the board's side; bytes under way to the old one are lost as on a real wire."""
        self._board = board
        self._to_board = b""
        if board is not None:
            os.set_blocking(board, False)

    def to_user(self, data: bytes) -> None:
        """Queue bytes for the user as if the board had sent them."""
        self._to_user += data

    def turn(self, wait: float) -> bytes:
        """Move what can be moved, waiting at most `wait` seconds; return the bytes the board sent."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._wake_read, selectors.EVENT_READ)
            if self._server:
                ready.register(self._server, selectors.EVENT_READ)
            self._watch(ready, self._user, not self._to_board, bool(self._to_user) and not self._client)
            if self._client:
                self._watch(ready, self._client.fileno(), not self._to_board, bool(self._to_user))
            if self._board is not None:
                self._watch(ready, self._board, not self._to_user, bool(self._to_board))
            events = ready.select(wait)
        seen = b""
        for key, mask in events:
            if key.fileobj is self._server:
                self._accept()
            elif key.fd == self._wake_read:
                os.read(self._wake_read, CHUNK)
            elif key.fd == self._board:
                seen += self._serve_board(mask)
            else:
                self._serve_user(key.fd, mask)
        return seen

    def close(self) -> None:
        """Close the user's side."""
        for fd in (self._user, self._held, self._wake_read, self._wake_write):
            os.close(fd)
        for end in (self._client, self._server):
            if end:
                end.close()

    @staticmethod
    def _watch(ready: selectors.BaseSelector, fd: int, read: bool, write: bool) -> None:
        events = selectors.EVENT_READ * read | selectors.EVENT_WRITE * write
        if events:
            ready.register(fd, events)

    def _accept(self) -> None:
        assert self._server
        client, _ = self._server.accept()
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._client:  # the newest client wins: the older one is likely half-open
            self._client.close()
        self._client = client

    def _serve_board(self, mask: int) -> bytes:
        assert self._board is not None
        data = b""
        try:
            if mask & selectors.EVENT_READ:
                data = os.read(self._board, CHUNK)
                self._to_user += data
                if not data:
                    self._board = None
            if mask & selectors.EVENT_WRITE and self._board is not None:
                self._to_board = self._to_board[os.write(self._board, self._to_board) :]
        except BlockingIOError:
            pass
        except OSError:  # EIO: the process behind the terminal is gone
            self._board = None
        return data

    def _serve_user(self, fd: int, mask: int) -> None:
        try:
            if mask & selectors.EVENT_READ:
                data = os.read(fd, CHUNK)
                if not data and self._client and fd == self._client.fileno():
                    raise ConnectionResetError
                self._to_board += data
            if mask & selectors.EVENT_WRITE:
                self._to_user = self._to_user[os.write(fd, self._to_user) :]
        except BlockingIOError:
            pass
        except OSError:
            if self._client and fd == self._client.fileno():
                with contextlib.suppress(OSError):
                    self._client.close()
                self._client = None
