"""What is asked until a device has an update for good, and what is made of its answers; no device, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire.control import PAUSE, Question, go_on, refusal
from vitalwire.errors import CommandError
from vitalwire.update import Package, installing, pack
from vitalwire_protocol.spec import Command, CommandKey, Result

COUNTER = 7


def package() -> Package:
    """A small update."""
    key = ec.generate_private_key(ec.SECP256R1())
    return pack(key, {"start.mpy": bytes(900)}, board="virtual", firmware="9", counter=COUNTER)


class Board:
    """A device that has all of an update as soon as it begins; it starts one at APPLY, and then does as `starts` says:
    None for an update that returns, and whose answer arrives, otherwise what it answers to the same question again."""

    def __init__(self, size: int, *starts: Result | None, stays: bool = False) -> None:
        self.size = size
        self.starts = list(starts)
        self.stays = stays
        self.counter = 0
        self.asked: list[Command] = []

    def answer(self, question: Question) -> Mapping[int, Any] | CommandError:
        """What it says to a question."""
        self.asked.append(question.command)
        if question.command == Command.UPDATE_APPLY:
            again = self.starts.pop(0)
            self.counter = COUNTER if self.stays else 0
            if again:
                return refusal(question.command, again)
        return {CommandKey.OFFSET: self.size, CommandKey.SIZE: self.size, CommandKey.CONFIRMED: self.counter}


def outcome(board: Board, update: Package) -> bool:
    """What the talk says in the end."""
    talk = installing(update)
    answer: Mapping[int, Any] | CommandError | None = None
    try:
        while True:
            question = go_on(talk, answer)
            answer = {} if question is PAUSE else board.answer(question)
    except StopIteration as end:
        return bool(end.value)


@pytest.mark.parametrize("again", [Result.NO_UPDATE, Result.BAD_ARGUMENT])
@pytest.mark.parametrize("stays", [True, False])
def test_a_start_whose_answer_was_lost_is_no_refusal(again: Result, stays: bool) -> None:
    """Asked to start an update again, a device has it no more, or on trial: what became of it is what counts, and one
    that is not there is started once more, because it may have been another start."""
    update = package()
    board = Board(len(update.data), again, None, stays=stays)
    assert outcome(board, update) is stays
    assert board.asked.count(Command.UPDATE_APPLY) == (1 if stays else 2)


def test_a_device_that_never_starts_it_is_given_up() -> None:
    """A device that has no update each time that it was given one is not asked for ever."""
    update = package()
    with pytest.raises(CommandError, match="NO_UPDATE"):
        outcome(Board(len(update.data), *[Result.NO_UPDATE] * 9), update)


def test_what_a_device_refuses_to_start_is_refused() -> None:
    """Another reason ends it at once."""
    update = package()
    board = Board(len(update.data), Result.UPDATE_TOO_BIG)
    with pytest.raises(CommandError, match="UPDATE_TOO_BIG"):
        outcome(board, update)
    assert board.asked.count(Command.UPDATE_APPLY) == 1
