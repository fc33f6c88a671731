"""Makes updates of a board's application: the firmware for its chip, signed with the maker's key."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from vitalwire.errors import UsageError
from vitalwire.update import Package, pack

from .codegen import board as boards
from .compile import ARCHITECTURES, compile_firmware

LOADER = "main.mpy"  # what no update replaces


def application(board: boards.Board, version: str) -> dict[str, bytes]:
    """Return the files of an application slot of this board, by path; raises UsageError for an unknown chip."""
    architecture = "x64" if board.name == "virtual" else ARCHITECTURES.get(board.chip)
    if architecture is None:
        raise UsageError(f"nobody knows how to compile for {board.chip}")
    with TemporaryDirectory() as folder:
        code = compile_firmware(
            Path(folder), architecture, {"board.py": boards.render(board) + f"VERSION = {version!r}\n"}
        )
        return {
            str(path.relative_to(code)): path.read_bytes()
            for path in sorted(code.rglob("*.mpy"))
            if path.name != LOADER and path.stat().st_size
        }


def release(board: boards.Board, key: EllipticCurvePrivateKey, version: str, counter: int) -> Package:
    """Return an update of this board to the firmware of this installation, called `version`; raises UsageError."""
    return pack(key, application(board, version), board=board.name, firmware=version, counter=counter)
