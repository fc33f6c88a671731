"""What a controller lets a device erase: only what is durable, in few commands."""

from __future__ import annotations

from tests.linkdevice import THUMBPRINT
from tests.sdk.control.talk import Talk, command_of

from vitalwire.control import Acknowledged, AcknowledgeRefused
from vitalwire_protocol.spec import Command, Result


def test_only_what_is_durable_is_acknowledged(talk: Talk) -> None:
    """Frames are acknowledged if, and only if, the caller said that they are durable."""
    talk.run()
    assert talk.device.do("board.journal.unacked()") == 10
    for seq in (1, 2, 3, 7):
        talk.controller.acknowledge(THUMBPRINT, seq, seq)
    talk.run(1)
    assert talk.of(Acknowledged) == [Acknowledged(((1, 3), (7, 7)))]
    left = [talk.device.do(f"board.journal.next_unacked({seq - 1})") == seq for seq in range(1, 11)]
    assert [seq for seq, still in enumerate(left, 1) if still] == [4, 5, 6, 8, 9, 10]


def test_what_is_durable_of_another_device_is_not_acknowledged_here(talk: Talk) -> None:
    """The same numbers of another thumbprint are never sent to this device."""
    talk.controller.acknowledge(bytes(32), 1, 10)
    talk.run()
    assert talk.device.do("board.journal.unacked()") == 10


def test_many_acknowledgements_go_in_few_commands(talk: Talk) -> None:
    """Scattered frames go at most sixteen ranges a command, rising, and each once."""
    talk.device.do("[board.frame() for _ in range(90)]")
    talk.run()
    for seq in range(1, 100, 2):
        talk.controller.acknowledge(THUMBPRINT, seq, seq)
    talk.run(3)
    batches = [event.ranges for event in talk.of(Acknowledged)]
    assert [len(batch) for batch in batches] == [16, 16, 16, 2]
    assert [pair for batch in batches for pair in batch] == [(seq, seq) for seq in range(1, 100, 2)]


def test_a_frame_that_comes_again_is_acknowledged_again(talk: Talk) -> None:
    """An acknowledgement asked for twice is sent twice: the first may have been lost with the device's memory."""
    talk.run()
    for _ in range(2):
        talk.controller.acknowledge(THUMBPRINT, 1, 10)
        talk.run(0.5)
    assert talk.of(Acknowledged) == [Acknowledged(((1, 10),))] * 2


def test_an_acknowledgement_the_device_refuses_is_not_repeated(talk: Talk) -> None:
    """Acknowledging a frame that was never made is refused under the MAC, reported and dropped."""
    talk.run()
    talk.controller.acknowledge(THUMBPRINT, 1, 11)
    talk.run()
    assert talk.of(AcknowledgeRefused) == [AcknowledgeRefused(((1, 11),), Result.BAD_ARGUMENT)]
    assert talk.device.do("board.journal.unacked()") == 10
    assert [command_of(p) for p in talk.sent].count(Command.ACKNOWLEDGE) == 1
