"""A MicroPython .bin as micropython.org has them, but with an application that does nothing: valid to esptool."""

from __future__ import annotations

import struct

from esptool.bin_image import ELFSection, ESP32C3FirmwareImage, ESP32FirmwareImage, ESP32S3FirmwareImage

from vitalwire_tools.codegen.chips import chips
from vitalwire_tools.image import table

KINDS = {"esp32": ESP32FirmwareImage, "esp32s3": ESP32S3FirmwareImage, "esp32c3": ESP32C3FirmwareImage}
DROM = {"esp32": 0x3F400020, "esp32s3": 0x3C000020, "esp32c3": 0x3C000020}
DRAM = {"esp32": 0x3FFB0000, "esp32s3": 0x3FC88000, "esp32c3": 0x3FC80000}
ROWS = (
    table.Partition("nvs", table.DATA, table.NVS, 0x9000, 0x6000),
    table.Partition("phy_init", table.DATA, 0x01, 0xF000, 0x1000),
    table.Partition("factory", table.APP, 0x00, 0x10000, 0x1F0000),
    table.Partition("vfs", table.DATA, table.FAT, 0x200000, 0x200000),
)


def esp_image(chip: str, address: int, data: bytes) -> bytes:
    """Return an ESP image of one segment, with checksum and SHA-256."""
    image = KINDS[chip]()
    image.chip_id = image.ROM_LOADER.IMAGE_CHIP_ID
    image.flash_size_freq = 0x20  # 4 MB
    image.entrypoint = address
    image.segments = [ELFSection(b"data", address, data, 2)]
    made = image.save(None)
    assert made is not None
    return bytes(made)


def application(chip: str, version: str) -> bytes:
    """Return an application that says it is this MicroPython, with the description ESP-IDF puts in front."""
    words = (version.encode(), b"micropython", b"12:00:00", b"Nov 29 2024", b"v5.2.2")
    head = struct.pack("<II8s32s32s16s16s32s32s80s", 0xABCD5432, 0, b"", *words, b"\x11" * 32, b"")
    banner = f"MicroPython {version} on 2024-11-29; Generic {chip} module\0".encode()
    return esp_image(chip, DROM[chip], (head + banner).ljust(1024, b"\0"))


def stock(chip: str, version: str = "v1.24.1", rows: tuple[table.Partition, ...] = ROWS) -> bytes:
    """Return the whole download, which begins where the chip's bootloader lies."""
    base = chips()[chip].bootloader
    flash = bytearray(b"\xff" * (0x10000 - base))
    for at, part in (
        (base, esp_image(chip, DRAM[chip], b"\x07" * 512)),
        (table.OFFSET, table.render(rows)),
    ):
        flash[at - base : at - base + len(part)] = part
    return bytes(flash) + application(chip, version)
