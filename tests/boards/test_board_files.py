"""A board file is checked, and what a device gets of it is plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.boards.virtualboard import BOARD, ROOT

from vitalwire_tools.codegen.board import BoardError
from vitalwire_tools.codegen.boardfile import parse
from vitalwire_tools.codegen.boardmodule import render
from vitalwire_tools.virtual.serving import environment

TOML = (ROOT / "boards" / "virtual" / "board.toml").read_text()


def edit(old: str, new: str) -> str:
    """The virtual board's TOML with one passage changed."""
    assert old in TOML
    return TOML.replace(old, new, 1)


BAD_BOARDS = [
    ("name = \"virtual\"", "name = \"virtual\"\ncolour = 3", "unknown key 'colour'"),
    ("flash = 0x400000", "flash = \"4M\"", "'flash' must be int"),
    ("flash = 0x400000", "", "'flash' is missing"),
    ("chip = \"esp32\"", "chip = \"z80\"", "unknown 'z80'; allowed: esp32, esp32s3, esp32c3"),
    ("journal = [0x300000, 0x100000]", "journal = [0x2FF000, 0x100000]", "apart from the others"),
    ("journal = [0x300000, 0x100000]", "journal = [0x300001, 0x1000]", "whole sectors"),
    ("journal = [0x300000, 0x100000]", "journal = [0x300000, 0x200000]", "within the flash"),
    ("journal =", "swap =", "must be vfs or journal"),
    ("[i2c.0]", "[i2c.zero]", "named by its number"),
    ("scl = 22", "scl = 99", "scl must be an integer"),
    ("part = \"lsm6dso\"", "part = \"bmi270\"", "unknown 'bmi270'; allowed: .*max30003"),
    ("address = 0x6A", "address = 0x6A\nselect = 5", "unknown key 'select'"),
    ("i2c = 0\naddress = 0x48", "i2c = 1\naddress = 0x48", "no bus i2c.1"),
    ("divider = [2, 1]", "divider = [2]", "two integers"),
    ("full = 4200", "full = 100", "full must be"),
    ("[cpu.esp32]", "[cpu.z80]", "unknown 'z80'"),
    ("gc = 14_000_000", "naps = 1", "unknown key 'naps'"),
    ("name =", "name", "line|Expected"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), BAD_BOARDS, ids=range(len(BAD_BOARDS)))
def test_a_board_file_is_checked(old: str, new: str, words: str) -> None:
    """The vocabulary of board.toml is closed: what is unknown, missing or out of range is named."""
    with pytest.raises(BoardError, match=words):
        parse(edit(old, new))


@pytest.mark.parametrize(
    ("count", "words"), [(10, r"descriptor of \d+ bytes; name fewer sensors for one of 1536"), (13, "17 sensors")]
)
def test_a_board_that_cannot_be_described_is_refused(count: int, words: str) -> None:
    """A board of more sensors than one frame can describe is refused when it is built, not by its resets."""

    def more(number: int) -> str:
        rows = [f'[[sensor]]\npart = "lsm6dso"\ni2c = 0\naddress = {0x10 + n}\n\n' for n in range(number)]
        return edit("[battery]", "".join(rows) + "[battery]")

    assert len(parse(more(4)).sensors) == len(BOARD.sensors) + 4
    with pytest.raises(BoardError, match=words):
        parse(more(count))


def test_the_devices_board_is_plain_data() -> None:
    """The rendered board.py holds exactly what the TOML says: the sensors' drivers, and literals."""
    literals, imports = render(BOARD).split("def sensors():\n")
    values: dict[str, Any] = {}
    exec(compile(literals, "board.py", "exec"), values)
    *imports, rows = filter(None, imports.splitlines())
    assert "    from sensors.max30003 import MAX30003" in imports
    drivers = {line.split()[-1]: line.split()[1] for line in imports}
    sensors = eval(rows.removeprefix("    return "), drivers)
    assert sensors[0] == ("sensors.max30003", "spi", 1, 5, 4)
    assert sensors[-1] == ("sensors.max30205", "i2c", 0, 0x48, -1)
    assert dict((kind, row[2]) for kind, *row in values["BUSES"]) == {"i2c": 22, "spi": 18}  # noqa: C402
    assert values["PARTITIONS"] == (("vfs", 0x200000, 0x100000), ("journal", 0x300000, 0x100000))
    assert values["BATTERY"] == (34, 2, 1, 3300, 4200)
    assert environment(BOARD, fd=3, flash=Path("f"), cpu="esp32")["VITALWIRE_COSTS"].startswith("modmul=226000,")
    with pytest.raises(BoardError, match="no cost table"):
        environment(BOARD, fd=3, flash=Path("f"), cpu="z80")
