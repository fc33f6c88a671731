"""A device with a journal, and series of its lives."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.firmware.journal.device import Device

HERE = Path(__file__).resolve().parents[1]
FIRMWARE = HERE.parents[1] / "firmware"


@pytest.fixture
def device(micropython: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> Device:
    """Run statements on the device beside `journal_mp`; `path` is a blank chip of 8 sectors, `put` prints a line."""
    prelude = "import sys\nfrom journal_mp import *\npath = sys.argv[1]\nput = print\nblank(path, 8)\n"
    modules = Path(f"{FIRMWARE}:{HERE}")

    def run(body: str, *arguments: object) -> str:
        return micropython(
            prelude + body, str(tmp_path / "flash"), *map(str, arguments), heap="32m", path=modules
        ).stdout

    return run
