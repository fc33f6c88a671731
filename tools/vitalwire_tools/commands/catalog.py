"""`vitalwire board list` and `new`: the boards there are, and the first file of one more. Thin wrappers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitalwire.cli import output
from vitalwire.errors import UsageError

from ..codegen import listing, scaffold
from ..codegen.board import Board, BoardError
from ..codegen.boardfile import boards, load
from ..folders import BOARDS


def find(text: str) -> Board:
    """Return the board of this name, or of this file or folder; raises UsageError for one that is not or is wrong."""
    return locate(text)[0]


def locate(text: str) -> tuple[Board, Path]:
    """Return as `find` does, and the board.toml."""
    given = Path(text)
    path = given / "board.toml" if given.is_dir() else given
    if not path.is_file():
        path = BOARDS / text / "board.toml"
    try:
        return load(path), path
    except BoardError as error:
        raise UsageError(str(error)) from None
    except OSError:
        raise UsageError(f"no board {text!r}", advice="`vitalwire board list` shows those there are") from None


def show(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """List the boards that come with vitalwire."""
    rows = [listing.row(board) for board in boards()]
    if as_json:
        output.show_json(rows)
        return
    table = output.plain("", *listing.HEAD[:-1])
    for row in rows:
        table.add_row(*(row[column] for column in listing.HEAD[:-1]))
    output.show(table)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="vendor_board, of letters, digits and _.")],
    chip: Annotated[str, typer.Option(metavar="CHIP", help="esp32, esp32s3 or esp32c3.")],
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where boards are kept.")] = Path("boards"),
) -> None:
    """Write the first board.toml of a new board, to be changed to what the board has."""
    try:
        path = scaffold.create(folder, name, chip)
    except BoardError as error:
        raise UsageError(str(error)) from None
    except FileExistsError:
        raise UsageError(f"{folder / name / 'board.toml'} is there already") from None
    output.say(f"wrote {path}: change it to what the board has; other commands take {path.parent} for its name")
