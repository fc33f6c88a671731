"""Draws a board's wiring as SVG: headers in their order, sensors, one coloured line a net. Same board, same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from .board import LINES, Board, Sensor
from .chips import chips

ROW, LANE, PAD = 22, 12, 30  # pixels
BOARD_WIDTH, SENSOR_WIDTH, CHARACTER = 230, 220, 7.3
COLOURS = (
    *("#c0392b", "#2471a3", "#1e8449", "#b9770e", "#7d3c98", "#117a65", "#a04000", "#2e4053", "#d81b60", "#5d6d7e"),
    *("#00838f", "#6d4c41"),
)
LABELS = {"interrupt": "INT", "adc": "OUTPUT", "plus": "LO+", "minus": "LO-"}  # of a sensor's own pins
STYLE = (
    "text{font:12px monospace;fill:#222}.t{font-weight:bold;font-size:14px}.s{fill:#777}.u{font-weight:bold}"
    "path{fill:none;stroke-width:2}rect{fill:#fff;stroke:#444;stroke-width:1.5}"
)


def _lines(board: Board, sensor: Sensor) -> Iterator[tuple[str, int, str]]:
    """Yield a sensor's pins: (label, GPIO or -1, net that joins it with others)."""
    if sensor.kind in LINES:
        for (line, _), pin in zip(LINES[sensor.kind], board.buses[sensor.kind, sensor.bus][1:], strict=True):
            yield line.upper(), pin, f"{sensor.kind}.{sensor.bus} {line}"
    for key, _, pin in sensor.pins():
        yield LABELS.get(key, key.upper()), pin, ""
    yield "VCC", -1, "3V3"
    yield "GND", -1, "GND"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    shown = f' class="{kind}"' if kind else ""
    turned = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:g}" y="{y:g}"{shown}{turned}>{escape(text)}</text>'


def _title(sensor: Sensor) -> str:
    return sensor.part.upper() + (f"  0x{sensor.select:02X}" if sensor.kind == "i2c" else "")


def render(board: Board) -> str:
    """Return the diagram of a board, as text."""
    nets = sorted({pin for s in board.sensors for _, pin, _ in _lines(board, s) if pin >= 0})
    colour = {pin: COLOURS[number % len(COLOURS)] for number, pin in enumerate(nets)}
    strapping = chips()[board.chip].strapping
    pins = [pin for entries in board.headers.values() for _, pin in entries]
    left_nets = [pin for pin in nets if pin in {p for _, p in board.headers["left"]}]
    left = PAD + LANE * (len(left_nets) + 1)
    right = left + BOARD_WIDTH
    first_lane = right + LANE * 2
    sensors_at = first_lane + LANE * (len(nets) + 1)
    top = PAD + ROW * 2
    bottom = top + ROW * (max(len(entries) for entries in board.headers.values()) + 1)
    out: list[str] = []
    start: dict[int, tuple[float, float]] = {}
    out.append(f'<rect x="{left}" y="{top}" width="{BOARD_WIDTH}" height="{bottom - top}" rx="8"/>')
    for side, entries in board.headers.items():
        for number, (label, pin) in enumerate(entries):
            y = top + ROW * (number + 1)
            x, anchor = (left + 8, "start") if side == "left" else (right - 8, "end")
            name = label if pin < 0 or label == str(pin) else f"{label} ({pin})"
            name += "*" if pin in strapping else ""
            out.append(_text(x, y + 4, name, "u" if pin in colour or label in {"3V3", "GND"} else "s", anchor))
            if pin in colour:
                start[pin] = (left if side == "left" else right, y)
    y = top + ROW / 2  # so that no pin's line runs along a sensor's
    ends: dict[int, list[float]] = {pin: [] for pin in nets}
    for sensor in board.sensors:
        lines = list(_lines(board, sensor))
        height = ROW * (len(lines) + 1)
        out.append(f'<rect x="{sensors_at}" y="{y:g}" width="{SENSOR_WIDTH}" height="{height}" rx="4"/>')
        out.append(_text(sensors_at + SENSOR_WIDTH - 8, y + 18, _title(sensor), "u", "end"))
        for number, (label, pin, net) in enumerate(lines):
            row = y + ROW * (number + 1)
            shown, kind = (label, "") if pin >= 0 else (f"{label} - {net}", "s")
            out.append(_text(sensors_at + 8, row + 4, shown, kind))
            if pin >= 0:
                ends[pin].append(row)
        y += height + ROW
    for number, pin in enumerate(nets):
        lane = first_lane + LANE * number
        x, from_y = start[pin]
        path = f"M{x:g} {from_y:g}"
        if pin in left_nets:
            place = left_nets.index(pin)
            under = bottom + LANE * (place + 1)
            path += f"H{left - LANE * (place + 1):g}V{under:g}"
            from_y = under
        path += f"H{lane:g}"
        for row in ends[pin]:
            path += f"M{lane:g} {from_y:g}V{row:g}H{sensors_at:g}"
        out.append(f'<path d="{path}" stroke="{colour[pin]}"/>')
        if len(ends[pin]) > 1:
            out += [f'<circle cx="{lane:g}" cy="{row:g}" r="3.5" fill="{colour[pin]}"/>' for row in ends[pin]]
    below = max(bottom + LANE * (len(left_nets) + 1), y)
    notes = ["* strapping: read at reset, so nothing may drive it then"] if strapping & set(pins) else []
    if board.battery:
        a = board.battery
        notes.append(f"battery: GPIO {a.adc} measures the cell * {a.denominator} / {a.numerator}")
    notes.append("VCC: 3.3 V on common breakouts; see each part's data sheet for the bare chip")
    for number, note in enumerate(notes):
        out.append(_text(PAD, below + ROW * (number + 1), note, "s"))
    width = max(sensors_at + SENSOR_WIDTH + PAD, PAD + CHARACTER * max(len(note) for note in notes) + PAD)
    height_all = below + ROW * (len(notes) + 1)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height_all:g}" width="{width:g}">'
    title = _text(PAD, PAD + 4, f"{board.title} ({board.chip})", "t")
    back = f'<path d="M0 0H{width:g}V{height_all:g}H0Z" style="fill:#fff"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", back, title, *out, "</svg>", ""])
