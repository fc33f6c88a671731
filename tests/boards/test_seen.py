"""What `board doctor` says of Bluetooth LE: the first thing that keeps centrals from a board, else who may come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vitalwire_tools.seen import seen
from vitalwire_tools.virtual.machine import board_file

VIRTUAL = board_file()
WELL = {
    "name": "bed-4", "secret": True, "module": True, "radio": True, "advertises": True, "why": "", "bonds": 1,
    "public": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "ok", "words"),
    [
        ({}, True, "advertises 'bed-4'; 1 bonded"),
        ({"bonds": 0}, True, "nobody has bonded yet: `vitalwire device passkey`"),
        ({"bonds": 4}, True, "the next takes the oldest's place"),
        ({"public": True}, True, "anyone nearby can read heart rate, SpO2 and charge"),
        ({"advertises": False}, False, "does not advertise"),
        ({"radio": False, "why": "12"}, False, "does not start (12)"),
        ({"radio": False, "module": False}, False, "flash a stock build for the esp32"),
        ({"radio": False, "module": False, "secret": False}, False, "no secret"),
    ],
)
def test_the_first_thing_that_is_wrong_is_said(change: dict[str, Any], ok: bool, words: str) -> None:
    """Secret before module, module before radio, radio before advertising; then bonds, and who else can read."""
    found = seen({**WELL, **change}, replace(VIRTUAL, features=("ble",)))
    assert found[0] is ok
    assert words in found[1]
    assert ("anyone" in found[1]) is bool(change.get("public"))


def test_a_board_without_a_radio() -> None:
    """A board whose file has no `ble` is told so, and not of memory; in the tests' air it is as good as any."""
    assert "virtual has no radio for Bluetooth" in seen(WELL | {"radio": False}, VIRTUAL)[1]
    assert seen(WELL, VIRTUAL)[0]
