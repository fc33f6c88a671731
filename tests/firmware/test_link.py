"""The device's link: what is sent, when again, and that no bytes from outside do harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from tests.linkdevice import HERE, SECRET, THUMBPRINT, Device, seq_of

from vitalwire import crypto
from vitalwire.control import Identity, closed_command, open_command
from vitalwire.packet import PacketDecoder, encode_packet, parse_log
from vitalwire_protocol.spec import Command, LogLevel, PacketType

S = 1_000_000  # microseconds
KEY = crypto.command_key(SECRET, THUMBPRINT)
HELLO = encode_packet(PacketType.COMMAND, 1, open_command(Command.IDENTIFY))
DESCRIBE = encode_packet(PacketType.COMMAND, 2, open_command(Command.DESCRIBE))
Make = Callable[..., Device]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make devices that end with the test."""
    devices: list[Device] = []

    def new(frames: int = 0, **options: Any) -> Device:
        device = Device(**options)
        devices.append(device)
        add(device, frames)
        return device

    yield new
    for device in devices:
        device.close()


def add(device: Device, count: int = 1, size: int = 0) -> None:
    """Make frames durable on the device."""
    device.do(f"[board.frame({size}) for _ in range({count})]")


def closed(device: Device, command: Command, argument: Any = None) -> bytes:
    """Return the packet of a closed command as a controller would make it."""
    me = Identity(THUMBPRINT, 1, b"\1" * 8, 0, 0, "", "", "")
    body = closed_command(KEY, me, device.do("board.control.counter") + 1, command, argument)
    return encode_packet(PacketType.COMMAND, 9, body)


def acknowledge(device: Device, *ranges: tuple[int, int]) -> list[int]:
    """Acknowledge frames; returns the frames that follow."""
    return device.frames(closed(device, Command.ACKNOWLEDGE, ranges))


# ---------------------------------------------------------------- frames


def test_nothing_is_sent_while_nobody_listens(make: Make) -> None:
    """Frames go out once a packet came, and no more when the last one is ten seconds old."""
    device = make(3)
    assert device.bytes() == b""
    assert device.frames(HELLO) == [1, 2, 3]
    device.frames(after=10 * S - 1)
    add(device)
    assert device.frames() == [4]
    add(device)
    assert device.bytes(after=1) == b""
    assert 5 in device.frames(HELLO)


def test_the_window_bounds_what_is_in_flight(make: Make) -> None:
    """At most `window` frames are in flight, a quarter of them kept for live ones; each freed place is used."""
    device = make(30, window=8)
    assert device.frames(HELLO) == [1, 2, 3, 4, 5, 6]
    assert device.frames() == []
    assert acknowledge(device, (1, 2), (4, 4)) == [7, 8, 9]
    assert acknowledge(device, (3, 3), (5, 9)) == [10, 11, 12, 13, 14, 15]


def test_an_unacknowledged_frame_is_sent_again_later_and_later(make: Make) -> None:
    """A frame goes again after the time-out, then after twice as long, up to eight times as long."""
    device = make(2, resend=S)
    device.frames(HELLO)
    times = [tick for tick in range(1, 400) if 1 in device.frames(HELLO if tick % 50 == 0 else b"", after=S // 10)]
    gaps = [after - before for before, after in pairwise([0, *times])]
    assert gaps[:4] == [10, 20, 40, 80]
    assert set(gaps[4:]) == {80}
    assert device.do("board.link.window.resent") == 2 * len(times)


def test_an_acknowledgement_ends_the_hesitation(make: Make) -> None:
    """Once something is acknowledged, other frames that are sent again are waited for no longer than at first."""
    device = make(2, resend=S)
    for _ in range(8):
        device.frames(HELLO, after=4 * S)
    assert acknowledge(device, (2, 2)) == []
    sent = [tick for tick in range(16) if device.frames(HELLO, after=S) == [1]]
    assert sent[1] - sent[0] == 2


def test_live_frames_and_backlog_take_turns(make: Make) -> None:
    """Beside a long backlog each new frame is sent at once, and the backlog still goes several times faster."""
    device = make(200)
    sent = device.frames(HELLO)
    got = set(sent)
    for live in range(201, 221):
        sent = [new for seq in sent for new in acknowledge(device, (seq, seq))]
        add(device)
        live_sent = device.frames(after=S)
        assert live in live_sent
        got |= {*sent, *live_sent}
        sent += live_sent
    assert {*range(1, 61), *range(201, 221)} <= got
    assert 200 not in got


def test_live_frames_reach_a_reader_who_may_not_acknowledge(make: Make) -> None:
    """With the window full each live frame is still sent once, and none is forgotten when acknowledgements come."""
    device = make(20, window=4)
    got = device.frames(HELLO)
    assert got == [1, 2, 3]
    for live in range(21, 31):
        add(device)
        assert device.frames(HELLO) == [live]
        got.append(live)
    got = acknowledge(device, (1, 3), (21, 21))
    while (seq := device.do("board.journal.next_unacked(0)")) and seq in got:
        got += acknowledge(device, (seq, seq))
    assert seq == 0
    assert set(got) == set(range(4, 31)) - {21}


def test_a_reader_who_describes_gets_everything_again(make: Make) -> None:
    """DESCRIBE sends the newest descriptor, then all unacknowledged frames, oldest first, before their time-out."""
    device = make(4)
    device.do("board.frame(100, 2)")
    add(device, 2)
    device.frames(HELLO)
    acknowledge(device, (2, 3))
    assert device.frames(DESCRIBE) == [5, 1, 4, 5, 6, 7]


def test_a_frame_the_journal_gave_up_does_not_block(make: Make) -> None:
    """Frames in flight that a full journal dropped are let go, and the rest goes on."""
    device = make(sectors=8, resend=S)
    add(device, 4, 3000)
    assert device.frames(HELLO) == [1, 2, 3, 4]
    add(device, 12, 3000)
    lost = device.do("board.journal.lost")
    assert lost > 4
    got: list[int] = []
    for _ in range(40):
        sent = device.frames(HELLO, after=S)
        got += sent
        for seq in sent:
            got += acknowledge(device, (seq, seq))
    assert set(got) >= set(range(lost + 1, 17))
    assert device.do("board.journal.next_unacked(0)") == 0


def test_what_the_journal_forgot_is_sent_again(make: Make) -> None:
    """Acknowledgements so scattered that the journal forgets some only cost frames sent twice."""
    device = make(60, window=32, resend=S)
    sent = device.frames(HELLO)
    odd = [seq for seq in sent if seq % 2]
    for seq in odd:
        odd += [new for new in acknowledge(device, (seq, seq)) if new % 2]
    assert len(odd) > 16
    assert set(odd) & set(device.do("board.unacked()"))
    for _ in range(30):
        for seq in device.frames(HELLO, after=S):
            acknowledge(device, (seq, seq))
    assert device.do("board.unacked()") == []


def test_a_slow_stream_gets_whole_packets(make: Make) -> None:
    """A stream that takes a few bytes at a time, or none for a while, gets every packet whole and in order."""
    device = make(1)
    device.do("board.frame(3500)")
    device.do("board.stream.space = 0")
    packets = device.packets(HELLO)
    for piece in [1, 2, 3, 0, 0, 50, 255, 257, 1000, 5000, 5000]:
        device.do(f"board.stream.space = {piece}")
        packets += device.packets(after=S // 10)
    assert [seq_of(p.body) for p in packets if p.type == PacketType.FRAME] == [1, 2]
    assert device.decoder.counters.bad == 0


def test_a_talkative_reader_does_not_keep_frames_back(make: Make) -> None:
    """Commands back to back are all answered, each with its own id, and frames still go out between them."""
    device = make(5)
    many = b"".join(encode_packet(PacketType.COMMAND, n, open_command(Command.IDENTIFY)) for n in range(200))
    packets = device.packets(many)
    assert [p.id for p in packets if p.type == PacketType.REPLY] == list(range(200))
    assert [p.type for p in packets].index(PacketType.FRAME) == 1


def test_a_reboot_waits_for_its_answer(make: Make) -> None:
    """Asked to reboot, the link is idle only when the answer has left."""
    device = make()
    device.do("board.stream.space = 0")
    device.bytes(closed(device, Command.REBOOT))
    assert device.do("(board.asked, board.link.idle())") == ([("reboot", None)], False)
    device.do("board.stream.space = 1000")
    assert [p.type for p in device.packets()] == [PacketType.REPLY]
    assert device.do("board.link.idle()") is True


# ---------------------------------------------------------------- several links


def test_two_links_have_windows_of_their_own_and_one_journal(make: Make) -> None:
    """Each reader gets every frame; what one acknowledges is not sent to the other again, and waits for neither."""
    device = make(4, resend=S)
    assert device.frames(HELLO) == [1, 2, 3, 4]
    device.do("board.on(1)")
    assert device.frames(HELLO) == [1, 2, 3, 4]
    assert acknowledge(device, (1, 2)) == []
    device.do("board.on(0)")
    assert device.frames(HELLO, after=S) == [3, 4]
    assert device.do("board.unacked()") == [3, 4]


def test_commands_of_two_links_take_turns(make: Make) -> None:
    """A command that comes while another link's is handled waits until that is done; both get their answers."""
    device = make()
    device.do("board.on(1)")
    device.do("board.on(0)")
    device.do(f"setattr(board.stream, 'coming', {closed(device, Command.PING)!r})")
    while device.do("board.control.link is None"):
        device.do("board.link.step(0)")
    device.do("board.on(1)")
    assert device.packets(HELLO) == []
    device.do("board.on(0)")
    assert [p.type for p in device.packets()] == [PacketType.REPLY]
    device.do("board.on(1)")
    assert [p.type for p in device.packets()] == [PacketType.REPLY]


def test_a_new_connection_begins_anew(make: Make) -> None:
    """Once a stream's session ends, packets half sent or half come are dropped, and nothing goes to a silent peer."""
    device = make(3)
    device.do("board.stream.space = 40")
    device.packets(HELLO)
    device.bytes(closed(device, Command.PING)[:20])
    device.do("setattr(board.stream, 'session', 1)")
    device.do("setattr(board.stream, 'space', 100000)")
    assert device.bytes() == b""
    device.decoder = PacketDecoder()
    packets = device.packets(HELLO)
    assert [p.type for p in packets][:1] == [PacketType.REPLY]
    assert [seq_of(p.body) for p in packets if p.type == PacketType.FRAME] == [1, 2, 3]


# ---------------------------------------------------------------- log lines


def test_log_lines_are_bounded(make: Make) -> None:
    """One line waits, others are dropped; long ones are cut between characters, low levels left out."""
    device = make()
    for level, text in ((1, "debug"), (2, "€" * 70), (3, "lost"), (4, "lost")):
        device.do(f"board.link.log({level}, {text!r})")
    (line,) = [p for p in device.packets(HELLO) if p.type == PacketType.LOG]
    assert parse_log(line.body).level == LogLevel.INFO
    assert parse_log(line.body).text == "€" * 66
    device.do("board.link.log(4, 'error')")
    assert [parse_log(p.body).text for p in device.packets()] == ["error"]


# ---------------------------------------------------------------- the REPL's bytes

PAUSE = b""  # a while without bytes
REPL = {
    "mpremote": (b"\r\x03", b"\r\x01"),
    "an older mpremote": (b"\r\x03\x03", b"\r\x01"),
    "ctrl-C twice": (b"\x03", b"\x03"),
    "long after a packet": (HELLO, PAUSE, b"\r\x03\r"),
}
NO_REPL = {
    "one byte": (b"\x03",),
    "each REPL byte": (b"\x01", b"\x02", b"\x04", b"\x03", b"\x01"),
    "ctrl-C twice with a pause": (b"\x03", PAUSE, b"\x03"),
    "inside a packet": (b"\x09abc\x03\x03",),
    "ctrl-C, a packet, ctrl-C": (b"\x03" + HELLO + b"\x03",),
    "while linked": (HELLO, b"\r\x03\x03\r\x01"),
}


@pytest.mark.parametrize("pieces", REPL.values(), ids=REPL)
def test_the_escape_asks_for_the_repl(make: Make, pieces: tuple[bytes, ...]) -> None:
    """What mpremote sends asks for the REPL while nobody is linked, and no byte beyond it is swallowed."""
    device = make(1)
    for piece in pieces:
        device.bytes(piece, after=S // 10 if piece else 11 * S)
    assert device.do("board.link.repl_requested") is True
    assert device.do("board.stream.coming") in (b"", b"\x01", b"\r\x01")


@pytest.mark.parametrize("pieces", NO_REPL.values(), ids=NO_REPL)
def test_a_stray_repl_byte_does_nothing(make: Make, pieces: tuple[bytes, ...]) -> None:
    """Single REPL bytes, or the escape inside a packet or while linked, neither ask for the REPL nor hurt a packet."""
    device = make(1)
    for piece in pieces:
        device.bytes(piece, after=S // 10 if piece else 11 * S)
    assert device.do("board.link.repl_requested") is False
    assert device.packets(HELLO)[0].type == PacketType.REPLY


# ---------------------------------------------------------------- bytes from anybody


def test_noise_between_packets_costs_no_packet(make: Make) -> None:
    """Noise with REPL bytes between commands is dropped and counted, and every command is answered."""
    device = make()
    device.bytes(HELLO)
    noise = [b"\x03", b"\x04\x01", bytes(range(1, 256)), b"\x05\0\0\xff", b"x" * 3000, HELLO[:-3]]
    for id_, junk in enumerate(noise, 10):
        packets = device.packets(junk + encode_packet(PacketType.COMMAND, id_, open_command(Command.IDENTIFY)))
        assert [p.id for p in packets if p.type == PacketType.REPLY] == [id_]
    assert device.do("board.link.bad()") >= len(noise)
    assert device.do("board.link.repl_requested") is False


def test_a_packet_cut_off_is_given_up(make: Make) -> None:
    """Half a packet is dropped after a second of silence, so that a packet without a zero in front is understood."""
    device = make()
    device.bytes(HELLO[:5])
    assert device.bytes(after=2 * S) == b""
    assert len(device.packets(HELLO[1:])) == 1
    assert device.do("board.link.bad()") == 1


def test_other_packets_than_commands_are_passed_over(make: Make) -> None:
    """Frames, replies, log lines and unknown types from outside are valid packets that do nothing."""
    device = make(1)
    for type_ in (PacketType.FRAME, PacketType.REPLY, PacketType.LOG, 77):
        assert all(p.type == PacketType.FRAME for p in device.packets(encode_packet(type_, 1, b"\2abc")))
    assert device.do("(board.control.refused, board.link.bad())") == (0, 0)


def test_a_packet_too_long_is_dropped_whole(make: Make) -> None:
    """A packet longer than any command is dropped and counted; the next one is answered."""
    device = make()
    assert device.packets(encode_packet(PacketType.FRAME, 1, b"x" * 600)) == []
    assert device.do("board.link._receiver.fault") == "oversized"
    assert len(device.packets(HELLO)) == 1


def test_a_step_is_short_on_the_chip(make: Make) -> None:
    """No slice says it takes 14 ms of an ESP32 or more, but for one that was announced, and that is within 62 ms."""
    device = make(60)
    device.do("board.frame(3850)")
    device.frames(HELLO)
    acknowledge(device, *[(3 * n + 1, 3 * n + 1) for n in range(16)])
    assert acknowledge(device, (1, 60)) == [61]
    work = device.do("board.work")
    assert set(work) == {"bytecode", "viper", "long", "announced"}
    assert work["bytecode"] * 13.7 < 14_000
    assert 2 * 3900 <= work["viper"] < 14_000 / 0.31
    assert 100 < work["announced"] < 62_000 / 13.7


def test_any_packets_leave_memory_flat(make: Make) -> None:
    """10,000 random packets, good CRCs and bad, raise nothing and leave no more allocated than 500 do."""
    device = make(3)
    few = device.do("flood(500)")
    assert device.do("flood(10000)") - few < 256
    assert min(device.do("(board.link._receiver.good, board.link.bad(), board.control.refused)")) > 1000
    assert device.packets(HELLO)[0].type == PacketType.REPLY


def test_it_is_the_same_with_short_integers_and_without_viper(make: Make, micropython32: Callable[..., Any]) -> None:
    """The same bytes at the same times get the same bytes back on 32 bits, from bytecode alone."""
    device = make(3, resend=S)
    device.do("board.frame(1500)")
    said = [(2 * S, HELLO), (3 * S, b"\3noise"), (4 * S, DESCRIBE), (3 * 10**9, HELLO), (2**33, HELLO)]
    heard = [device.bytes(data, now - device.now) for now, data in said]
    script = (
        "import linkdevice_mp as d\nfrom binascii import hexlify\n"
        f"d.board = board = d.Board({THUMBPRINT!r}, {SECRET!r}, 64, resend={S})\n"
        "[board.frame(0) for _ in range(3)]; board.frame(1500)\n"
        f"for now, data in {said!r}: print(hexlify(board.run(now, data)).decode())\n"
    )
    answers = micropython32(script, HERE / "linkdevice_mp.py").stdout.split("\n")
    assert [bytes.fromhex(line) for line in answers if line] == heard
    assert all(heard[i] for i in (0, 2, 3, 4))
