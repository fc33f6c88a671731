"""Where the firmware and the boards are: in the checkout, or in the copy that an installed package carries."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parents[1]
_DATA = _CHECKOUT if (_CHECKOUT / "firmware" / "main.py").exists() else _HERE / "data"

FIRMWARE = _DATA / "firmware"
BOARDS = _DATA / "boards"
SHARES = BOARDS / "shares.json"  # what `vitalwire bench shares` measured
