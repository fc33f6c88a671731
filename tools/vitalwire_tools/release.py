"""Makes updates of a board: its application, or all of its chip's program; signed with the maker's key."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from vitalwire.update import Package, pack
from vitalwire_protocol.spec import UpdateKind

from .codegen.board import Board
from .codegen.chips import chips
from .image.device import firmware
from .image.stock import check_app

LOADER = "main.mpy"  # what no update replaces


def application(board: Board, version: str) -> dict[str, bytes]:
    """Return the files of an application slot of this board, by path."""
    kind = ("x64", "virtual") if board.name == "virtual" else (chips()[board.chip].arch, "esp32")
    files = firmware(board, *kind, called=version)
    return {path: content for path, content in sorted(files.items()) if content and path != LOADER}


def release(board: Board, key: EllipticCurvePrivateKey, version: str, counter: int) -> Package:
    """Return an update of this board to the firmware of this installation, called `version`; raises UsageError."""
    return pack(key, application(board, version), board=board.name, firmware=version, counter=counter)


def whole(board: Board, key: EllipticCurvePrivateKey, image: bytes, version: str, counter: int) -> Package:
    """Return an update of this board's MicroPython to an .app-bin; InputError for another chip's or none."""
    check_app(image, chips()[board.chip])
    return pack(key, {"image": image}, board=board.name, firmware=version, counter=counter, kind=UpdateKind.IMAGE)
