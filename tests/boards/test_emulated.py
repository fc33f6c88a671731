"""Our flash image in an emulated chip, started by the chip's own ROM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.boards.downloads import S3_OLDEST, download

from vitalwire_tools.codegen.boardfile import boards
from vitalwire_tools.image import build, read_stock

BOARD = next(board for board in boards() if board.name == "espressif_esp32s3_devkitc1")
IRAM = range(0x40374000, 0x403E0000)
BOOT = 0.2  # seconds of the chip's time; it takes 0.06


def test_the_chips_rom_starts_the_image(tmp_path: Path) -> None:
    """An ESP32-S3's ROM and MicroPython's bootloader find table and application in our image, and the latter runs."""
    image = tmp_path / "image.bin"
    image.write_bytes(build(read_stock(download(S3_OLDEST)), BOARD, {}).data)
    command = [sys.executable, str(Path(__file__).with_name("emulated.py")), str(image), str(BOOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split("application at ")[1], 16) in IRAM
