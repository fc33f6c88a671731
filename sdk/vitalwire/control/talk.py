"""A talk with a device: what to ask it, each question after the answer to the one before. No I/O.

It is a generator. It yields a `Question` and is sent the fields of the reply, by `spec.CommandKey`, or has what
`refusal` returns thrown at it; or it yields `PAUSE` and is sent no fields after a while. Whoever reaches the device may
ask a question again whose answer was lost.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

from vitalwire.errors import CommandError
from vitalwire_protocol.spec import Command

from .command import Argument


class Question(NamedTuple):
    """A closed command and its argument."""

    command: Command
    argument: Argument = None


PAUSE = None
Outcome = TypeVar("Outcome")
Talk: TypeAlias = Generator[Question | None, Mapping[int, Any], Outcome]


def go_on(talk: Talk[Outcome], answer: Mapping[int, Any] | CommandError | None = None) -> Question | None:
    """Return what a talk asks next, at first without an answer; raises StopIteration at its end, as generators do."""
    if answer is None:
        return next(talk)
    return talk.throw(answer) if isinstance(answer, CommandError) else talk.send(answer)
