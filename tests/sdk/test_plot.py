"""Pictures on ECG paper: to scale, what is invalid shaded, what is missing missing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.walk import Walk, walk

from vitalwire import plot
from vitalwire.capture import Writer
from vitalwire.errors import TransportError, UsageError
from vitalwire.offline import Reader
from vitalwire.plot import DPI, INCH, LEFT, PAPER_SPEED, RIGHT, TOP, ecg_paper
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Mark

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
MM = DPI / INCH  # pixels


def drawn(made: Walk, **options: float | list[str]) -> NDArray[np.uint8]:
    """Return the picture of a capture, rows x columns x red, green, blue."""
    from matplotlib.image import imread

    target = made.path.with_suffix(".png")
    with made.registry() as registry:
        ecg_paper(Reader(made.path, registry).frames(), target, **options)  # type: ignore[arg-type]
    return (imread(target)[:, :, :3] * 255).astype(np.uint8)


def dark(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where there is ink."""
    found: NDArray[np.bool_] = picture.max(axis=2) < 170
    return found


def captured(path: Path, *, marks: list[tuple[int, int, int, int]] | None = None) -> Walk:
    """Return a capture of 4 s of a square wave of one millivolt, with a beat each second."""
    device = FakeDevice()
    step = np.tile(np.repeat([0, round(1 / float(device.channels[0].scale))], 128), 4)
    with Writer(path) as writer:
        writer.write(device.descriptor())
        for half in (step[:512], step[512:]):
            writer.write(device.data({"ecg_lead_i": half}, marks=marks or ()))
    return Walk(path, device)


def test_paper_is_to_scale(tmp_path: Path) -> None:
    """25 mm are one second and 10 mm one millivolt: measured on the picture of a square wave."""
    picture = drawn(captured(tmp_path / "a.vwc"), seconds=4.0)
    assert picture.shape[1] == pytest.approx((LEFT + 4 * PAPER_SPEED + RIGHT) * MM, abs=2)
    inside = dark(picture)[round(TOP * MM) : -round(15 * MM), round((LEFT + 2) * MM) : round((LEFT + 98) * MM)]
    edges = np.flatnonzero(inside.sum(axis=0) > 8 * MM)
    starts = edges[np.insert(np.diff(edges) > 3, 0, True)]
    assert np.diff(starts) == pytest.approx(12.5 * MM, abs=1.5)
    rows = np.flatnonzero(inside.sum(axis=1) > 20 * MM)
    assert rows.max() - rows.min() == pytest.approx(10 * MM, abs=2)


def test_marks_are_shaded(tmp_path: Path) -> None:
    """Samples under a mark stand on another colour, with a legend; without marks there is none."""
    plain = drawn(captured(tmp_path / "a.vwc"), seconds=4.0)
    marked = drawn(captured(tmp_path / "b.vwc", marks=[(0, int(Mark.LEAD_OFF), 64, 128)]), seconds=4.0)
    row = round((TOP + 2) * MM)
    differ = (plain[row] != marked[row]).any(axis=1)
    where = np.flatnonzero(differ) / MM - LEFT
    assert 2 * 0.5 * PAPER_SPEED * 0.9 < differ.sum() / MM < 2 * 0.5 * PAPER_SPEED * 1.1
    assert where.min() == pytest.approx(0.25 * PAPER_SPEED, abs=0.5)
    assert where.max() == pytest.approx(2.75 * PAPER_SPEED, abs=0.5)


def test_lead_off_does_not_flatten_the_rest(tmp_path: Path) -> None:
    """What a loose electrode shows does not stretch the panel: its height is that of what was measured."""
    device = FakeDevice()
    wave = np.tile(np.repeat([0, 2621], 128), 2)
    loose = wave.copy()
    loose[256:300] = 131071
    for name, samples in (("good", wave), ("loose", loose)):
        with Writer(tmp_path / f"{name}.vwc") as writer:
            writer.write(device.descriptor())
            writer.write(device.data({"ecg_lead_i": samples}, marks=[(0, int(Mark.LEAD_OFF), 256, 44)]))
    heights = {name: drawn(Walk(tmp_path / f"{name}.vwc", device), seconds=2.0).shape[0] for name in ("good", "loose")}
    assert heights["good"] == heights["loose"]


def test_every_stream_has_a_panel(tmp_path: Path) -> None:
    """All channels with samples are drawn, axes of acceleration in one panel; asked for one, only that is."""
    made = walk(tmp_path / "walk.vwc")
    everything, one = drawn(made, seconds=6.0), drawn(made, seconds=6.0, channels=["ppg_ir"])
    assert everything.shape[0] > 2.5 * one.shape[0]
    assert dark(one).any()


def test_a_gap_breaks_the_line(tmp_path: Path) -> None:
    """Where frames are missing, the line is broken and not drawn across."""
    picture = drawn(walk(tmp_path / "walk.vwc"), start=6.0, seconds=8.0, channels=["ecg_lead_i"])
    lost = dark(picture)[round((TOP + 1) * MM) : -round(14 * MM), :]
    gap = lost[:, round((LEFT + 2.1 * PAPER_SPEED) * MM) : round((LEFT + 5.9 * PAPER_SPEED) * MM)]
    assert not gap.any()
    assert lost[:, round((LEFT + 0.1 * PAPER_SPEED) * MM) : round((LEFT + 1.9 * PAPER_SPEED) * MM)].any()


def test_nothing_to_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong channel, a time behind the end, too long a picture, a bad path and a missing library are said."""
    made = captured(tmp_path / "a.vwc")
    with pytest.raises(UsageError, match="no samples of spo2"):
        drawn(made, channels=["spo2"])
    with pytest.raises(UsageError, match="no samples"):
        drawn(made, start=1000.0)
    with pytest.raises(UsageError, match="60 seconds"):
        drawn(made, seconds=61.0)
    with made.registry() as registry, pytest.raises(TransportError, match="cannot write"):
        ecg_paper(Reader(made.path, registry).frames(), tmp_path / "none" / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match="matplotlib") as refused:
        drawn(made)
    assert "vitalwire[plot]" in refused.value.advice
    assert plot.MAX_SECONDS == 60
