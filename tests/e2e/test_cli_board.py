"""The command against a real virtual board: run, enrol, monitor, record, verify, export; every sample at the end."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.waiting import FAR

from vitalwire.capture import Record, read
from vitalwire.cli import main
from vitalwire.frame import parse

FRAMES = 12


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a registry, a state and a board of its own."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@contextmanager
def running(*options: str) -> Iterator[dict[str, Any]]:
    """Run `vitalwire board run virtual` as a user does; yield what it said when it was ready; end it by Ctrl-C."""
    command = [sys.executable, "-m", "vitalwire.cli", "board", "run", "virtual", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        try:
            yield ready
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(FAR) == 0


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """Run a command that must succeed and return the JSON it printed."""
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_from_the_board_to_the_same_integers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What the board's chips play is what a CSV export of the recording holds, sample by sample."""
    with running("--speed", "10", "--enrol", "--folder", "board") as ready:
        assert ready["url"].startswith("serial:///dev/")
        done = said(capsys, "record", ready["url"], "walk.vwc", "--frames", FRAMES, "--seconds", 600, "--no-set-time")
    assert (done["frames"], done["missing"]) == (FRAMES, 0)
    verdict = said(capsys, "verify", "walk.vwc")
    assert verdict["conclusion"] == "complete"
    assert verdict["devices"][0]["device"] == ready["fingerprint"]
    assert main(["plot", "walk.vwc", "walk.png"]) == 0
    exported = said(capsys, "export", "walk.vwc", "walk", "--format", "csv")
    signals = Path(__file__).resolve().parents[2] / "boards" / "virtual" / "signals"
    for title, file, channels in (
        ("ecg_lead_i", "ecg", ("ecg_lead_i",)),
        ("ppg", "ppg", ("ppg_red", "ppg_ir")),
        ("accel", "acceleration", ("accel_x", "accel_y", "accel_z")),
    ):
        played = np.load(signals / f"{file}.npy")
        with open(tmp_path / f"walk-{title}.csv", newline="") as table:
            rows = [[int(row[name]) for name in channels] for row in csv.DictReader(table)]
        counts = np.array(rows)
        # A board empties its chips when it starts, so it does not begin with the recording's first sample.
        starts = [at for at in range(400) if np.array_equal(played[at : at + 8], counts[:8])]
        assert starts
        assert any(np.array_equal(np.resize(np.roll(played, -at, axis=0), counts.shape), counts) for at in starts)
    assert exported["samples"] == sum(entry["samples"] * len(entry["channels"]) for entry in exported["stretches"])


def test_enrolling_monitoring_and_going_on(capsys: pytest.CaptureFixture[str]) -> None:
    """A board enrolled from its port is shown live and keeps its frames; its flash and identity outlive a restart."""
    with running("--speed", "10", "--folder", "board") as first:
        assert main(["device", "enrol", "--from", first["url"], "--yes"]) == 0
        (device,) = said(capsys, "device", "list")
        assert (device["fingerprint"], device["secret"]) == (first["fingerprint"], False)
        assert main(["monitor", first["url"], "--seconds", "4", "--json"]) == 0
        shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        numbers = [line["frame"] for line in shown if "frame" in line]
        assert {1, 2} <= set(numbers)
    with running("--speed", "10", "--folder", "board", "--enrol", "--listen", "127.0.0.1:0") as second:
        assert second["fingerprint"] == first["fingerprint"]
        assert second["url"].startswith("tcp://127.0.0.1:")
        assert said(capsys, "device", "list")[0]["secret"] is True
        assert main(["record", second["url"], "a.vwc", "--frames", str(max(numbers) + 20), "--seconds", "600"]) == 0
    kept = {parse(item.raw).seq for item in read("a.vwc") if isinstance(item, Record)}
    assert kept >= set(range(1, max(numbers) + 1))  # with new ones among them


def test_faults_from_a_file() -> None:
    """A script of faults befalls the chips: the recording says that the lead was off and when it was on again."""
    Path("faults.toml").write_text('[[fault]]\nchip = "max30003"\nfault = "lead_off"\nat_s = 3\nfor_s = 2\n')
    with running("--speed", "10", "--enrol", "--faults", "faults.toml") as ready:
        assert main(["record", ready["url"], "a.vwc", "--frames", "10", "--seconds", "600", "--no-set-time"]) == 0
    assert main(["export", "a.vwc", "a", "--format", "csv"]) == 0
    with open("a-events.csv", newline="") as file:
        assert {"LEAD_OFF", "LEAD_ON"} <= {row["event"] for row in csv.DictReader(file)}


def test_a_wrong_script_of_faults_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault that no chip has ends with a line that names it, before anything is started."""
    Path("faults.toml").write_text('[[fault]]\nchip = "max30205"\nfault = "lead_off"\n')
    assert main(["board", "run", "virtual", "--faults", "faults.toml"]) == 2
    assert "lead_off befalls one of max30003" in capsys.readouterr().err


def test_bench_wire_prints_what_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures of the wire are those the design names, on a minute of the board's signal."""
    result = said(capsys, "bench", "wire")
    assert {"overhead_bytes", "json_event_ratio", "json_array_ratio", "senml_ratio"} <= set(result)
    assert 58 < result["seconds"] < 64
    assert result["overhead_bytes"] <= 170
    assert result["json_event_ratio"] <= 1 / 40
    assert max(result["json_array_ratio"], result["senml_ratio"]) <= 1 / 5


def test_bench_latency_and_host_agree_with_their_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short runs give every figure the design names; the plain reader reads the same samples (checked inside)."""
    from vitalwire_tools.bench import host, latency

    monkeypatch.setattr(host, "PEER_FRAMES", 4)
    result = host.run(frames=64, rounds=1)
    assert {"verify_decode_ratio", "chain_ratio", "peer_ratio"} <= set(result)
    assert min(result["verify_decode_ratio"], result["chain_ratio"], result["peer_ratio"]) > 0
    assert host.render(result).row_count == 6 + len(result["parts_us"])
    quick = latency.run(frames=40)
    assert 0 < quick["median_ms"] <= quick["p99_ms"] <= quick["worst_ms"]
    assert latency.render(quick).row_count == 3


def test_a_board_changes_its_policy(capsys: pytest.CaptureFixture[str]) -> None:
    """One board goes from seals to privacy and on: one chain, whose verdict is that of all frames together; what it is
    afterwards is in its descriptors."""
    last = 0
    for policy, conclusions in (("seal", {0, 8}), ("private", {0}), ("sign", {0})):
        with running("--speed", "10", "--folder", "board", "--enrol", "--policy", policy) as ready:
            done = said(capsys, "record", ready["url"], "a.vwc", "--frames", 8, "--seconds", 600)
        assert done["missing"] == 0
        code = main(["verify", "a.vwc", "--json"])
        verdict = json.loads(capsys.readouterr().out)
        assert code in conclusions, verdict
        assert verdict["devices"][0]["breaks"] == 0
        assert verdict["devices"][0]["head"] + verdict["devices"][0]["authentic"] > last
        last = verdict["devices"][0]["head"]
    exported = said(capsys, "export", "a.vwc", "a", "--format", "csv")
    assert len({entry["boot"] for entry in exported["stretches"]}) == 3
