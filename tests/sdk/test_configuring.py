"""What is asked until a device has taken a configuration, and what is made of its answers; no device, no I/O."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import cbor
from vitalwire.configuration import Configuration, configuring, sign_configuration
from vitalwire.control import PAUSE, go_on
from vitalwire.errors import CommandError
from vitalwire_protocol.spec import CommandKey, ReportedKey, Result, Setting


def answer(*, pending: bool, newest: int, outcome: Result | None) -> dict[int, Any]:
    """What a device says to CONFIGURATION."""
    said = {ReportedKey.IN_FORCE: newest, ReportedKey.NEWEST: newest, ReportedKey.SETTINGS: {}}
    if outcome is not None:
        said |= {ReportedKey.OUTCOME: outcome, ReportedKey.SETTING: 0}
    return {CommandKey.PENDING: pending, CommandKey.REPORTED: cbor.encode(dict(sorted(said.items())))}


@pytest.mark.parametrize("outcome", [Result.OK, Result.CONFIGURATION_OLD, Result.CONFIGURATION_FORGED])
def test_what_a_device_has_not_looked_at_is_not_taken(outcome: Result) -> None:
    """An old version is not said to be taken because the newest is as high: the talk waits for the device's word."""
    key = ec.generate_private_key(ec.SECP256R1())
    talk = configuring(sign_configuration(Configuration(bytes(32), 3, {Setting.STATUS_S: 9}), key))
    assert go_on(talk) is not PAUSE
    assert go_on(talk, {}) is PAUSE
    for _ in range(2):
        assert go_on(talk, {}) is not PAUSE
        assert go_on(talk, answer(pending=True, newest=7, outcome=Result.OK)) is PAUSE
    assert go_on(talk, {}) is not PAUSE
    ends = pytest.raises(StopIteration if outcome == Result.OK else CommandError)
    with ends as caught:
        go_on(talk, answer(pending=False, newest=7, outcome=outcome))
    if isinstance(caught.value, CommandError):
        assert caught.value.reason == outcome.name
        assert caught.value.advice
