"""How a controller measures a device's clock and tells it the time."""

from __future__ import annotations

import random

from tests.linkdevice import Device
from tests.sdk.control.talk import UTC, Talk, command_of

from vitalwire.control import TimeMeasured, TimeTold
from vitalwire.packet import encode_packet
from vitalwire_protocol.spec import Command


def test_the_device_is_told_its_time(talk: Talk) -> None:
    """After a few round trips the device knows UTC, within the error it was told."""
    talk.run()
    (told,) = talk.of(TimeTold)
    utc, accuracy = talk.device.do("board.clock.utc(board.clock.now())")
    assert abs(utc - talk.utc) <= 1 << accuracy
    assert 1 << accuracy <= 4 * told.fix.error_us
    assert told.fix.error_us >= 50_000


def test_measured_times_are_within_their_error(talk: Talk) -> None:
    """However unevenly the two ways delay, each measurement's error covers the truth."""
    rng = random.Random(5)
    talk = Talk(talk.device, own_error_us=0)
    for _ in range(3000):
        sent = talk.controller.poll(talk.now)
        there, back = (rng.choice([0.0, 0.002, 0.3]) for _ in range(2))
        talk.now += there
        data = b"".join(encode_packet(p.type, p.id, p.body) for p in sent)
        packets = talk.device.packets(data, after=round(there * 1e6))
        talk.now += back
        talk.device.packets(after=round(back * 1e6))
        for packet in packets:
            talk.controller.feed(packet, talk.now, talk.utc)
    talk.events = talk.controller.events()
    fixes = talk.of(TimeMeasured)
    assert len(fixes) > 20
    start = talk.utc - talk.device.now
    assert all(abs(e.fix.utc_us - e.fix.ticks - start) <= e.fix.error_us for e in fixes)
    utc, accuracy = talk.device.do("board.clock.utc(board.clock.now())")
    assert abs(utc - talk.utc) <= 1 << accuracy < 1 << 14


def test_a_device_whose_ticks_are_no_microseconds_is_not_told(talk: Talk) -> None:
    """A board whose clock runs at another speed, as in a replay, is measured but never told a time it cannot keep."""
    talk.device.do("real = board.clock.now")
    talk.device.do("board.clock.now = lambda: 20 * real()")
    talk.run(10)
    assert len(talk.of(TimeMeasured)) >= 3
    assert talk.of(TimeTold) == []


def test_telling_the_time_can_be_left_out(device: Device) -> None:
    """With set_time=False the device is never told the time."""
    talk = Talk(device, set_time=False)
    talk.run(5)
    assert Command.SET_TIME not in [command_of(p) for p in talk.sent]


def test_a_stepped_host_clock_is_corrected(talk: Talk) -> None:
    """When this computer's UTC is corrected, the device is told again."""
    talk.run(5)
    before = len(talk.of(TimeTold))
    offset = 2_000_000
    type(talk).utc = property(lambda self: UTC + offset + round(self.now * 1e6))  # type: ignore[method-assign,assignment]
    try:
        talk.run(10)
        assert len(talk.of(TimeTold)) > before
        utc, accuracy = talk.device.do("board.clock.utc(board.clock.now())")
        assert abs(utc - talk.utc) <= 1 << accuracy
    finally:
        type(talk).utc = property(lambda self: UTC + round(self.now * 1e6))  # type: ignore[method-assign,assignment]
