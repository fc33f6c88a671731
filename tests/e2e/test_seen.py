"""`board doctor` on boards with Bluetooth LE: whether centrals can find them, who has bonded, and who else can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.central import Central, finding

from vitalwire import crypto
from vitalwire.cli import main
from vitalwire.transports.ble import Ble
from vitalwire_tools.virtual.air import Air

from .board_log import until
from .reader import Recorder


def found(port: str, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[bool | None, str]]:
    """Return what the doctor says of a board."""
    main(["board", "doctor", port, "--json"])
    return {each["check"]: (each["ok"], each["words"]) for each in json.loads(capsys.readouterr().out)}


def test_a_board_in_the_air(
    air: Air, bench: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The radio starts and advertises, bonds are counted and survive the look, open services are told; and the board
    records on, over the air too."""
    running = bench({"links": ["serial", "ble"], "public_vitals": True}, radio=air.address, speed=1.0)
    central = Central(air, passkey=crypto.passkey(running.identity.secret, running.thumbprint))
    recorder = Recorder(Ble("virtual", finding(central)), running.registry, tmp_path)
    recorder.run(until(2.0))
    said = found(running.board.port, capsys)
    words = "advertises 'virtual'; 1 bonded; anyone nearby can read heart rate, SpO2 and charge (`public_vitals`)"
    assert said["link ble"] == (True, f"the radio is on and {words}")
    assert said["link"][0] is True
    recorder.run(until(2.0, boot=2))
    assert central.pairings == 1


def test_a_board_without_air(bench: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The virtual board has no radio: that is said, and nothing else is wrong."""
    said = found(bench({"links": ["serial", "ble"]}).board.port, capsys)
    assert said["link ble"] == (False, "the board virtual has no radio for Bluetooth: take `ble` out of its `links`")
    assert [check for check, (ok, _) in said.items() if ok is False] == ["link ble"]
