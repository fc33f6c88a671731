"""`board image` on what micropython.org offers: what is read of it, and that it arrives whole in the flash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.boards.downloads import C3, C6, ESP32, OLD, S3, S3_OLDEST, download

from vitalwire.errors import InputError
from vitalwire_tools import littlefs_image
from vitalwire_tools.codegen.boardfile import boards
from vitalwire_tools.image import build, nvs, read_stock, table
from vitalwire_tools.provision import Identity

RELEASES = {
    ESP32: ("esp32", (1, 27, 0)),
    S3: ("esp32s3", (1, 27, 0)),
    S3_OLDEST: ("esp32s3", (1, 24, 1)),
    C3: ("esp32c3", (1, 27, 0)),
}
BOARDS = {board.name: board for board in boards() if board.name != "virtual"}
ON = {
    ESP32: "espressif_esp32_devkitc",
    S3: "seeed_xiao_esp32s3",
    C3: "espressif_esp32c3_devkitm1",
}
IDENTITY = Identity("strap 7", bytes(31) + b"\x05", bytes(range(32)))


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_is_read(name: str) -> None:
    """Chip, version, partitions and length of a stock release are read; from 1.25 on its table has no vfs."""
    data = download(name)
    read = read_stock(data)
    assert (read.chip.name, read.version) == RELEASES[name]
    labels = [row.label for row in read.partitions]
    assert labels == ["nvs", "phy_init", "factory"] + ["vfs"] * (read.version < (1, 25))
    assert read.chip.bootloader + len(data) == read.app_at + len(read.app)
    assert table.render(read.partitions) == data[table.OFFSET - read.chip.bootloader :][: table.SIZE]


@pytest.mark.parametrize(("name", "words"), [(OLD, "it is MicroPython 1.21.0"), (C6, "it is for esp32c6")])
def test_a_release_that_will_not_do_is_refused(name: str, words: str) -> None:
    """A real build that is too old, or for a chip without boards here, is refused by name, with what to download."""
    with pytest.raises(InputError, match=words) as caught:
        read_stock(download(name))
    assert "1.24 or newer" in caught.value.advice


@pytest.mark.parametrize(("name", "board"), ON.items())
def test_a_release_arrives_whole(name: str, board: str, tmp_path: Path) -> None:
    """esptool calls bootloader and application valid, which are the download's but for the flash size in its header."""
    data, onto = download(name), BOARDS[board]
    read = read_stock(data)
    made = build(read, onto, {"repl": False}, IDENTITY).data
    assert len(made) == onto.flash
    for at, words in ((read.chip.bootloader, f"Flash size: {onto.flash >> 20}MB"), (read.app_at, "ESP-IDF: v5")):
        (tmp_path / "part.bin").write_bytes(made[at:])
        command = [sys.executable, "-m", "esptool", "image-info", str(tmp_path / "part.bin")]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        assert said.count("(valid)") == 2
        assert words in said
    head = made[read.chip.bootloader :][: len(read.bootloader)]
    changed = {at for at, (one, other) in enumerate(zip(head, read.bootloader, strict=True)) if one != other}
    assert changed <= {3, *range(len(head) - 32, len(head))}  # flash size, and the SHA-256 at the end
    assert made[read.app_at :][: len(read.app)] == data[read.app_at - read.chip.bootloader :]
    rows = {row.label: row for row in table.parse(made[table.OFFSET :])}
    assert {row for label, row in rows.items() if label not in onto.partitions} == {
        row for row in read.partitions if row.label != "vfs"
    }
    files = littlefs_image.unpack(made[rows["vfs"].offset : rows["vfs"].end])
    assert {"main.py", "config.json", "firmware/main.mpy", "firmware/vitalwire.mpy"} <= set(files)
    area = made[rows["nvs"].offset : rows["nvs"].end]
    assert area == nvs.write({"key": IDENTITY.key, "secret": IDENTITY.secret}, rows["nvs"].size)
