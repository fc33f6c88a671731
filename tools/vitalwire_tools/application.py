"""Which application a board at its prompt starts: the one deployed to it, or an update's (firmware/slots.py)."""

from __future__ import annotations

from .prompt import Prompt

_STATE = """
import json, os, sys
from hal import {hal} as hal
root = hal.files()
try:
    with open(root + "/slots") as f:
        state = json.load(f)
except OSError:
    state = {{"run": "", "counter": 0}}
"""
_NAME = """
slot = state["run"]
if slot:
    sys.path.insert(0, root + "/" + slot)
    sys.modules.pop("board", None)
import board
print(board.NAME, board.VERSION + (", an update with counter %d" % state["counter"] if slot else ""))
if slot:
    sys.path.pop(0)
    sys.modules.pop("board", None)
"""
_DEPLOYED = """
if state["run"] or "try" in state:
    for name in ("try", "next", "tried"):
        state.pop(name, None)
    state["run"] = ""
    with open(root + "/slots.new", "w") as f:
        json.dump(state, f)
    os.rename(root + "/slots.new", root + "/slots")
"""


def _state(prompt: Prompt) -> str:
    return _STATE.format(hal="virtual" if prompt.virtual else "esp32")


def running(prompt: Prompt) -> str:
    """Return board and version of what starts, and the counter if it is an update's."""
    return prompt.run(_state(prompt) + _NAME).strip()


def start_deployed(prompt: Prompt) -> None:
    """Have the deployed application start, whatever update did before; the anti-rollback counter stays."""
    prompt.run(_state(prompt) + _DEPLOYED)
