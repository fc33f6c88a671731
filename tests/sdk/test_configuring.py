"""What is asked until a device has taken a configuration, and what is made of its answers; no device, no I/O."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import cbor
from vitalwire.configuration import Configuration, configuring, sign_configuration
from vitalwire.control import PAUSE, Question, go_on
from vitalwire.errors import CommandError
from vitalwire_protocol.spec import Command, CommandKey, ReportedKey, Result, Setting


def answer(*, pending: bool, newest: int, outcome: Result | None) -> dict[int, Any]:
    """What a device says to CONFIGURATION."""
    said = {ReportedKey.IN_FORCE: newest, ReportedKey.NEWEST: newest, ReportedKey.SETTINGS: {}}
    if outcome is not None:
        said |= {ReportedKey.OUTCOME: outcome, ReportedKey.SETTING: 0}
    return {CommandKey.PENDING: pending, CommandKey.REPORTED: cbor.encode(dict(sorted(said.items())))}


def asked(question: Question | None) -> Command:
    """The command of a question."""
    assert question is not PAUSE
    return question.command


@pytest.mark.parametrize("newest", [2, 3, 7])
def test_a_device_that_starts_before_it_has_looked_is_given_it_again(newest: int) -> None:
    """What it forgot is not said to be taken because its newest was as high before; its word on the second ends it."""
    key = ec.generate_private_key(ec.SECP256R1())
    talk = configuring(sign_configuration(Configuration(bytes(32), 3, {Setting.STATUS_S: 9}), key))
    go_on(talk)
    assert asked(go_on(talk, {})) == Command.CONFIGURATION
    go_on(talk, answer(pending=True, newest=newest, outcome=None))
    assert asked(go_on(talk, {})) == Command.CONFIGURATION
    assert asked(go_on(talk, answer(pending=False, newest=newest, outcome=None))) == Command.CONFIGURE
    assert go_on(talk, {}) is PAUSE
    assert asked(go_on(talk, {})) == Command.CONFIGURATION
    with pytest.raises(CommandError, match="CONFIGURATION_OLD"):
        go_on(talk, answer(pending=False, newest=newest, outcome=Result.CONFIGURATION_OLD))


def test_a_device_that_took_it_and_started_is_not_asked_again() -> None:
    """Its newest was lower and is this version now: that is enough, whatever came of the start."""
    key = ec.generate_private_key(ec.SECP256R1())
    talk = configuring(sign_configuration(Configuration(bytes(32), 3, {Setting.STATUS_S: 9}), key))
    go_on(talk)
    go_on(talk, {})
    go_on(talk, answer(pending=True, newest=2, outcome=None))
    go_on(talk, {})
    with pytest.raises(StopIteration):
        go_on(talk, answer(pending=False, newest=3, outcome=None))


@pytest.mark.parametrize("outcome", [Result.OK, Result.CONFIGURATION_OLD, Result.CONFIGURATION_FORGED])
def test_what_a_device_has_not_looked_at_is_not_taken(outcome: Result) -> None:
    """An old version is not said to be taken because the newest is as high: the talk waits for the device's word."""
    key = ec.generate_private_key(ec.SECP256R1())
    talk = configuring(sign_configuration(Configuration(bytes(32), 3, {Setting.STATUS_S: 9}), key))
    assert asked(go_on(talk)) == Command.CONFIGURE
    for _ in range(2):
        assert asked(go_on(talk, {})) == Command.CONFIGURATION
        assert go_on(talk, answer(pending=True, newest=7, outcome=Result.OK)) is PAUSE
    assert asked(go_on(talk, {})) == Command.CONFIGURATION
    ends = pytest.raises(StopIteration if outcome == Result.OK else CommandError)
    with ends as caught:
        go_on(talk, answer(pending=False, newest=7, outcome=outcome))
    if isinstance(caught.value, CommandError):
        assert caught.value.reason == outcome.name
        assert caught.value.advice
