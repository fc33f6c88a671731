"""A device for tests: its real link, control, clock and journal in a MicroPython process, moved in lockstep."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path
from typing import Any

from vitalwire import cbor, crypto
from vitalwire.packet import Packet, PacketDecoder, encode_packet
from vitalwire_protocol.spec import Key, PacketType

HERE = Path(__file__).resolve().parent
THUMBPRINT = bytes(range(32))
SECRET = bytes(range(100, 132))


def seq_of(frame: bytes) -> int:
    """Return the number of a frame of this device, whose signature is none."""
    fields = cbor.decode(crypto.frame_payload(frame))
    assert isinstance(fields, dict)
    assert isinstance(fields[Key.SEQ], int)
    return fields[Key.SEQ]


class Device:
    """One board; `now` is its time in microseconds, which only moves when a test moves it."""

    def __init__(
        self,
        *,
        secret: bytes | None = SECRET,
        sectors: int = 64,
        heap: str = "1m",
        firmware: Path | None = None,
        **link: Any,
    ) -> None:
        environment = {**os.environ, "MICROPYPATH": f"{firmware or HERE.parent / 'firmware'}:.frozen"}
        self.process = subprocess.Popen(
            ["micropython", "-X", f"heapsize={heap}", str(HERE / "linkdevice_mp.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        self.now = 0
        self.decoder = PacketDecoder()
        options = "".join(f", {name}={value!r}" for name, value in link.items())
        self.do(f"board = Board({THUMBPRINT!r}, {secret!r}, {sectors}{options})")

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()

    def do(self, code: str) -> Any:
        """Run a line of code on the device; returns the value of an expression."""
        answer = self._ask(f"x {code}")
        return ast.literal_eval(answer) if answer[:1] in "0123456789-([{'\"bTFN" else answer

    def bytes(self, data: bytes = b"", after: int = 0) -> bytes:
        """Move time on by `after` microseconds, give the device bytes, let it work; returns the bytes it sent."""
        self.now += after
        return bytes.fromhex(self._ask(f"s {self.now} {data.hex()}"))

    def packets(self, data: bytes = b"", after: int = 0) -> list[Packet]:
        """Do as `bytes` does; returns the packets it sent."""
        return self.decoder.feed(self.bytes(data, after))

    def command(self, body: bytes, id: int = 1) -> bytes:
        """Send a command; returns the body of the reply, which is the only one."""
        packets = self.packets(encode_packet(PacketType.COMMAND, id, body))
        (reply,) = [p for p in packets if p.type == PacketType.REPLY]
        assert reply.id == id
        return reply.body

    def frames(self, data: bytes = b"", after: int = 0) -> list[int]:
        """Do as `bytes` does; returns the numbers of the frames it sent."""
        return [seq_of(p.body) for p in self.packets(data, after) if p.type == PacketType.FRAME]

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n")
        if self.process.poll() is not None or answer.startswith("Traceback"):
            raise AssertionError(answer + self.process.stdout.read())
        return answer
