"""The firmware as a chip runs it: hal/esp32.py and main, over modules as strict as an ESP32's (tests/chip)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import serial
from tests.waiting import FAR

from vitalwire.cli import main
from vitalwire.client import VerifiedFrame
from vitalwire.errors import CommandError
from vitalwire_protocol.spec import Cause, Command, Counter, Event, EventKey, Fault, Kind
from vitalwire_tools import doctor
from vitalwire_tools.folders import BOARDS
from vitalwire_tools.prompt import Prompt

from .board_log import events, faults, number, unharmed, until
from .reader import Recorder

Chip = Callable[..., Any]

HERE = Path(__file__).resolve().parents[1] / "chip"
CHIP = f"import sys\nsys.path.append({str(HERE)!r})\nimport begin\nbegin.begin({str(HERE)!r})\n"
DEVKIT = str(BOARDS / "espressif_esp32_devkitc" / "board.toml")
STICK = str(BOARDS / "m5stack_m5stickc_plus2" / "board.toml")
NOTHING = tuple({"chip": part, "fault": "missing"} for part in ("max30003", "max30102", "lsm6dso", "max30205"))


@pytest.fixture
def chip(bench: Callable[..., Any]) -> Chip:
    """Start boards of the kind that is named, whose firmware takes them for a chip."""

    def start(settings: dict[str, Any] | None = None, board: str = DEVKIT, **options: Any) -> Any:
        extra = {f"CHIP_{name.upper()}": str(value) for name, value in options.pop("chip", {}).items()}
        modules = {"chip.py": CHIP, "chipmain.py": "import chip\nimport main\n"}
        return bench(settings, board=board, start="chipmain", modules=modules, extra=extra, heap=512 * 1024, **options)

    return start


def recorder(running: Any, folder: Path) -> Recorder:
    """Return a reader of this board."""
    return Recorder(running.board.url, running.registry, folder)


def booted(number: int) -> Callable[[list[VerifiedFrame]], bool]:
    """Return whether frames of that boot have come."""
    return lambda frames: bool(frames) and frames[-1].boot >= number


def heard(port: str, words: str, send: bytes = b"") -> str:
    """Return what the board says up to some words, having sent something first."""
    with serial.Serial(port, 115200, timeout=0.2) as terminal:
        terminal.write(send)
        said, end = b"", time.monotonic() + FAR
        while words.encode() not in said:
            assert time.monotonic() < end, said[-2000:]
            said += terminal.read(4096)
        return said.decode(errors="replace")


def causes(reader: Recorder) -> list[int]:
    """Return why each start so far was."""
    return [number(event, EventKey.CAUSE) for event in events(reader.in_order(), Event.BOOT)]


def test_it_records_as_on_a_chip(chip: Chip, tmp_path: Path) -> None:
    """Every sample of every sensor arrives, while the chip's microseconds wrap and its console takes 64 bytes."""
    running = chip(speed=20.0, chip={"ticks": (1 << 30) - 3_000_000})
    reader = recorder(running, tmp_path)
    reader.run(until(10.0))
    frames = reader.in_order()
    assert faults(frames) == []
    assert unharmed(frames, running.board.played()) > 3000
    assert running.board.refused() == []
    assert causes(reader) == [Cause.POWER_ON]


def test_without_any_sensor_it_runs(chip: Chip, tmp_path: Path) -> None:
    """Each sensor is said to be missing, commands are answered, the watchdog is fed, and every start says why it was.

    Somebody else's words in the clock's memory are no cause.
    """
    running = chip({"status_s": 5}, faults=NOTHING, speed=20.0)
    reader = recorder(running, tmp_path)
    reader.run(lambda frames: any(frame.kind == Kind.STATUS for frame in frames))
    assert faults(reader.in_order()) == [(Event.SENSOR_FAULT, stream, Fault.MISSING) for stream in range(4)]
    status = [frame for frame in reader.in_order() if frame.kind == Kind.STATUS][-1]
    assert status.frame.counters[Counter.SENSORS_DOWN] == 4
    assert (running.board.folder / "watchdog").read_text() == "10000\n"
    running.board.reset()
    reader.run(booted(2))
    reader.ask(Command.REBOOT)
    reader.run(booted(3))
    (running.board.folder / "rtc").write_bytes(b"somebody else's")
    running.board.reset()
    reader.run(booted(4))
    assert causes(reader) == [Cause.POWER_ON, Cause.HARD_RESET, Cause.COMMAND, Cause.HARD_RESET]


def make_key(prompt: Prompt, folder: Path) -> None:
    """Let a board that has lost its key make one."""
    for path in (folder / "nvs").iterdir():
        path.unlink()
    prompt.run("import chip\nimport birth\nfrom hal import esp32 as hal\nbirth.make(hal)")


def test_the_prompt_can_be_had_and_used(
    chip: Chip, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key is made with the radio on, in NVS; the doctor names each missing sensor; the watchdog is put off."""
    monkeypatch.setattr(doctor, "_HEAD", "import chip\nimport doctor, board\nfrom hal import esp32 as hal\n")
    running = chip(faults=NOTHING)
    folder = running.board.folder
    with Prompt(running.board.port) as prompt:
        assert not (folder / "radio").exists()
        make_key(prompt, folder)
        assert {path.name: path.stat().st_size for path in (folder / "nvs").iterdir()} == {
            "vitalwire.key": 32,
            "vitalwire.secret": 32,
        }
    assert (folder / "radio").read_text() == "on off "
    assert main(["board", "doctor", running.board.port, "--json"]) == 1
    found = {each["check"]: (each["ok"], each["words"]) for each in json.loads(capsys.readouterr().out)}
    wrong = {check for check, (ok, _) in found.items() if not ok}
    wrong.discard("link")  # the journal still has frames of the key before
    assert wrong == {"max30003", "max30102", "lsm6dso", "max30205"}
    assert "max30003 (spi.1) does not answer: is it powered" in found["max30003"][1]
    assert "silent like all of its bus" in found["lsm6dso"][1]
    assert (folder / "watchdog").read_text().endswith("10000\n3600000\n10000\n")


def test_without_a_radio_it_records_and_makes_no_key(chip: Chip, tmp_path: Path) -> None:
    """A chip whose radio does not start records, and says why it makes no key. MicroPython could not name its start."""
    running = chip(speed=20.0, faults=NOTHING, chip={"radio": "off", "cause": "unknown"})
    reader = recorder(running, tmp_path)
    reader.run(booted(1))
    assert causes(reader) == [Cause.HARD_RESET]
    with Prompt(running.board.port) as prompt:
        with pytest.raises(CommandError, match="the radio is off, so random numbers would be guessable"):
            make_key(prompt, running.board.folder)
        assert not list((running.board.folder / "nvs").iterdir())


def test_a_battery_that_breaks_down_and_is_empty(chip: Chip, tmp_path: Path) -> None:
    """A brown-out is read from the chip's register; empty, it sleeps deeply, and wakes for that once charged."""
    empty = {"chip": "adc", "fault": "voltage", "mv": 3000, "at_s": 15, "for_s": 1500}
    running = chip({"status_s": 5}, board=STICK, speed=20.0, faults=[empty], chip={"reset_state": 15})
    reader = recorder(running, tmp_path)
    reader.run(until(4.0, boot=2))
    (down,) = events(reader.in_order(), Event.SHUTDOWN)
    assert number(down, EventKey.MILLIVOLT) == 3000
    assert causes(reader) == [Cause.BROWN_OUT, Cause.DEEP_SLEEP]


def test_a_flash_without_journal_is_said_in_words(chip: Chip) -> None:
    """Under a stock partition table the board says what is missing and how to get it, and gives its prompt."""
    said = heard(chip(chip={"without": "journal"}).board.port, ">>> ")
    assert 'no partition "journal": flash an image of "vitalwire board image"' in said
    assert "Traceback" not in said


def test_a_fault_at_the_start_is_said_in_words(chip: Chip) -> None:
    """A board that cannot start says why at each attempt, leaves time for ctrl-C, and gives the prompt for it."""
    port = chip(sectors=4).board.port
    said = heard(port, "in 5 s; ctrl-C gives the prompt")
    assert "ValueError" in said
    assert "MicroPython" in heard(port, ">>> ", send=b"\x03")
