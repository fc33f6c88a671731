"""Every board there is, and boards that must not be: pins, conflicts, vocabulary; what is made from them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire.cli import main
from vitalwire_tools.codegen import listing, wiring
from vitalwire_tools.codegen.board import Board, BoardError
from vitalwire_tools.codegen.boardfile import boards, load, parse
from vitalwire_tools.codegen.chips import chips
from vitalwire_tools.codegen.parts import parts
from vitalwire_tools.compile import compile_firmware
from vitalwire_tools.folders import BOARDS
from vitalwire_tools.release import release

ALL = {board.name: board for board in boards()}
DEVKIT = (BOARDS / "espressif_esp32_devkitc" / "board.toml").read_text()


def test_the_boards_people_own_are_there() -> None:
    """The boards that people own are there by name, and every folder with a board.toml validates."""
    assert set(ALL) >= {
        *("espressif_esp32_devkitc", "espressif_esp32s3_devkitc1", "espressif_esp32c3_devkitm1"),
        *("m5stack_m5stickc_plus2", "seeed_xiao_esp32s3", "virtual"),
    }
    assert {path.parent.name for path in BOARDS.glob("*/board.toml")} == set(ALL)


@pytest.mark.parametrize("board", ALL.values(), ids=ALL)
def test_a_boards_pins_are_the_chips(board: Board) -> None:
    """Every pin that a board wires is its chip's, not its flash's, on a header or the board's own, and wired once."""
    chip = chips()[board.chip]
    header = {pin for entries in board.headers.values() for _, pin in entries}
    pins = [wire.pin for wire in board.wires()]
    assert len(pins) == len(set(pins))
    for wire in board.wires():
        assert wire.pin in chip.gpio - chip.flash - chip.console
        assert wire.pin in header or wire.use in {"battery: adc", "hold"}
        assert wire.role != "drives" or wire.pin not in chip.input_only
    assert all(sensor.part in parts() for sensor in board.sensors)


def test_the_facts_of_the_chips_hold_together() -> None:
    """What a chip's row says of special pins are pins that the chip has; ESP32's input-only ones are 34 to 39."""
    for chip in chips().values():
        for pins in (chip.input_only, chip.strapping, chip.flash, chip.usb, chip.console, chip.adc):
            assert pins <= chip.gpio
    assert chips()["esp32"].input_only == frozenset(range(34, 40))
    assert 20 not in chips()["esp32"].gpio
    assert 22 not in chips()["esp32c3"].gpio


BAD = [
    ("scl = 22", "scl = 20", r"i2c.0: scl: esp32 has no GPIO 20; free and able: .*\b22\b"),
    ("scl = 22", "scl = 6", "GPIO 6 of esp32 belongs to its flash"),
    ("scl = 22", "scl = 1", "is the console's"),
    ("scl = 22", "scl = 34", "GPIO 34 of esp32 has no output"),
    ("scl = 22", "scl = 21", r"i2c.0: sda: GPIO 21 is i2c.0: scl already"),
    ("interrupt = 4", "interrupt = 35", r"sensor 0 \(max30003\): interrupt: GPIO 35 of esp32 has no pull-up"),
    ("interrupt = 4", "interrupt = 12", "read at reset"),
    ("interrupt = 4", "interrupt = 0", "read at reset"),
    ("select = 27", "select = 0", "is the board's own button"),
    ("right = [\"GND\", 23, 22,", "right = [\"GND\", 23,", "GPIO 22 is on no header"),
    ("right = [\"GND\", 23,", "right = [\"GND\", 24,", "header: esp32 has no GPIO 24"),
    ("left = [\"3V3\"", "left = [\"12V\"", "'12V' must be a GPIO"),
    ("button = 0", "siren = 0", "onboard: unknown 'siren'; allowed: button"),
    ("button = 0", "hold = [0, 2]", "hold must be one GPIO"),
    ("button = 0", "hold = 34", "hold: GPIO 34 of esp32 has no output"),
    ("address = 0x48", "address = 0x57", r"sensor 3 \(max30205\): address 0x57 of i2c.0 is max30102's already"),
    ("address = 0x48", "address = 0x80", "address must be an integer from 8 to 119"),
    ("[spi.1]", "[spi.0]", r"spi.0: a bus is a table named by its number; allowed: \[1, 2\]"),
    ("spi = 1", "spi = 2", "no bus spi.2; allowed: spi.1"),
    ("\"wifi\"", "\"fax\"", "features: unknown 'fax'; allowed: wifi"),
    ("name = \"espressif_esp32_devkitc\"", "name = \"\"", "name must be 1 to"),
    ("journal = [0x300000, 0x100000]", "", "partitions: 'journal' is missing"),
    ("[onboard]", "[power]\ncell_mah = 0\n[onboard]", "power: cell_mah must be"),
    ("[onboard]", "[battery]\nadc = 4\ndivider = [2, 1]\nempty = 1\nfull = 2\n[onboard]", "no input of ADC1"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), BAD, ids=range(len(BAD)))
def test_wiring_that_cannot_be_is_refused(old: str, new: str, words: str) -> None:
    """A pin the chip lacks, a conflict or an unknown word is refused by its key, with what would do instead."""
    assert old in DEVKIT
    with pytest.raises(BoardError, match=words):
        parse(DEVKIT.replace(old, new, 1))


def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    """What is wrong in a file is said with the file's name; a folder of another name is wrong, too."""
    path = tmp_path / "espressif_esp32_devkitc" / "board.toml"
    path.parent.mkdir()
    path.write_text(DEVKIT.replace("scl = 22", "scl = 20"))
    with pytest.raises(BoardError, match=f"^{re.escape(str(path))}: i2c.0: scl"):
        load(path)
    path.write_text(DEVKIT)
    assert load(path).chip == "esp32"
    with pytest.raises(BoardError, match="name must be the folder's"):
        load(path.parent.rename(tmp_path / "other") / "board.toml")


@pytest.mark.parametrize("board", ALL.values(), ids=ALL)
def test_the_diagram_shows_every_wire(board: Board) -> None:
    """A wiring diagram is an SVG with one line a net, every sensor's name and every header pin; the same each time."""
    text = wiring.render(board)
    assert text == wiring.render(board)
    root = ET.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    strokes = [path.get("stroke") for path in root.iter(f"{space}path") if path.get("stroke")]
    assert len(strokes) == len({wire.pin for wire in board.wires()} - set(board.onboard.get("hold", ()))) - (
        board.battery is not None
    )
    words = "\n".join(node.text or "" for node in root.iter(f"{space}text"))
    assert all(sensor.part.upper() in words for sensor in board.sensors)
    assert all(label in words for entries in board.headers.values() for label, _ in entries)


def test_a_new_board_needs_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`board new` writes a board of any chip that validates and can be drawn, and never writes over one."""
    for chip in chips():
        assert main(["board", "new", f"acme_{chip}", "--chip", chip, "--folder", str(tmp_path)]) == 0
    made = boards(tmp_path)
    assert [board.chip for board in made] == sorted(chips())
    assert all("MAX30205" in wiring.render(board) for board in made)
    assert main(["board", "new", "acme_esp32", "--chip", "esp32", "--folder", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["board", "new", "a/b", "--chip", "esp32", "--folder", str(tmp_path)]) == 2
    assert main(["board", "new", "acme", "--chip", "z80", "--folder", str(tmp_path)]) == 2
    assert "allowed: esp32, esp32s3, esp32c3" in capsys.readouterr().err


def test_the_list_is_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """`board list` shows every board; the README's table is the same, and both follow the files."""
    assert main(["board", "list", "--json"]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} == set(ALL)
    text = (BOARDS / "README.md").read_text()
    assert text == listing.render(text)
    assert all(f"`{name}`" in text for name in ALL)


@pytest.mark.parametrize(
    "board", [ALL["m5stack_m5stickc_plus2"], ALL["espressif_esp32c3_devkitm1"]], ids=lambda b: b.name
)
def test_a_device_gets_the_drivers_its_board_names(board: Board, tmp_path: Path) -> None:
    """Compiled for a board, the firmware holds its sensors' drivers and no other, for the chip's processor."""
    from vitalwire_tools.codegen.boardmodule import render

    compile_firmware(tmp_path / "fw", chips()[board.chip].arch, {"board.py": render(board) + 'VERSION = "1"\n'})
    drivers = {path.stem for path in (tmp_path / "fw" / "sensors").glob("*.mpy")}
    assert {sensor.part for sensor in board.sensors} <= drivers
    resident = (tmp_path / "fw" / "vitalwire.mpy").read_bytes()
    assert b"MAX30102" in resident
    assert b"LSM6DSO" not in resident


@pytest.mark.parametrize("board", ALL.values(), ids=ALL)
def test_every_board_can_be_updated(board: Board) -> None:
    """A release for each board fits the bounds of an update, and has its drivers but not the loader."""
    package = release(board, ec.generate_private_key(ec.SECP256R1()), "2.0", counter=1)
    paths = {file.path for file in package.manifest.files}
    assert {"start.mpy", "vitalwire.mpy", "board.mpy", "ota.mpy"} < paths
    assert "main.mpy" not in paths
    assert {f"sensors/{sensor.part}.mpy" for sensor in board.sensors} <= paths
