"""The signature benchmark."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from vitalwire_tools.bench import sign

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"


def test_sign_reports_what_its_table_shows() -> None:
    """A short run gives every figure, the ratios being of one process, and all of them can be shown."""
    result = sign.run(rounds=3, firmware=FIRMWARE)
    assert result["table_bytes"] <= 8192
    assert result["modmul_ratio"] == result["sign_us"] / result["modmul_us"]
    assert 0 < result["longest_slice"] < result["modmul_ratio"]
    assert result["slices"] > 15
    shown = io.StringIO()
    Console(file=shown, width=100).print(sign.render(result))
    assert f"{result['modmul_ratio']:.0f}" in shown.getvalue()
