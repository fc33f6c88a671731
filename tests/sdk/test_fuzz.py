"""Each decoder that meets bytes from outside, put to a fuzzer: briefly here, longer with --long or by hand."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from vitalwire_tools.fuzz import device, host

HARD = 2000  # inputs


def fuzz(target: str, long: bool, findings: Path, runs: int = HARD) -> None:
    """Run a target as its user would; an input that broke something is in the output as Base64 or traceback."""
    bound = ["--seconds", "120"] if long else ["--runs", str(runs)]
    command = [sys.executable, "-m", "vitalwire_tools.fuzz", target, *bound, "--findings", str(findings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert not list(findings.glob("*"))


@pytest.mark.parametrize("target", host.TARGETS)
def test_only_promised_errors_come_out(target: str, long: bool, tmp_path: Path) -> None:
    """Whatever bytes a host's decoder gets, it returns or raises one of the errors it promised."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("needs atheris, which has no wheel for this Python or platform")
    fuzz(target, long, tmp_path, 500 if target in ("conversation", "capture") else HARD)


@pytest.mark.parametrize("target", device.TARGETS)
def test_the_device_bears_any_bytes(target: str, long: bool, tmp_path: Path) -> None:
    """Whatever bytes a device's decoder gets under MicroPython, it refuses them by name or does what they say."""
    fuzz(target, long, tmp_path, 400 if target == "device-journal" else 4000)


@pytest.mark.parametrize("target", host.TARGETS)
def test_a_fuzzer_begins_with_good_inputs(target: str) -> None:
    """Every target has inputs to begin with and bears each of them."""
    seeds = list(host.TARGETS[target].seeds())
    assert seeds
    for seed in seeds:
        host.TARGETS[target].attempt(seed)


def test_a_fuzzer_finds_a_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that raises what nobody promised is found out: the exit code says so and the input is kept."""
    firmware = tmp_path / "firmware"
    firmware.mkdir()
    for file in device.FIRMWARE.glob("*.py"):
        text = file.read_text()
        if file.name == "cbor.py":
            text = text.replace("raise ValueError(", "raise KeyError(")
            assert "KeyError" in text
        (firmware / file.name).write_text(text)
    monkeypatch.setattr(device, "FIRMWARE", firmware)
    bounds = {"seconds": None, "runs": 4000, "seed": 1, "only": None}
    assert device.run("device-cbor", findings=tmp_path / "found", **bounds) == 1  # type: ignore[arg-type]
    assert len(list((tmp_path / "found").iterdir())) == 1
