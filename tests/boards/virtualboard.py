"""The virtual board as its file says it, and the recordings that its chips play."""

from __future__ import annotations

from pathlib import Path

from vitalwire_tools.codegen.boardfile import load
from vitalwire_tools.virtual.hardware import load_signals

ROOT = Path(__file__).resolve().parents[2]
BOARD = load(ROOT / "boards" / "virtual" / "board.toml")
SIGNALS = load_signals(ROOT / "boards" / "virtual" / "signals")
