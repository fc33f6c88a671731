"""The boards there are, as rows: for the table of `boards/README.md` and for `vitalwire board list`."""

from __future__ import annotations

import re

from .board import Board
from .boardfile import boards

MARKER = re.compile(r"(<!-- generated: boards -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = ("board", "name", "chip", "flash", "sensors", "wiring")


def row(board: Board) -> dict[str, str]:
    """Return what a person wants to know of a board, by column of HEAD."""
    return {
        "board": board.title,
        "name": board.name,
        "chip": board.chip,
        "flash": f"{board.flash >> 20} MB",
        "sensors": ", ".join(sensor.part.upper() for sensor in board.sensors) or "none",
        "wiring": f"{board.name}/wiring.svg",
    }


def render(text: str) -> str:
    """Return boards/README.md with its table written anew."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for board in boards():
        found = row(board)
        found |= {"name": f"`{found['name']}`", "wiring": f"[diagram]({found['wiring']})"}
        lines.append("| " + " | ".join(found[column] for column in HEAD) + " |")
    return MARKER.sub(lambda match: f"{match[1]}\n" + "\n".join(lines) + f"\n\n{match[2]}", text)
