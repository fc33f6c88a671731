"""A stretch of a recording as a picture in the style of ECG paper: 25 mm/s, 10 mm/mV; no data is changed or smoothed.

Needs the extra `vitalwire[plot]`. Samples that are no measurements are shaded in their mark's colour, missing
ones leave the line broken.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitalwire import wholefile
from vitalwire.client import VerifiedFrame
from vitalwire.errors import InputError, TransportError, UsageError
from vitalwire.messages import Channel
from vitalwire_protocol.spec import Mark

PAPER_SPEED = 25.0  # mm a second
PAPER_GAIN = 10.0  # mm a millivolt
SMALL, LARGE = 1.0, 5.0  # mm of the paper's squares
STRIP = 25.0  # mm, height of a panel that is no ECG
LEAST, MOST = 20.0, 60.0  # mm, height of an ECG's panel
LEFT, RIGHT, TOP, GAP, BOTTOM = 22.0, 14.0, 12.0, 4.0, 10.0  # mm around and between the panels
INCH = 25.4
DPI = 120
MAX_SECONDS = 60.0

PAPER, FINE, COARSE, INK = "#fff8f5", "#f7d9d2", "#eaa79b", "#1b1b1b"
COLOURS = {"red": "#b3261e", "ir": "#5b2a86", "x": "#1f5fa8", "y": "#20753a", "z": "#a85f00"}
MARKS: dict[int, tuple[str, str]] = {
    Mark.LEAD_OFF: ("#f0b429", "lead off"),
    Mark.SATURATED: ("#d64545", "saturated"),
    Mark.LOST: ("#829ab1", "lost"),
    Mark.ESTIMATED: ("#486581", "lost, number estimated"),
}
OTHER_MARK = ("#9c6ade", "not valid")


@dataclass(slots=True)
class _Trace:
    """One channel: times in seconds from the picture's left edge, values, and where what marks lie."""

    channel: Channel
    time: list[NDArray[np.float64]] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    valid: list[NDArray[np.bool_]] = field(default_factory=list)
    marks: list[tuple[float, float, int]] = field(default_factory=list)


def ecg_paper(
    frames: Iterable[VerifiedFrame],
    path: str | PathLike[str],
    *,
    start: float = 0.0,
    seconds: float = 10.0,
    channels: Sequence[str] = (),
) -> None:
    """Write a PNG of `seconds` of one device's signals from `start` seconds after the first sample on.

    `frames` come in order; reading them stops with the first one behind the picture. `channels` names those to show,
    all with samples otherwise. Raises UsageError if there is nothing to show or matplotlib is not installed.
    """
    if not (0 < seconds <= MAX_SECONDS and start >= 0):
        raise UsageError(f"a picture shows up to {MAX_SECONDS:g} seconds, from 0 on")
    figure_of = _matplotlib()
    traces, title = _gather(frames, start, seconds, channels)
    panels = list(_panels(traces))
    if not panels:
        wanted = ", ".join(channels) or "any channel"
        raise UsageError(f"there are no samples of {wanted} in these {seconds:g} seconds")
    heights = [_height(panel) for panel in panels]
    width = LEFT + seconds * PAPER_SPEED + RIGHT
    height = TOP + sum(heights) + GAP * (len(panels) - 1) + BOTTOM
    figure = figure_of(figsize=(width / INCH, height / INCH), dpi=DPI, facecolor="white")
    top = TOP
    for panel, tall in zip(panels, heights, strict=True):
        box = (LEFT / width, 1 - (top + tall) / height, seconds * PAPER_SPEED / width, tall / height)
        _draw(figure.add_axes(box), panel, seconds, tall, last=panel is panels[-1])
        top += tall + GAP
    figure.text(LEFT / width, 1 - 4 / height, title, va="top", fontsize=8, color=INK)
    scale = "25 mm/s" + "   10 mm/mV" * any(_is_ecg(panel) for panel in panels)
    figure.text(1 - RIGHT / width, 1 - 4 / height, scale, va="top", ha="right", fontsize=8, color=INK)
    _legend(figure, panels, width, height)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": "vitalwire"})
    try:
        wholefile.write(Path(path), drawn.getvalue())
    except OSError as error:
        raise TransportError(f"cannot write {path}: {error.strerror}") from None


def _matplotlib() -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("plots need matplotlib", advice='pip install "vitalwire[plot]"') from None

    def make(**options: Any) -> Any:
        figure = Figure(**options)
        FigureCanvasAgg(figure)
        return figure

    return make


# ---------------------------------------------------------------- samples


def _gather(
    frames: Iterable[VerifiedFrame], start: float, seconds: float, channels: Sequence[str]
) -> tuple[list[_Trace], str]:
    """Return what lies in the picture by channel, and its title. A reboot goes on where the one before ended."""
    traces: dict[str, _Trace] = {}
    origin, boot, latest = math.nan, 0, 0.0
    title = ""
    for frame in frames:
        try:
            signals = {name: signal for name, signal in frame.signals.items() if signal.at is None}
        except InputError:
            continue  # its samples are missing in the picture, as they are in the recording
        if not signals:
            continue
        elapsed = {name: frame.times[_stream(signal.channel)].elapsed for name, signal in signals.items()}
        first = min(float(times[0]) for times in elapsed.values())
        if frame.boot != boot:
            origin, boot = first - latest if boot else first, frame.boot
        if first - origin > start + seconds:
            break
        for name, signal in signals.items():
            time = elapsed[name] - origin - start
            latest = max(latest, float(time[-1]) + start)
            inside = (time >= 0) & (time <= seconds)
            if (channels and name not in channels) or not inside.any():
                continue
            title = title or _title(frame, start, first - origin)
            trace = traces.setdefault(name, _Trace(signal.channel))
            trace.time.append(time[inside])
            trace.values.append(signal.values[inside])
            trace.valid.append(signal.valid[inside])
            for run in signal.marks:
                trace.marks.append((float(time[run.start]), float(time[run.start + run.length - 1]), int(run.mark)))
    return list(traces.values()), title


def _stream(channel: Channel) -> int:
    return -1 if channel.stream is None else channel.stream


def _title(frame: VerifiedFrame, start: float, offset: float) -> str:
    parts = [frame.name or frame.descriptor.device, f"{start:g} s after the first sample"]
    if not math.isnan(frame.time):
        first = min(float(signal.time[0]) for signal in frame.signals.values() if signal.time is not None)
        moment = datetime.fromtimestamp(first + start - offset, UTC)
        parts.append(f"{moment:%Y-%m-%d %H:%M:%S} UTC")
    return "   ".join(parts)


# ---------------------------------------------------------------- panels


def _panels(traces: Iterable[_Trace]) -> Iterator[list[_Trace]]:
    """Yield the traces by panel: the axes of one accelerometer share one, everything else stands alone."""
    shared: dict[tuple[int, str], list[_Trace]] = {}
    for trace in sorted(traces, key=lambda trace: trace.channel.id):
        key = (_stream(trace.channel), trace.channel.unit)
        if trace.channel.unit == "m/s2":
            shared.setdefault(key, []).append(trace)
        else:
            shared[(-2 - trace.channel.id, "")] = [trace]
    yield from shared.values()


def _is_ecg(panel: Sequence[_Trace]) -> bool:
    return panel[0].channel.name.startswith("ecg")


def _range(panel: Sequence[_Trace]) -> tuple[float, float]:
    values = np.concatenate([each for trace in panel for each in trace.values])
    valid = np.concatenate([each for trace in panel for each in trace.valid])
    measured = values[valid] if valid.any() else values  # what a loose electrode shows need not fit on the paper
    return float(measured.min()), float(measured.max())


def _height(panel: Sequence[_Trace]) -> float:
    """Return a panel's height in mm: of an ECG so that 10 mm are 1 mV, in whole large squares."""
    if not _is_ecg(panel):
        return STRIP
    low, high = _range(panel)
    needed = (high - low) * PAPER_GAIN + 2 * LARGE
    return min(MOST, max(LEAST, math.ceil(needed / LARGE) * LARGE))


def _limits(panel: Sequence[_Trace], height: float) -> tuple[float, float]:
    low, high = _range(panel)
    if _is_ecg(panel):
        middle = round((low + high) / 2 * PAPER_GAIN / LARGE) * LARGE / PAPER_GAIN
        return middle - height / 2 / PAPER_GAIN, middle + height / 2 / PAPER_GAIN
    room = 0.08 * (high - low) or 4 * float(panel[0].channel.scale)
    return low - room, high + room


def _draw(axes: Any, panel: Sequence[_Trace], seconds: float, height: float, *, last: bool) -> None:
    axes.set_facecolor(PAPER)
    axes.set_xlim(0, seconds)
    low, high = _limits(panel, height)
    axes.set_ylim(low, high)
    _grid(axes, seconds, height, low, high)
    for trace in panel:
        name = trace.channel.name
        colour = COLOURS.get(name.rsplit("_", 1)[-1], INK)
        time, values = _broken(trace)
        dots = {"marker": ".", "markersize": 3} if _sparse(trace) else {}
        axes.plot(time, values, color=colour, linewidth=0.7, label=name, solid_joinstyle="round", zorder=3, **dots)
        for begin, end, mark in trace.marks:
            colour, _ = MARKS.get(mark, OTHER_MARK)
            period = 1 / float(trace.channel.rate or 1)
            axes.axvspan(begin - period / 2, end + period / 2, color=colour, alpha=0.35, linewidth=0, zorder=2)
    for side in axes.spines.values():
        side.set_color(COARSE)
        side.set_linewidth(0.6)
    axes.tick_params(axis="both", labelsize=6, length=0, colors=INK)
    if _is_ecg(panel):
        axes.set_yticks(_millivolts(low, high))
    else:
        axes.locator_params(axis="y", nbins=4)
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    axes.set_ylabel(_label(panel), fontsize=6.5, color=INK)
    axes.set_xticks(np.arange(0, seconds + 1e-9, 1.0))
    axes.tick_params(axis="x", labelbottom=last)
    if last:
        axes.set_xlabel("seconds", fontsize=6.5, color=INK)
    if len(panel) > 1:
        axes.legend(loc="upper right", fontsize=5.5, frameon=False, ncols=len(panel), borderaxespad=0.1)


def _grid(axes: Any, seconds: float, height: float, low: float, high: float) -> None:
    """Draw the squares: 1 mm and 5 mm on paper, whatever the panel's unit."""
    per_mm = (high - low) / height
    for step, colour, width in ((SMALL, FINE, 0.3), (LARGE, COARSE, 0.5)):
        xs = np.arange(0, seconds + 1e-9, step / PAPER_SPEED)
        ys = np.arange(low, high + per_mm * 1e-6, step * per_mm)
        axes.vlines(xs, low, high, colors=colour, linewidth=width, zorder=1)
        axes.hlines(ys, 0, seconds, colors=colour, linewidth=width, zorder=1)


def _millivolts(low: float, high: float) -> NDArray[np.float64]:
    return np.arange(math.ceil(low * 2) / 2, high + 1e-9, 0.5)


def _label(panel: Sequence[_Trace]) -> str:
    name = panel[0].channel.name if len(panel) == 1 else panel[0].channel.name.rsplit("_", 1)[0]
    unit = panel[0].channel.unit
    return name.replace("_", " ") + ("" if unit == "1" else f"\n{unit}")


def _sparse(trace: _Trace) -> bool:
    return float(trace.channel.rate or 1) <= 4


def _broken(trace: _Trace) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the line, broken by NaN where samples are missing."""
    time, values = np.concatenate(trace.time), np.concatenate(trace.values)
    holes = np.flatnonzero(np.diff(time) > 3 / float(trace.channel.rate or 1)) + 1
    return np.insert(time, holes, np.nan), np.insert(values, holes, np.nan)


def _legend(figure: Any, panels: Sequence[Sequence[_Trace]], width: float, height: float) -> None:
    shown = sorted({mark for panel in panels for trace in panel for _, _, mark in trace.marks})
    for place, mark in enumerate(shown):
        colour, text = MARKS.get(mark, OTHER_MARK)
        x = (LEFT + 45 * place) / width
        figure.text(x, 3 / height, f"■ {text}", fontsize=7, color=colour, va="bottom")
