"""`vitalwire board power`: how long a board's cell lasts, and what each choice costs. A thin wrapper of `..power`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from vitalwire.cli import output
from vitalwire.errors import UsageError

from .. import power as reckoning
from .catalog import find


def power(
    board: Annotated[str, typer.Argument(metavar="BOARD", help="Its name, or the folder of its board.toml.")],
    policy: Annotated[str, typer.Option(metavar="sign|seal|private", help="How frames are protected.")] = "sign",
    frame_ms: Annotated[int, typer.Option(metavar="MS", help="How long a frame is.")] = 2000,
    link: Annotated[
        str, typer.Option(metavar="|".join(reckoning.LINKS), help="To a reader; idle: none is there.")
    ] = "serial",
    off: Annotated[list[str] | None, typer.Option(metavar="PART", help="A sensor to be off; may be repeated.")] = None,
    on: Annotated[int, typer.Option(metavar="S", min=0, help="Seconds the sensors are on, of --every.")] = 0,
    every: Annotated[
        int, typer.Option(metavar="S", min=0, help="Seconds from one start of the sensors to the next; 0: always on.")
    ] = 0,
    batch: Annotated[
        int, typer.Option(metavar="S", min=0, help="Seconds from one time the radio is on to the next; 0: always on.")
    ] = 0,
    cell: Annotated[int, typer.Option(metavar="MAH", min=0, help="The cell, in place of the board's own.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Battery life by the board's data and measured shares of the processor's time, and what each choice costs.

    Currents are data sheets' typical ones; radios are estimates.
    """
    found = find(board)
    choice = reckoning.Choice(policy, frame_ms, link, frozenset(off or ()), on, every, batch)
    try:
        measured = reckoning.shares()
        budget = reckoning.budget(found, choice, measured, cell)
        costs = reckoning.costs(found, choice, measured, cell)
    except reckoning.PowerError as error:
        raise UsageError(str(error)) from None
    radio = reckoning.LINKS[link] is not None
    if as_json:
        output.show_json(
            {
                "board": found.name,
                "cell_mah": cell or found.power.cell_mah,
                "measured": {"date": measured.date, "chip": measured.chip},
                "choice": asdict(choice) | {"off": sorted(choice.off)},
                "estimate": radio,
                "budget": asdict(budget),
                "costs": [asdict(cost) for cost in costs],
            }
        )
        return
    table = output.plain("", "part", "duty", "mA", "share")
    for row in budget.rows:
        table.add_row(row.part, _percent(row.duty), f"{row.ma:.3f}", _percent(row.share))
    life = output.plain()
    life.add_row("board", found.title)
    life.add_row("run as", f"policy {policy}, frames of {frame_ms} ms, link {link}")
    life.add_row("sensors on", f"{on} s of {every} s" if every else "always")
    if radio:
        life.add_row("radio on", f"every {batch} s" if batch else "always")
    life.add_row("together", f"{budget.ma:.1f} mA" + (", the radio estimated" if radio else ""))
    life.add_row("cell", f"{cell or found.power.cell_mah} mAh")
    life.add_row("lasts", f"{budget.hours:.1f} h")
    other = output.plain("", "choice", "instead", "lasts", "difference")
    for cost in costs:
        more = f"{cost.more:+.2f} h, {round(100 * cost.more / budget.hours):+d} %"
        other.add_row(cost.what, cost.to, f"{cost.hours:.1f} h", more)
    output.show(table, life, other)
    output.say("currents: typical ones of data sheets, named in boards/chips.toml and firmware/sensors")
    output.say(f"processor: measured {measured.date}, an {measured.chip} with the standard profile's sensors")
    output.say("not counted: lamps, displays and bridges of the board, and what a cell loses with age")
    if not found.power.regulator_ua:
        output.say("not counted: the regulator's own current, which board.toml does not give")


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %" if not 0 < part < 0.0005 else "< 0.1 %"
