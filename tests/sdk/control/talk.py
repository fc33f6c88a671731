"""A controller and a device's own link under MicroPython, in one line that a test may take packets out of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.linkdevice import SECRET, THUMBPRINT, Device

from vitalwire import cbor, crypto
from vitalwire.control import ControlEvent, Controller
from vitalwire.packet import Packet, encode_packet
from vitalwire_protocol import spec
from vitalwire_protocol.spec import CommandKey, PacketType

UTC = 1_790_000_000_000_000
KEY = crypto.command_key(SECRET, THUMBPRINT)
Keep = Callable[[Packet], bool]


class Talk:
    """A controller and a device joined by a perfect line, unless a test takes packets out of it."""

    def __init__(self, device: Device, **options: Any) -> None:
        self.device = device
        self.secrets: dict[bytes, bytes] = {THUMBPRINT: SECRET}
        self.controller = Controller(lambda thumbprint: self.secrets.get(thumbprint), **options)
        self.now = 1000.0  # the controller's monotonic clock
        self.sent: list[Packet] = []
        self.frames: list[Packet] = []
        self.events: list[ControlEvent] = []

    @property
    def utc(self) -> int:
        return UTC + round(self.now * 1e6)

    def run(self, seconds: float = 2.0, commands: Keep = lambda p: True, replies: Keep = lambda p: True) -> None:
        """Let time pass in steps of 10 ms; packets that `commands` or `replies` is false for are lost."""
        for _ in range(round(seconds * 100)):
            sent = self.controller.poll(self.now)
            self.sent += sent
            data = b"".join(encode_packet(p.type, p.id, p.body) for p in sent if commands(p))
            self.now += 0.01
            for packet in self.device.packets(data, after=10_000):
                if packet.type == PacketType.FRAME:
                    self.frames.append(packet)
                elif replies(packet):
                    self.controller.feed(packet, self.now, self.utc)
            self.events += self.controller.events()

    def answer(self, make: Callable[[Packet], bytes], seconds: float = 2.0) -> None:
        """Let time pass with somebody else at the other end, who answers each command with `make` of it."""
        for _ in range(round(seconds * 100)):
            sent = self.controller.poll(self.now)
            self.sent += sent
            self.now += 0.01
            for packet in sent:
                self.controller.feed(Packet(PacketType.REPLY, packet.id, make(packet)), self.now, self.utc)
            self.events += self.controller.events()

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]


def command_of(packet: Packet) -> int:
    """Return which command a packet is, closed or open."""
    closed = packet.body[:1] == b"\xd1"
    fields = cbor.decode(crypto.open_mac0(KEY, packet.body, spec.AAD_COMMAND) if closed else packet.body)
    assert isinstance(fields, dict)
    return int(fields[CommandKey.COMMAND])  # type: ignore[arg-type]
