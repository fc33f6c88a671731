"""Device and controller over a line that loses, damages, doubles and reorders: each frame arrives, once, unchanged."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from tests.linkdevice import SECRET, THUMBPRINT, Device, seq_of

from vitalwire.control import Answered, Confirmed, ControlEvent, Controller, TimeTold, Unanswered
from vitalwire.packet import PacketDecoder, encode_packet
from vitalwire_protocol.spec import Command, PacketType

UTC = 1_790_000_000_000_000
STEP = 0.02  # seconds
LIVE = 0.5  # seconds between two frames
REPL_BYTES = (b"\x03", b"\x01", b"\x04", b"\r\x03", b"\x02")


@dataclass
class Line:
    """One direction of a bad line: takes bytes in, gives bytes out, seeded."""

    rng: random.Random
    rate: float  # of packets that each kind of damage hits
    held: bytes = b""
    rest: bytes = b""
    counts: dict[str, int] = field(default_factory=dict)

    def carry(self, data: bytes) -> bytes:
        """Return what comes out at the other end; `rest` is a packet that has not ended yet."""
        *packets, self.rest = (self.rest + data).split(b"\0")
        out, self.held = self.held, b""
        for packet in packets:
            if packet:
                out += self._packet(b"\0" + packet + b"\0")
        return out

    def _packet(self, packet: bytes) -> bytes:
        for kind in ("lose", "flip", "cut", "double", "late", "noise", "repl"):
            if self.rng.random() < self.rate:
                self.counts[kind] = self.counts.get(kind, 0) + 1
                packet = getattr(self, "_" + kind)(packet)
        return packet

    def _lose(self, packet: bytes) -> bytes:
        return b""

    def _flip(self, packet: bytes) -> bytes:
        damaged = bytearray(packet)
        for _ in range(self.rng.randint(1, 3) if packet else 0):
            damaged[self.rng.randrange(len(damaged))] ^= 1 << self.rng.randrange(8)
        return bytes(damaged)

    def _cut(self, packet: bytes) -> bytes:
        return packet[: self.rng.randint(0, len(packet))]

    def _double(self, packet: bytes) -> bytes:
        return packet * 2

    def _late(self, packet: bytes) -> bytes:
        self.held += packet
        return b""

    def _noise(self, packet: bytes) -> bytes:
        return self.rng.randbytes(self.rng.randint(1, 300)) + packet

    def _repl(self, packet: bytes) -> bytes:
        return self.rng.choice(REPL_BYTES) + packet


class World:
    """Both ends and the line between them; `durable` is what the reader has kept."""

    def __init__(self, seed: int, rate: float) -> None:
        self.rng = random.Random(seed)
        self.device = Device(resend=1_000_000, window=self.rng.choice([2, 4, 8, 16]))
        self.there = Line(random.Random(seed + 1), rate)
        self.back = Line(random.Random(seed + 2), rate)
        self.now = 0.0
        self.made: dict[int, bytes] = {}
        self.durable: dict[int, bytes] = {}
        self.arrived = 0  # frames, repetitions included
        self.events: list[ControlEvent] = []
        self.start_reader()

    def start_reader(self) -> None:
        """Begin with a new controller, which knows nothing, as after a restart of the reading program."""
        self.controller = Controller(lambda thumbprint: SECRET if thumbprint == THUMBPRINT else None)
        self.decoder = PacketDecoder()

    def make_frames(self, count: int) -> None:
        """Let the device make frames of random length."""
        for _ in range(count):
            seq = self.device.do(f"board.frame({self.rng.choice([0, 10, 300, 1200, 3500])})")
            self.made[seq] = bytes.fromhex(self.device.do(f"board.read({seq})"))

    def step(self) -> None:
        """Let a little time pass for everybody."""
        sent = b"".join(encode_packet(p.type, p.id, p.body) for p in self.controller.poll(self.now))
        self.now += STEP
        data = self.device.bytes(self.there.carry(sent), after=round(STEP * 1e6))
        for packet in self.decoder.feed(self.back.carry(data)):
            if packet.type == PacketType.FRAME:
                self.arrived += 1
                seq = seq_of(packet.body)
                assert self.durable.setdefault(seq, packet.body) == packet.body
                self.controller.acknowledge(THUMBPRINT, seq, seq)
            else:
                self.controller.feed(packet, self.now, UTC + round(self.now * 1e6))
        self.events += self.controller.events()

    def unacknowledged(self) -> list[int]:
        """Return the frames the device still holds for somebody."""
        return list(self.device.do("board.unacked()"))

    def check(self) -> None:
        """Hold that the device takes no frame for acknowledged that the reader has not kept."""
        assert self.made.keys() - self.unacknowledged() <= self.durable.keys()


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.15], ids=["good line", "bad line", "terrible line"])
@pytest.mark.parametrize("seed", range(3))
def test_everything_arrives_once_and_is_acknowledged(seed: int, rate: float) -> None:
    """Backlog and live frames arrive and are acknowledged, through reboots of the device and a new reader."""
    run(seed, rate)


def test_the_whole_series(long: bool) -> None:
    """The same for many seeds and rates."""
    if not long:
        pytest.skip("--long was not given")
    for seed in range(100, 200):
        run(seed, random.Random(seed).uniform(0, 0.15))


def run(seed: int, rate: float) -> None:
    """Run one seeded world to its end."""
    world = World(seed, rate)
    try:
        world.make_frames(30)
        live, boots = 0, 1
        for step in range(40 * 50):
            world.step()
            if world.now >= live * LIVE:
                live += 1
                world.make_frames(1)
            if step in (500, 1200):
                boots += 1
                world.device.do(f"board.boot(bytes([{boots}] * 8))")
                world.there.rest = world.back.rest = b""
            if step == 900:
                world.start_reader()
                ticket = world.controller.request(Command.STOP, (3,), now=world.now)
            if step % 100 == 0:
                world.check()
        for step in range(900 * 50):
            world.step()
            if step > 1500 and step % 50 == 0 and not world.unacknowledged():
                break
        print(f"seed {seed} rate {rate:.2f}: {len(world.made)} frames, {world.arrived} arrived in {world.now:.0f} s")
        world.check()
        assert world.durable == world.made
        assert world.unacknowledged() == []
        outcomes = [e for e in world.events if isinstance(e, Answered | Unanswered)]
        assert [e.ticket for e in outcomes] == [ticket]
        assert rate > 0 or isinstance(outcomes[0], Answered)
        assert rate > 0.1 or any(isinstance(e, TimeTold) for e in world.events)
        assert boots in {e.identity.boot for e in world.events if isinstance(e, Confirmed)}
        assert world.device.do("board.link.repl_requested") is False
        assert all(asked == ("stop", [3]) for asked in world.device.do("board.asked"))
        if rate == 0:
            assert world.arrived < 2 * len(world.made)
            assert world.decoder.counters.bad == 0
        elif rate >= 0.05:
            assert set(world.there.counts) | set(world.back.counts) == {
                "lose", "flip", "cut", "double", "late", "noise", "repl",
            }  # fmt: skip
    finally:
        world.device.close()
