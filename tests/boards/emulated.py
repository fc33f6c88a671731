"""Starts a flash image on an emulated ESP32-S3, and says how far it got: `python emulated.py IMAGE SECONDS`.

The emulator has the chip's real ROM, one of its two cores and no radio: the ROM loads the bootloader, the bootloader
reads the partition table, checks the application and starts it, and the application stops where it waits for the
other core. It runs in a process of its own because it takes its flash from the environment and prints by itself.
"""

from __future__ import annotations

import os
import shutil
import struct
import sys
import tempfile
from pathlib import Path

RESET = 0x40000400
OTHER_CORE_STARTS_AT = 0x600C0004  # SYSTEM_CORE_1_CONTROL_1, which only an application sets
STEP = "1ms"


def reset_elf() -> bytes:
    """Return an ELF file of nothing whose entry is the ROM: the emulator starts from nothing else."""
    head = struct.pack("<HHIIIIIHHHHHH", 2, 94, 1, RESET, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    return b"\x7fELF\x01\x01\x01" + bytes(9) + head + struct.pack("<8I", 1, 84, 0x3FCF0000, 0, 4, 4, 7, 4) + bytes(4)


def configurations(folder: Path) -> Path:
    """Copy the emulator's descriptions, but for the plain memory over the mapped flash; return the board's."""
    import labwired

    shutil.copytree(Path(labwired.__file__).parent / "configs", folder)
    chip = folder / "chips" / "esp32s3.yaml"
    chip.write_text(chip.read_text().replace("base: 0x42000000", "base: 0x50800000", 1))
    return folder / "systems" / "esp32s3.yaml"


def run(image: Path, limit: float) -> int:
    """Return where the application lets the other core begin; 0 when it did not within `limit` seconds of the chip."""
    os.environ["LABWIRED_ESP32S3_FLASH"] = str(image)
    os.environ["LABWIRED_ESP32S3_MMU_XIP"] = "1"
    import labwired

    with tempfile.TemporaryDirectory() as folder:
        elf = Path(folder) / "reset.elf"
        elf.write_bytes(reset_elf())
        with labwired.Sim(elf, system=configurations(Path(folder) / "configs")) as chip:
            while chip.time < limit:
                chip.run_for(STEP)
                if start := chip.read_u32(OTHER_CORE_STARTS_AT):
                    return int(start)
    return 0


if __name__ == "__main__":
    print(f"application at {run(Path(sys.argv[1]), float(sys.argv[2])):#x}")
