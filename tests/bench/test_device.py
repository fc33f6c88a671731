"""The device benchmark: where an ESP32's time goes, and how fast the encoder is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from vitalwire_tools.bench import coding, device
from vitalwire_tools.virtual.machine import board_file


def shown(result: dict) -> str:
    """Return the tables as text."""
    out = io.StringIO()
    for table in device.render(result):
        Console(file=out, width=120).print(table)
    return out.getvalue()


def test_device_divides_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of work has a share, they add up, signing costs what the table says, sealing less; all is shown."""
    monkeypatch.setattr(coding, "run", lambda rounds: {})
    result = device.run(seconds=15, rounds=1)
    parts = result["parts"]
    assert list(parts) == list(device.KINDS)
    assert all(0 < part < 0.2 for part in parts.values())
    assert result["total"] == pytest.approx(sum(parts.values()))
    assert result["share"] == pytest.approx(result["total"] - parts["link"])
    signature = 670 * board_file().cpu["esp32"]["modmul"] / 1e9
    assert 0.5 * signature < parts["signing"] < signature  # a frame every two seconds and a few of status and events
    assert result["seal"]["parts"]["signing"] < parts["signing"] / 2
    assert result["overruns"] == result["seal"]["overruns"] == 0
    text = shown(result)
    assert f"{100 * result['share']:.1f} %" in text
    assert all(name in text for name in parts)


def test_the_collector_s_share_follows_the_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the collections that the board charges come those that its garbage makes in between."""
    counters = dict.fromkeys(range(device.FIRST, device.FIRST + len(device.KINDS) + 1), 0)
    counters |= {device.Counter.OVERRUNS: 0, device.Counter.UPTIME_S: 10}
    cost = board_file().cpu["esp32"]["gc"] / 1e9
    counters[device.FIRST + len(device.KINDS) - 1] = round(5 * cost * 1e6)
    for further in (0, 5, 15):
        counters[device.FIRST + len(device.KINDS) + 1] = further
        monkeypatch.setattr(device, "last_status", lambda *_, **__: counters)
        share = device.divide(10, "sign")["parts"]["collector"]
        assert share == pytest.approx((5 + further) * cost / 10)


def test_both_ways_of_compiling_encode() -> None:
    """As viper and as bytecode, lifted and raw blocks are timed against a loop compiled alike."""
    found = coding.run(rounds=1)
    assert set(found) == {"viper", "bytecode"}
    for how in found.values():
        assert set(how) == {"lift", "raw"}
        assert all(one["samples_per_s"] > 0 and 1 < one["iterations"] < 10_000 for one in how.values())
    assert found["viper"]["lift"]["samples_per_s"] > found["bytecode"]["lift"]["samples_per_s"]
