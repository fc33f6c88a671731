"""`board doctor` on boards that connect out: whether they reach whom they are to reach, and if not, what keeps them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.papers import Authority

from vitalwire.cli import main

from .ward import NOWHERE, Ward


def found(ward: Ward, capsys: pytest.CaptureFixture[str]) -> tuple[bool | None, str]:
    """Return what the doctor says of a board's link to the ward's gateway."""
    board = ward.board([f"tls://localhost:{ward.port}", "serial"], speed=1.0)
    main(["board", "doctor", board.port, "--json"])
    said = {each["check"]: (each["ok"], each["words"]) for each in json.loads(capsys.readouterr().out)}
    assert said["link"][0], said  # the serial one; and it records on
    ok, words = said[f"link tls://localhost:{ward.port}"]
    return ok, words


@pytest.mark.asyncio
async def test_a_board_that_reaches_its_gateway(ward: Ward, capsys: pytest.CaptureFixture[str]) -> None:
    """All is well; the gateway meets nobody else's board, and the doctor leaves it recording."""
    ward.site.configure(ward.listen(), NOWHERE)
    async with ward.site.running():
        ok, words = await asyncio.to_thread(found, ward, capsys)
    assert (ok, words) == (True, "connected, each side proven")


@pytest.mark.asyncio
async def test_a_gateway_of_another_authority(ward: Ward, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A gateway that the board does not believe is not reached, and the reason is the handshake's."""
    other = Authority(tmp_path / "other", "another authority")
    ward.site.configure(ward.listen(other.server()), NOWHERE)
    async with ward.site.running():
        ok, words = await asyncio.to_thread(found, ward, capsys)
    assert ok is False
    assert "not connected: localhost" in words
