"""What a board says of its Bluetooth LE, in plain words: what keeps centrals from it, else who may come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .codegen.board import Board

BONDS = 4  # that a board keeps (firmware/links/bonds.py): its store has eight rows, two for each
WITHOUT = "take `ble` out of its `links`"


def seen(said: Mapping[str, Any], board: Board) -> tuple[bool, str]:
    """Return whether all is well with the link, and the words."""
    if not said["secret"]:
        return False, f"no secret to make its passkey of, so the board does not start: {WITHOUT}, or flash it anew"
    if not said["module"]:
        return False, f"this MicroPython has no Bluetooth: flash a stock build for the {board.chip}, or {WITHOUT}"
    if not said["radio"] and "ble" not in board.features:
        return False, f"the board {board.name} has no radio for Bluetooth: {WITHOUT}"
    if not said["radio"]:
        return False, f"the radio does not start ({said['why']}): is there memory for it? fewer `links` take less"
    if not said["advertises"]:
        return False, "the radio is on but does not advertise, so nobody finds the board: cut its power for a moment"
    words = f"the radio is on and advertises {said['name']!r}"
    if said["bonds"]:
        words += f"; {said['bonds']} bonded" + (", the next takes the oldest's place" if said["bonds"] >= BONDS else "")
    else:
        words += "; nobody has bonded yet: `vitalwire device passkey` shows what to type"
    if said["public"]:
        words += "; anyone nearby can read heart rate, SpO2 and charge (`public_vitals`)"
    return True, words
