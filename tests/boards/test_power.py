"""What a board takes and how long its cell lasts: the sums, every board there is, and what is not known."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vitalwire.cli import main
from vitalwire_tools import power
from vitalwire_tools.bench import shares
from vitalwire_tools.codegen.board import Board, Power
from vitalwire_tools.codegen.boardfile import boards, load
from vitalwire_tools.codegen.chips import chips
from vitalwire_tools.folders import BOARDS
from vitalwire_tools.power import LINKS, Choice, PowerError, Radio, Shares, Work

ALL = {board.name: board for board in boards()}
MADE_UP = Shares(
    "2026-01-02",
    "esp32",
    {
        ("sign", 2000): Work(0.15, 0.05, 1000),
        ("seal", 2000): Work(0.05, 0.05, 1000),
        ("sign", 4000): Work(0.10, 0.05, 500),
    },
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board with round figures: 10 mA idle, 30 busy; one sensor of 2 mA, a regulator of 1 mA, 100 mAh."""
    currents: dict[str, Any] = {"idle_ua": 10_000, "busy_ua": 30_000, "light_sleep_ua": 1000}
    currents["radio_ua"] = {"ble": (60_000, 110_000)}
    chip = replace(chips()["esp32"], name="tiny", **currents)
    monkeypatch.setattr(power, "chips", lambda: {"tiny": chip})
    monkeypatch.setattr(
        power, "driver", lambda part: {"max30205": {"_SUPPLY_UA": 2000, "_SHUTDOWN_UA": 100}}.get(part, {})
    )
    monkeypatch.setitem(LINKS, "ble", Radio(0.02, 1e6, 3.0, 2.0))
    known = ALL["virtual"]
    sensor = next(each for each in known.sensors if each.part == "max30205")
    return replace(known, name="small", chip="tiny", sensors=(sensor,), power=Power(100, "R1", 1000))


def test_the_sums(small: Board) -> None:
    """0.8 * 10 + 0.2 * 30 + 2 + 1 = 17 mA; each row has its duty, current and share, and the cell lasts 100 / 17 h."""
    found = power.budget(small, Choice(), MADE_UP)
    rows = [(row.part, row.duty, row.ma) for row in found.rows]
    assert [row[0] for row in rows] == ["tiny, idle", "tiny, busy", "max30205", "R1"]
    assert [row[1:] for row in rows] == [
        pytest.approx(each) for each in ((0.8, 10.0), (0.2, 30.0), (1.0, 2.0), (1.0, 1.0))
    ]
    assert [row.share for row in found.rows] == pytest.approx([8 / 17, 6 / 17, 2 / 17, 1 / 17])
    assert found.ma == pytest.approx(17)
    assert found.hours == pytest.approx(100 / 17)
    assert power.budget(small, Choice(), MADE_UP, cell_mah=34).hours == pytest.approx(2)


def test_a_radio_is_counted_over_the_idle_processor(small: Board) -> None:
    """It listens 2 % at 60 - 10 mA and sends 8,000 of a million bits a second at 110 - 10 mA: 1.8 mA more."""
    found = power.budget(small, Choice(link="ble"), MADE_UP)
    assert {row.part: (row.duty, row.ma) for row in found.rows if row.part.startswith("ble")} == {
        "ble, listening": (pytest.approx(0.02), pytest.approx(50)),
        "ble, sending": (pytest.approx(0.008), pytest.approx(100)),
    }
    assert found.ma == pytest.approx(17 + 1.8)


def test_a_radio_that_is_on_now_and_then(small: Board) -> None:
    """Every 100 s: 3 s of listening and 2 s of the processor's, 0.03 * 50 + 0.02 * 20 mA in place of 0.02 * 50; what is
    sent is the same. Oftener than that lasts it is always on; and where there is no radio, none can be off."""
    found = power.budget(small, Choice(link="ble", batch_s=100), MADE_UP)
    assert found.ma == pytest.approx(17 + 0.8 + 1.5 + 0.4)
    assert {row.part: row.duty for row in found.rows}["ble, listening"] == pytest.approx(0.03)
    always = power.budget(small, Choice(link="ble", batch_s=1), MADE_UP)
    assert {row.part: row.duty for row in always.rows}["ble, listening"] == pytest.approx(1)
    hours = {cost.to: cost.hours for cost in power.costs(small, Choice(link="ble"), MADE_UP) if cost.what == "radio"}
    assert hours.keys() == {f"on every {each} s (estimate)" for each in (60, 300, 1800)}
    assert hours["on every 60 s (estimate)"] < 100 / 18.8 < hours["on every 300 s (estimate)"]
    to_serial = {cost.to: cost.hours for cost in power.costs(small, Choice(link="ble", batch_s=100), MADE_UP)}["serial"]
    assert to_serial == pytest.approx(100 / 17)


def test_a_pause_costs_least_where_nothing_keeps_the_processor(small: Board) -> None:
    """On for a tenth: a tenth of the work and of the sensor; the rest asleep without a link, idle with one."""
    tenth = Choice(on_s=6, every_s=60)
    found = power.budget(small, replace(tenth, link="idle"), MADE_UP)
    rows = [(row.part, row.duty, row.ma) for row in found.rows]
    assert [row[0] for row in rows] == ["tiny, idle", "tiny, busy", "tiny, asleep", "max30205", "max30205, off", "R1"]
    expected = ((0.085, 10.0), (0.015, 30.0), (0.9, 1.0), (0.1, 2.0), (0.9, 0.1), (1.0, 1.0))
    assert [row[1:] for row in rows] == [pytest.approx(each) for each in expected]
    assert found.ma == pytest.approx(0.85 + 0.45 + 0.9 + 0.2 + 0.09 + 1)
    awake = {row.part: row.duty for row in power.budget(small, replace(tenth, link="ble"), MADE_UP).rows}
    assert awake["tiny, idle"] == pytest.approx(0.98)
    assert awake["ble, sending"] == pytest.approx(0.0008)
    assert not any("asleep" in part for part in awake)


def test_a_part_that_cannot_rest_saves_nothing(small: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a driver gives no current for the chip's shutdown, it takes while off what it takes while on."""
    monkeypatch.setattr(power, "driver", lambda part: {"_SUPPLY_UA": 2000})
    assert power.budget(small, Choice(off=frozenset({"max30205"})), MADE_UP).ma == pytest.approx(17)


def test_each_choice_and_its_cost(small: Board) -> None:
    """Every choice one step away is there, with the hours it gives; a link that the chip's data do not cover is not."""
    found = {(cost.what, cost.to): cost for cost in power.costs(small, Choice(), MADE_UP)}
    taken = {
        ("policy", "seal"): 15,
        ("frame", "4000 ms"): 16,
        ("link", "idle"): 16,
        ("link", "ble (estimate)"): 18.8,
        ("sensors", "30 s of 60 s"): 9 + 3 + 1.05 + 1,
        ("sensors", "10 s of 60 s"): 58 / 6 + 1 + 2.5 / 6 + 1,
        ("sensors", "30 s of 600 s"): 9.9 + 0.3 + 0.195 + 1,
        ("sensor", "max30205 off"): 15.1,
    }
    assert found.keys() == taken.keys()
    for key, milliamperes in taken.items():
        assert found[key].hours == pytest.approx(100 / milliamperes), key
        assert found[key].more == pytest.approx(100 / milliamperes - 100 / 17), key
    back = power.costs(small, Choice(off=frozenset({"max30205"})), MADE_UP)
    assert back[-1].to == "max30205 on"
    assert ("sensors", "always on") in {
        (cost.what, cost.to) for cost in power.costs(small, Choice(on_s=1, every_s=2), MADE_UP)
    }
    assert back[-1].more < 0


@pytest.mark.parametrize("board", ALL.values(), ids=ALL)
def test_every_board_computes(board: Board) -> None:
    """With a cell every board has a budget that makes a whole, and hours for every choice, by the stored shares."""
    measured = power.shares()
    found = power.budget(board, Choice(), measured, cell_mah=300)
    assert sum(row.share for row in found.rows) == pytest.approx(1)
    assert all(0 < row.duty <= 1 and row.ma > 0 for row in found.rows)
    assert {row.part for row in found.rows} >= {sensor.part for sensor in board.sensors}
    hours = {(cost.what, cost.to): cost.more for cost in power.costs(board, Choice(), measured, cell_mah=300)}
    assert all(more >= 0 for (what, _), more in hours.items() if what == "sensor")
    assert all(more > 0 for (what, _), more in hours.items() if what == "sensors")
    assert hours["policy", "seal"] > 0 > hours["link", "wifi (estimate)"]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice(policy="none"), "no policy 'none' was measured; sign, seal were"),
        (Choice(frame_ms=3), "no frame of 3 ms was measured; 2000, 4000 were"),
        (Choice(link="wire"), "no link 'wire'; there are idle, serial, ble, wifi"),
        (Choice(link="wifi"), "what tiny takes for 'wifi' is not known; boards/chips.toml gives none"),
        (Choice(batch_s=60), "serial is not over the air: only a radio can be off from one batch to the next"),
        (Choice(on_s=60, every_s=60), "60 s of 60 s is no cycle: on is shorter than every, or both are 0"),
        (Choice(every_s=60), "0 s of 60 s is no cycle: on is shorter than every, or both are 0"),
        (Choice(off=frozenset({"eeg"})), "small has no 'eeg'; it has max30205"),
    ],
)
def test_what_is_not_known_is_said(small: Board, choice: Choice, said: str) -> None:
    """A choice without data is refused by what is missing and what there is."""
    with pytest.raises(PowerError) as caught:
        power.budget(small, choice, MADE_UP)
    assert str(caught.value) == said


def test_missing_data_is_said(small: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cell, a driver without a current, no file of shares or another one: each names what would do."""
    with pytest.raises(PowerError, match="--cell MAH"):
        power.budget(replace(small, power=Power()), Choice(), MADE_UP)
    monkeypatch.setattr(power, "driver", lambda part: {})
    with pytest.raises(PowerError, match=r"max30205\.py gives no _SUPPLY_UA"):
        power.budget(small, Choice(), MADE_UP)
    file = tmp_path / "shares.json"
    for text in (None, "", "[]", '{"rows": [{}]}'):
        if text is not None:
            file.write_text(text)
        with pytest.raises(PowerError, match="vitalwire bench shares"):
            power.shares(file)


def test_the_benchmark_s_file_is_what_is_read(tmp_path: Path) -> None:
    """A short run of the benchmark writes rows that the reckoning reads: sealing is cheaper, the date is there."""
    file = tmp_path / "shares.json"
    result = shares.run(seconds=15, lengths=(2000,))
    shares.write(result, file)
    found = power.shares(file)
    assert found.date == result["date"]
    assert set(found.rows) == {(policy, 2000) for policy in ("sign", "seal", "private")}
    assert 0 < found.rows["seal", 2000].share < found.rows["sign", 2000].share < 0.5
    assert all(0 < row.link < 0.2 and 100 < row.bytes_per_s < 10_000 for row in found.rows.values())
    assert shares.render(result).row_count == 3


@pytest.mark.parametrize("link", LINKS)
def test_the_tables_fit_a_terminal(link: str, capsys: pytest.CaptureFixture[str]) -> None:
    """However a board is run, no line is wider than 80 characters, and each choice has its cost in hours and parts."""
    more = ["--batch", "1800"] if LINKS[link] else []
    assert (
        main(["board", "power", "m5stack_m5stickc_plus2", "--link", link, "--on", "30", "--every", "300", *more]) == 0
    )
    said = capsys.readouterr()
    assert max(map(len, said.out.splitlines())) <= 80
    (row,) = [line for line in said.out.splitlines() if "max30102 off" in line]
    assert re.search(r"[+-]\d+\.\d\d h, [+-]\d+ %", row)


def test_the_command_prints_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    """Tables for a person, one document for programs, one line and exit code 2 for what is unknown or missing."""
    assert main(["board", "power", "virtual"]) == 0
    said = capsys.readouterr()
    assert all(text in said.out for text in ("max30102", "400 mAh", "difference", "wifi (estimate)"))
    assert "measured 20" in said.err
    assert main(["board", "power", "seeed_xiao_esp32s3", "--cell", "300", "--link", "ble", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"board", "cell_mah", "measured", "choice", "estimate", "budget", "costs"}
    assert (document["cell_mah"], document["estimate"], document["choice"]["link"]) == (300, True, "ble")
    assert set(document["budget"]["rows"][0]) == {"part", "duty", "ma", "share"}
    assert set(document["costs"][0]) == {"what", "to", "hours", "more"}
    for arguments, text in (
        (["nowhere"], "no board 'nowhere'"),
        (["seeed_xiao_esp32s3"], "--cell MAH"),
        (["virtual", "--off", "eeg"], "has no 'eeg'"),
    ):
        assert main(["board", "power", *arguments]) == 2
        error = capsys.readouterr().err
        assert text in error
        assert "Traceback" not in error


def test_the_shares_are_those_of_the_firmware_s_settings() -> None:
    """The stored file has every policy and the frame length that a board has by itself."""
    measured = power.shares()
    assert {policy for policy, _ in measured.rows} == {"sign", "seal", "private"}
    assert (Choice().policy, Choice().frame_ms) in measured.rows
    assert load(BOARDS / "virtual" / "board.toml").chip == measured.chip
