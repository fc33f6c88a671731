"""Brings a running board's firmware up to date over its serial port, in place of an update's. All else stays."""

from __future__ import annotations

from collections.abc import Callable

from vitalwire.errors import UsageError

from .application import start_deployed
from .codegen.board import Board
from .codegen.chips import chips
from .image.device import STARTER, firmware
from .prompt import Prompt

_BOARD = "try:\n import board\n print(board.NAME)\nexcept ImportError: pass"
_JOURNAL = "import esp32\nprint(len(esp32.Partition.find(esp32.Partition.TYPE_DATA, label='journal')))"


def deploy(
    prompt: Prompt, find: Callable[[str], Board], name: str = "", step: Callable[[float, float], None] | None = None
) -> Board:
    """Compile the firmware for the board at the prompt, put it there, and return which board it is.

    `name` says which board it is where no firmware does; `find` knows boards by name. Raises UsageError for a board of
    another processor or without a journal partition.
    """
    there = prompt.run(_BOARD).strip()
    if not there and not name:
        raise UsageError("this board has no vitalwire yet", advice="say which board it is with --board")
    board = find(name or there)
    if prompt.virtual and board.name != "virtual":
        raise UsageError(f"{board.name} is made of copper, the board on {prompt.port} is not")
    wanted = "x64" if prompt.virtual else chips()[board.chip].arch
    if wanted != prompt.architecture:
        raise UsageError(f"{board.name} runs {wanted} code, the board on {prompt.port} {prompt.architecture or 'none'}")
    if not prompt.virtual and prompt.run(_JOURNAL).strip() == "0":
        raise UsageError("this board's flash has no journal partition", advice="flash an image of `board image` first")
    files = firmware(board, wanted, "virtual" if prompt.virtual else "esp32")
    total = sum(len(content) for content in files.values())
    prompt.install(files, lambda done: step(done, total) if step else None)
    if not prompt.virtual:
        prompt.write("main.py", STARTER.encode())
    start_deployed(prompt)
    return board
