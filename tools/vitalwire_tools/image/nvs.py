"""The NVS partition with what a production line injects, where the firmware's `hal.recall` finds them."""

from __future__ import annotations

import io
from collections.abc import Mapping

from esp_idf_nvs_partition_gen import nvs_partition_gen as generator

NAMESPACE = "vitalwire"  # as in firmware/hal/esp32.py
_RESERVED = 0x1000  # the generator adds the page that NVS keeps free


def write(values: Mapping[str, bytes], size: int) -> bytes:
    """Return a partition of `size` bytes with these blobs, the same for the same values."""
    out = io.BytesIO()
    with generator.nvs_open(out, size - _RESERVED, version=generator.Page.VERSION2) as nvs:
        generator.write_entry(nvs, NAMESPACE, "namespace", "", "")
        for name in sorted(values):
            generator.write_entry(nvs, name, "data", "hex2bin", values[name].hex())
    return out.getvalue()
