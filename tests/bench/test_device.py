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
    assert list(parts) == [*device.KINDS, "collector"]
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
    """Twice the garbage is twice the collections, each as long as the cost table says."""
    counters = dict.fromkeys((device.Counter.OVERRUNS, *range(device.FIRST, device.FIRST + len(device.KINDS))), 0)
    counters[device.Counter.UPTIME_S] = 10
    shares = []
    for garbage in (1_000_000, 2_000_000):
        counters[device.FIRST + len(device.KINDS)] = garbage
        monkeypatch.setattr(device, "last_status", lambda *_, **__: counters)
        shares.append(device.divide(10, "sign")["parts"]["collector"])
    collections = device.NARROW * 1_000_000 / device.FREE
    assert shares[0] == pytest.approx(collections * board_file().cpu["esp32"]["gc"] / 1e9 / 10)
    assert shares[1] == pytest.approx(2 * shares[0])


def test_both_ways_of_compiling_encode() -> None:
    """As viper and as bytecode, lifted and raw blocks are timed against a loop compiled alike."""
    found = coding.run(rounds=1)
    assert set(found) == {"viper", "bytecode"}
    for how in found.values():
        assert set(how) == {"lift", "raw"}
        assert all(one["samples_per_s"] > 0 and 1 < one["iterations"] < 10_000 for one in how.values())
    assert found["viper"]["lift"]["samples_per_s"] > found["bytecode"]["lift"]["samples_per_s"]
