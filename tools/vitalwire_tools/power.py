"""How long a board's cell lasts, and what each choice costs: sums over data, nothing is measured or read from a board.

The board says its cell and regulator, the chip and the drivers what their data sheets give, `SHARES` how busy the
processor was in a benchmark. Regulators are taken as linear, so that the cell gives what the parts take. Displays,
lamps and bridges of a board are not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vitalwire_protocol import spec

from .codegen.board import Board
from .codegen.chips import chips
from .codegen.parts import driver
from .folders import SHARES


class PowerError(ValueError):
    """A figure is missing, or a choice is none; the message says which and what would do."""


@dataclass(frozen=True, slots=True)
class Radio:
    """Assumptions about a link: the part of the time that it listens, and the bits a second of air time.

    A batch costs `joins_s` seconds of listening until it ends, besides what it sends, and `shakes_s` of the processor.
    """

    listens: float
    bits_per_s: float
    joins_s: float
    shakes_s: float


# None: no radio. Assumed for Wi-Fi: 5 ms at each beacon of 102.4 ms (DTIM 1, power save), 6 Mbit/s, the lowest rate of
# 802.11g. For BLE: 1 ms every 50 ms, 1 Mbit/s of which 244 in 265 bytes are ours. Repetitions: none; connecting where
# the radio is not always on only.
# A batch over Wi-Fi: 1.6 s to look through 13 channels and 0.7 s to associate (measured by users of an ESP32 on
# Espressif's forum: 120 ms a channel, 600 to 700 ms), 0.7 s for an address; 1 s for a handshake, 0.8 s of which the
# processor works (firmware/links/README.md); 1 s for commands; all the while no power save. Over BLE: 5 s until a
# gateway looks again (half of its longest pause), 1 s to connect and encrypt, 1 s for commands; advertisements on three
# channels take 5 of each 100 ms.
LINKS: dict[str, Radio | None] = {
    "idle": None,
    "serial": None,
    "ble": Radio(1 / 50, 1e6 * 244 / 265, 7.0 * 5 / 100, 0.0),
    "wifi": Radio(5 / 102.4, 6e6, 5.0, 0.8),
}


# (on_s, every_s) that `costs` compares with.
CYCLES = ((0, 0), (30, 60), (10, 60), (30, 600))
BATCHES = (0, 60, 300, 1800)  # s; the same


@dataclass(frozen=True, slots=True)
class Work:
    """One run of the benchmark: the processor's share without the link, the link's to a reader, bytes a second."""

    share: float
    link: float
    bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Shares:
    """What was measured, with its date (ISO 8601), of which chip, by (policy, frame length in ms)."""

    date: str
    chip: str
    rows: dict[tuple[str, int], Work]


@dataclass(frozen=True, slots=True)
class Choice:
    """How a board is run: policy, frame length in ms, link, the parts that are off.

    Its sensors are on for `on_s` of every `every_s` seconds; both 0: always. Its radio, if it has one, is on once in
    `batch_s` seconds, the firmware's setting; 0: always.
    """

    policy: str = "sign"
    frame_ms: int = 2000
    link: str = "serial"
    off: frozenset[str] = frozenset()
    on_s: int = 0
    every_s: int = 0
    batch_s: int = 0

    @property
    def duty(self) -> float:
        """The part of the time that the sensors are on."""
        return self.on_s / self.every_s if self.every_s else 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One consumer: the part of the time it is on, what it then takes in mA, its share of the whole."""

    part: str
    duty: float
    ma: float
    share: float


@dataclass(frozen=True, slots=True)
class Budget:
    """The rows, their sum in mA, and the hours that the cell lasts."""

    rows: tuple[Row, ...]
    ma: float
    hours: float


@dataclass(frozen=True, slots=True)
class Cost:
    """One other choice: what is changed, to what, the hours then, and how many more (or, negative, fewer) those are."""

    what: str
    to: str
    hours: float
    more: float


def shares(path: Path = SHARES) -> Shares:
    """Return what `vitalwire bench shares` wrote; raises PowerError if there is none or it is something else."""
    try:
        found = json.loads(path.read_text())
        rows = {
            (row["policy"], row["frame_ms"]): Work(row["share"], row["link"], row["bytes_per_s"])
            for row in found["rows"]
        }
        return Shares(found["date"], found["chip"], rows)
    except (OSError, ValueError, KeyError, TypeError):
        raise PowerError(f"{path} holds no measured shares; `vitalwire bench shares` writes them") from None


def budget(board: Board, choice: Choice, measured: Shares, cell_mah: int = 0) -> Budget:
    """Return what a board takes; `cell_mah` in place of its own cell. Raises PowerError for what is not known."""
    cell = cell_mah or board.power.cell_mah
    if not cell:
        raise PowerError(f"{board.name} says no cell: give one, by `--cell MAH` or [power] cell_mah in board.toml")
    found = list(_consumers(board, choice, measured))
    total = sum(duty * ma for _, duty, ma in found)
    return Budget(tuple(Row(part, duty, ma, duty * ma / total) for part, duty, ma in found), total, cell / total)


def costs(board: Board, choice: Choice, measured: Shares, cell_mah: int = 0) -> tuple[Cost, ...]:
    """Return every choice that differs in one thing from this one, with what it costs; raises as `budget` does."""
    now = budget(board, choice, measured, cell_mah).hours
    found = []
    for what, to, other in _others(board, choice, measured):
        hours = budget(board, other, measured, cell_mah).hours
        found.append(Cost(what, to, hours, hours - now))
    return tuple(found)


def _consumers(board: Board, choice: Choice, measured: Shares) -> Iterator[tuple[str, float, float]]:
    """Yield (part, duty, mA)."""
    chip = chips()[board.chip]
    work = _work(choice, measured)
    for part in sorted(choice.off):
        if part not in {sensor.part for sensor in board.sensors}:
            raise PowerError(f"{board.name} has no {part!r}; it has {', '.join(s.part for s in board.sensors)}")
    if choice.link not in LINKS:
        raise PowerError(f"no link {choice.link!r}; there are {', '.join(LINKS)}")
    if not spec.cycle(choice.on_s, choice.every_s):
        raise PowerError(f"{choice.on_s} s of {choice.every_s} s is no cycle: on is shorter than every, or both are 0")
    radio = LINKS[choice.link]
    if choice.batch_s and not radio:
        raise PowerError(f"{choice.link} is not over the air: only a radio can be off from one batch to the next")
    # In a pause nothing is to be framed, and the processor sleeps unless a link needs it.
    on = choice.duty
    asleep = 1 - on if choice.link == "idle" else 0.0
    busy = on * (work.share + (work.link if choice.link != "idle" else 0.0))
    batch = max(choice.batch_s, radio.joins_s) if radio and choice.batch_s else 0.0
    if radio and batch:
        busy = min(1.0, busy + radio.shakes_s / batch)
    yield f"{chip.name}, idle", 1 - busy - asleep, chip.idle_ua / 1000
    yield f"{chip.name}, busy", busy, chip.busy_ua / 1000
    if asleep:
        yield f"{chip.name}, asleep", asleep, chip.light_sleep_ua / 1000
    if radio:
        if choice.link not in chip.radio_ua:
            raise PowerError(f"what {chip.name} takes for {choice.link!r} is not known; boards/chips.toml gives none")
        listening, sending = chip.radio_ua[choice.link]
        # The data sheet's figures hold the idle processor, which has its own row.
        listens = radio.joins_s / batch if batch else radio.listens
        yield f"{choice.link}, listening", listens, (listening - chip.idle_ua) / 1000
        yield f"{choice.link}, sending", on * 8 * work.bytes_per_s / radio.bits_per_s, (sending - chip.idle_ua) / 1000
    for sensor in board.sensors:
        runs = 0.0 if sensor.part in choice.off else on
        supply, shutdown = _currents(sensor.part)
        if runs:
            yield sensor.part, runs, supply / 1000
        if runs < 1:
            yield f"{sensor.part}, off", 1 - runs, shutdown / 1000
    if board.power.regulator_ua:
        yield board.power.regulator or "regulator", 1.0, board.power.regulator_ua / 1000


def _work(choice: Choice, measured: Shares) -> Work:
    lengths = sorted(frame_ms for policy, frame_ms in measured.rows if policy == choice.policy)
    if not lengths:
        policies = dict.fromkeys(policy for policy, _ in measured.rows)
        raise PowerError(f"no policy {choice.policy!r} was measured; {', '.join(policies)} were")
    if choice.frame_ms not in lengths:
        raise PowerError(f"no frame of {choice.frame_ms} ms was measured; {', '.join(map(str, lengths))} were")
    return measured.rows[choice.policy, choice.frame_ms]


def _currents(part: str) -> tuple[int, int]:
    """Return what it takes on and off, in uA; without `_SHUTDOWN_UA` being off saves nothing."""
    known = driver(part)
    supply = known.get("_SUPPLY_UA")
    if not isinstance(supply, int):
        raise PowerError(f"what {part} takes is not known: firmware/sensors/{part}.py gives no _SUPPLY_UA")
    shutdown = known.get("_SHUTDOWN_UA", supply)
    assert isinstance(shutdown, int)
    return supply, shutdown


def _others(board: Board, choice: Choice, measured: Shares) -> Iterator[tuple[str, str, Choice]]:
    for policy, frame_ms in measured.rows:
        if frame_ms == choice.frame_ms and policy != choice.policy:
            yield "policy", policy, replace(choice, policy=policy)
    for policy, frame_ms in measured.rows:
        if policy == choice.policy and frame_ms != choice.frame_ms:
            yield "frame", f"{frame_ms} ms", replace(choice, frame_ms=frame_ms)
    for link, radio in LINKS.items():
        if link != choice.link and (radio is None or link in chips()[board.chip].radio_ua):
            other = replace(choice, link=link, batch_s=choice.batch_s if radio else 0)
            yield "link", link + (" (estimate)" if radio else ""), other
    if LINKS[choice.link]:
        for batch_s in BATCHES:
            if batch_s != choice.batch_s:
                to = f"on every {batch_s} s (estimate)" if batch_s else "always on (estimate)"
                yield "radio", to, replace(choice, batch_s=batch_s)
    for on_s, every_s in CYCLES:
        if (on_s, every_s) != (choice.on_s, choice.every_s):
            to = f"{on_s} s of {every_s} s" if every_s else "always on"
            yield "sensors", to, replace(choice, on_s=on_s, every_s=every_s)
    for part in dict.fromkeys(sensor.part for sensor in board.sensors):
        yield "sensor", f"{part} {'on' if part in choice.off else 'off'}", replace(choice, off=choice.off ^ {part})
