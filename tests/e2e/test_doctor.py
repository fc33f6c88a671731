"""`board doctor` and `board deploy` on a virtual board's serial port: what is wrong is said, what is new arrives."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from vitalwire.cli import main
from vitalwire.cli.strangers import descriptors
from vitalwire_tools.image import device
from vitalwire_tools.littlefs_image import pack, unpack
from vitalwire_tools.virtual.machine import FLASH, board_file

from .test_full_journal import SECTORS, alone, fill_by_boots

Found = dict[str, tuple[bool | None, str]]


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Callable[..., Found]:
    """Run the command on a port; returns what it found by check, having held the exit code to it."""

    def run(port: str) -> Found:
        code = main(["board", "doctor", port, "--json"])
        found = {each["check"]: (each["ok"], each["words"]) for each in json.loads(capsys.readouterr().out)}
        assert code == (1 if any(ok is False for ok, _ in found.values()) else 0)
        return found

    return run


def rewrite(folder: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    """Change the files in the flash of a board that does not run."""
    offset, size = board_file().partitions["vfs"]
    flash = bytearray((folder / FLASH).read_bytes())
    files = unpack(bytes(flash[offset : offset + size]))
    change(files)
    flash[offset : offset + size] = pack(files, size)
    (folder / FLASH).write_bytes(flash)


def files_of(board: Any) -> dict[str, bytes]:
    """Return the files in a board's flash."""
    offset, size = board_file().partitions["vfs"]
    return unpack((board.folder / FLASH).read_bytes()[offset : offset + size])


def changed(bench: Callable[..., Any], change: Callable[[dict[str, bytes]], object]) -> Any:
    """Return a board that starts with changed files."""
    board = bench().board
    board.power_cut()
    rewrite(board.folder, change)
    board.power_on()
    return board


def test_a_sound_board_has_nothing_wrong(bench: Callable[..., Any], doctor: Callable[..., Found]) -> None:
    """Every check of a board as it should be is ok, its own key signs its frames, and it records on afterwards."""
    running = bench()
    found = doctor(running.board.port)
    assert {ok for ok, _ in found.values()} == {True}
    assert set(found) == {
        *("prompt", "firmware", "clock", "settings", "key", "journal", "battery", "link"),
        *("max30003", "max30102", "lsm6dso", "max30205"),
    }
    assert found["key"][1] == running.thumbprint.hex()
    assert running.board.refused() == []


def test_missing_and_wrong_chips_are_named(bench: Callable[..., Any], doctor: Callable[..., Found]) -> None:
    """A chip that is not there, one of another part and a dead one are each said for what they are, the rest is ok."""
    faults = (
        {"chip": "max30003", "fault": "missing"},
        {"chip": "max30102", "fault": "wrong_part"},
        {"chip": "lsm6dso", "fault": "wedged"},
    )
    found = doctor(bench(faults=faults).board.port)
    assert found["max30003"] == (False, found["max30003"][1])
    assert "max30003 (spi.1) does not answer" in found["max30003"][1]
    assert "0x57 on i2c.0) answers as another part" in found["max30102"][1]
    assert "delivers no samples" in found["lsm6dso"][1]
    assert [name for name, (ok, _) in found.items() if ok is False] == ["max30003", "max30102", "lsm6dso"]


def test_a_wedged_bus_is_told_from_missing_chips(bench: Callable[..., Any], doctor: Callable[..., Found]) -> None:
    """When every chip of a bus is silent the bus is named and which lines to look at; one silent chip is missing."""
    everyone = tuple({"chip": chip, "fault": "nak"} for chip in ("max30102", "lsm6dso", "max30205"))
    found = doctor(bench(faults=everyone).board.port)
    for chip in ("max30102", "lsm6dso", "max30205"):
        assert found[chip][0] is False
        assert "its bus, which is wedged: SDA or SCL is held low" in found[chip][1]
    assert found["max30003"][0] is True
    found = doctor(bench(faults=everyone[1:2]).board.port)
    assert "wedged" not in found["lsm6dso"][1]


def test_a_full_journal_is_said(bench: Callable[..., Any], doctor: Callable[..., Found]) -> None:
    """A journal that nobody reads is full in the end, and what then happens to frames is said."""
    board = bench(speed=50.0, sectors=SECTORS).board
    alone(board, 80)
    found = doctor(board.port)
    assert found["journal"][0] is False
    assert "full, so the board gives up its oldest frames: read it" in found["journal"][1]


def test_a_journal_too_full_to_start_is_said(
    bench: Callable[..., Any], doctor: Callable[..., Found], micropython: Callable[..., Any]
) -> None:
    """A board that nobody read over hundreds of starts still answers, and says what it does and what it waits for."""
    running = bench(settings={"when_full": "stop"}, speed=50.0, sectors=SECTORS)
    alone(running.board, 80)
    fill_by_boots(running, micropython)
    found = doctor(running.board.port)
    assert found["journal"][0] is False
    assert (
        "cannot note another start: it sends what it holds and records nothing until it is read" in found["journal"][1]
    )
    assert found["link"][0] is True


def test_a_wrong_clock_is_said(bench: Callable[..., Any], doctor: Callable[..., Found]) -> None:
    """A board whose second is shorter than this computer's dates samples wrongly: that is said with the factor."""
    found = doctor(bench(speed=5.0).board.port)
    assert found["clock"][0] is False
    assert "times too fast" in found["clock"][1]


def test_a_board_without_a_key_is_sent_to_provisioning(bench: Callable[..., Any], doctor: Callable[..., Found]) -> None:
    """No key, and a setting that is refused, are said with what to do; the link is not judged without a key."""

    def spoil(files: dict[str, bytes]) -> None:
        del files["key"]
        files["config.json"] = b'{"window": 99}'

    found = doctor(changed(bench, spoil).port)
    assert found["key"][0] is False
    assert "vitalwire board provision" in found["key"][1]
    assert found["settings"] == (False, "window is refused: the board runs with safe settings instead")
    assert found["link"][0] is None


def test_lost_counters_are_said(bench: Callable[..., Any], doctor: Callable[..., Found]) -> None:
    """A key that has signed beside an empty journal may sign no more: that is found, and needs a new key."""
    board = bench().board
    board.power_cut()
    rewrite(board.folder, lambda files: files.update(counted=b"1"))
    offset, size = board_file().partitions["journal"]
    flash = bytearray((board.folder / FLASH).read_bytes())
    flash[offset : offset + size] = b"\xff" * size
    (board.folder / FLASH).write_bytes(flash)
    board.power_on()
    found = doctor(board.port)
    assert "counters are lost" in found["journal"][1]
    assert found["link"][0] is None


def test_a_port_that_is_none_ends_with_advice(
    bench: Callable[..., Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No port, or a production board that gives no prompt, is exit code 6 and one line that says what to look at."""
    monkeypatch.setattr("vitalwire_tools.prompt.PATIENCE", 0.0)
    monkeypatch.setattr("vitalwire_tools.prompt.TRY", 2.0)
    for port, words in (("/dev/nowhere", "vitalwire ports"), (bench({"repl": False}).board.port, '"repl": false')):
        for command in ("doctor", "deploy"):
            assert main(["board", command, port]) == 6
            assert words in capsys.readouterr().err


def test_deploy_brings_the_firmware_up_to_date(
    bench: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    doctor: Callable[..., Found],
) -> None:
    """After a deploy the board runs the new firmware with its old key and settings, and nothing is left over."""
    running = bench({"frame_ms": 1000})
    monkeypatch.setattr(device, "version", lambda name: "9.9.9")
    assert main(["board", "deploy", running.board.port]) == 0
    assert "virtual board is up to date" in capsys.readouterr().err
    found = doctor(running.board.port)
    assert found["firmware"] == (True, "virtual 9.9.9")
    assert found["key"][1] == running.thumbprint.hex()
    assert found["link"][0] is True
    names = {path.name for path in running.board.folder.iterdir()}
    assert "firmware" in names
    assert not names & {"firmware.new", "firmware.old"}
    folder = running.board.folder / "firmware"
    modules = {path.relative_to(folder).as_posix() for path in folder.rglob("*.mpy")}
    assert "hal/virtual.mpy" in modules
    assert "hal/esp32.mpy" not in modules


def test_a_deploy_takes_the_place_of_an_update(bench: Callable[..., Any], doctor: Callable[..., Found]) -> None:
    """The doctor names the update that runs; after a deploy what was deployed runs, and nothing older is taken."""
    state = {"run": "a", "counter": 5}
    board = changed(bench, lambda files: files.update({"slots": json.dumps(state).encode()}))
    assert doctor(board.port)["firmware"][1].endswith(", an update with counter 5")
    assert main(["board", "deploy", board.port]) == 0
    assert "update" not in doctor(board.port)["firmware"][1]
    assert json.loads(files_of(board)["slots"]) == {"run": "", "counter": 5}


def test_a_deploy_that_breaks_off_leaves_the_old_firmware(
    bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut while files are copied leaves every module as it was, and the board runs them."""
    running = bench()
    folder = running.board.folder / "firmware"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(device, "version", lambda name: "9.9.9")

    def cut(what: str) -> Any:
        def step(done: float, total: float | None = None) -> None:
            if done > 20_000:
                running.board.power_cut()

        return nullcontext(step)

    monkeypatch.setattr("vitalwire_tools.commands.serve.output.progress", cut)
    assert main(["board", "deploy", running.board.port]) == 6
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    running.board.power_on()
    assert next(iter(descriptors(running.board.url))).thumbprint == running.thumbprint


def test_deploy_refuses_another_boards_firmware(bench: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Firmware for another board is refused before anything is copied."""
    assert main(["board", "deploy", bench().board.port, "--board", "m5stack_m5stickc_plus2"]) == 2
    assert "made of copper" in capsys.readouterr().err
