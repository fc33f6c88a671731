"""Boards with other parts than the virtual board's, run whole on models of those parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitalwire_protocol.spec import Kind
from vitalwire_tools.codegen.chips import chips
from vitalwire_tools.codegen.scaffold import text
from vitalwire_tools.virtual.compare import compare

from .reader import Recorder

HOLTER = """[spi.1]
sck = 18
mosi = 23
miso = 19
baud = 4000000

[[sensor]]
part = "ads1292r"
spi = 1
select = 22
interrupt = 4
"""


def test_a_board_by_its_interrupts(bench: Callable[..., Any], tmp_path: Path) -> None:
    """A two-lead board whose chip has no FIFO gives both leads, sample for sample, in physical units."""
    described = tmp_path / "holter" / "board.toml"
    described.parent.mkdir()
    described.write_text(text("holter", chips()["esp32"]).partition("[i2c.")[0] + HOLTER)
    running = bench(speed=20.0, board=str(described))
    recorder = Recorder(running.board.url, running.registry, tmp_path)
    recorder.run(lambda frames: sum(frame.kind == Kind.DATA for frame in frames) >= 6)
    frames = recorder.in_order()
    leads = compare([frame.signals for frame in frames], running.board.played())
    assert [(lead.channel, lead.different) for lead in leads] == [("ecg_lead_i", 0), ("ecg_lead_ii", 0)]
    assert all(lead.samples == lead.valid > 1200 for lead in leads), leads
    signal = next(frame.signals["ecg_lead_ii"] for frame in frames if frame.signals)
    assert signal.unit == "mV"
    assert 0.1 < abs(signal.values).max() < 5
    assert not running.board.refused()
