"""A device behind a TCP port, for tests of the client: real frames, a journal, and commands as SPEC section 10 says.

It lives in a thread and a process with the test, which makes its frames and breaks its connection.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from typing import Any

from vitalwire import cbor, crypto
from vitalwire.errors import VitalwireError
from vitalwire.packet import Packet, PacketDecoder, encode_packet
from vitalwire.testing import FakeDevice
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Command, CommandKey, Key, PacketType, Result


class Board:
    """One board; `journal` holds the frames nobody has acknowledged, `commands` what it was asked."""

    def __init__(self, device: FakeDevice | None = None, secret: bytes | None = None) -> None:
        self.device = device or FakeDevice()
        self.secret = secret
        self.journal: dict[int, bytes] = {}
        self.acknowledged: set[int] = set()
        self.commands: list[tuple[int, Any]] = []
        self.refuse: dict[int, Result] = {}  # closed commands that are answered so
        self.deaf = False  # answers nothing
        self._nonce = secrets.token_bytes(spec.NONCE_SIZE)
        self._counter = 0
        self._lock = threading.Lock()
        self._linked: socket.socket | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"tcp://127.0.0.1:{self.port}"
        self.connections = 0
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.vanish()
        self._thread.join(5)

    # ------------------------------------------------------------ what a test does to it

    def send(self, *frames: bytes, keep: bool = True) -> None:
        """Put frames into the journal, and on the line if somebody reads; without `keep` on the line only."""
        with self._lock:
            for raw in frames:
                if keep:
                    self.journal[seq_of(raw)] = raw
                self._put(PacketType.FRAME, 0, raw)

    def noise(self, data: bytes) -> None:
        """Put bytes on the line as they are."""
        with self._lock, contextlib.suppress(OSError):
            if self._linked is not None:
                self._linked.sendall(data)

    def log(self, level: spec.LogLevel, text: str) -> None:
        """Put a log line on the line."""
        with self._lock:
            self._put(PacketType.LOG, 0, bytes([level]) + text.encode())

    def unplug(self) -> None:
        """Break the connection there is; the next one is accepted."""
        with self._lock:
            self._linked = None
            if self._connection is not None:
                with contextlib.suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)

    def vanish(self) -> None:
        """Break the connection and accept no other."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.unplug()

    def reboot(self, burn: int = 0) -> bytes:
        """Begin the next boot under another nonce; returns the boot event's frame."""
        with self._lock:
            self._nonce = secrets.token_bytes(spec.NONCE_SIZE)
            self._counter = 0
        return self.device.reboot(burn)

    # ------------------------------------------------------------ its own life

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with self._lock:
                self._connection = connection
            decoder = PacketDecoder()
            with connection, contextlib.suppress(OSError):
                while data := connection.recv(4096):
                    with self._lock:
                        for packet in decoder.feed(data):
                            self._linked = connection
                            if not self.deaf:
                                self._answer(packet)
            with self._lock:
                self._linked = None

    def _put(self, kind: PacketType, id: int, body: bytes) -> None:
        if self._linked is not None:
            with contextlib.suppress(OSError):
                self._linked.sendall(encode_packet(kind, id, body))

    def _answer(self, packet: Packet) -> None:
        closed = packet.body.startswith(cbor.head(6, spec.Tag.MAC0))
        if not closed:
            fields = cbor.decode(packet.body)
            assert isinstance(fields, dict)
            command = fields[CommandKey.COMMAND]
            self.commands.append((int(command), None))  # type: ignore[call-overload]
            reply: dict[int, object] = {CommandKey.COMMAND: command, CommandKey.RESULT: Result.OK}
            if command == Command.IDENTIFY:
                reply |= {
                    CommandKey.THUMBPRINT: self.device.thumbprint,
                    CommandKey.BOOT: self.device.boot,
                    CommandKey.NONCE: self._nonce,
                    CommandKey.COUNTER: self._counter,
                    CommandKey.TICKS: self.device.ticks,
                    CommandKey.FIRMWARE: "1.0.0",
                    CommandKey.BOARD: "none",
                    CommandKey.NAME: self.device.name,
                }
            self._put(PacketType.REPLY, packet.id, cbor.encode(reply))
            if command == Command.DESCRIBE:
                for raw in (self.device.descriptor(), *self.journal.values()):
                    self._put(PacketType.FRAME, 0, raw)
            return
        try:
            assert self.secret is not None
            key = crypto.command_key(self.secret, self.device.thumbprint)
            fields = cbor.decode(crypto.open_mac0(key, packet.body, spec.AAD_COMMAND))
            assert isinstance(fields, dict)
        except (VitalwireError, AssertionError):
            reply = {CommandKey.COMMAND: 0, CommandKey.RESULT: Result.BAD_MAC}
            self._put(PacketType.REPLY, packet.id, cbor.encode(reply))
            return
        self._put(PacketType.REPLY, packet.id, crypto.mac0(key, cbor.encode(self._obey(fields)), spec.AAD_REPLY))

    def _obey(self, fields: dict[int, Any]) -> dict[int, object]:
        command, argument = fields[CommandKey.COMMAND], fields.get(CommandKey.ARGUMENT)
        reply = {
            CommandKey.COMMAND: command,
            CommandKey.COUNTER: fields[CommandKey.COUNTER],
            CommandKey.NONCE: self._nonce,
            CommandKey.RESULT: Result.OK,
        }
        if (fields[CommandKey.BOOT], fields[CommandKey.NONCE]) != (self.device.boot, self._nonce):
            return reply | {CommandKey.RESULT: Result.WRONG_NONCE}
        if fields[CommandKey.COUNTER] <= self._counter:
            return reply | {CommandKey.RESULT: Result.STALE_COUNTER}
        self._counter = fields[CommandKey.COUNTER]
        self.commands.append((command, argument))
        if command in self.refuse:
            return reply | {CommandKey.RESULT: self.refuse[command]}
        if command in (Command.PING, Command.SET_TIME):
            reply[CommandKey.TICKS] = self.device.ticks
        if command == Command.ACKNOWLEDGE:
            for first, last in argument:
                self.acknowledged |= set(range(first, last + 1))
                for seq in [seq for seq in self.journal if first <= seq <= last]:
                    del self.journal[seq]
        return reply


def seq_of(raw: bytes) -> int:
    """Return the number of a frame."""
    fields = cbor.decode(crypto.frame_payload(raw))
    assert isinstance(fields, dict)
    seq = fields[Key.SEQ]
    assert isinstance(seq, int)
    return seq
