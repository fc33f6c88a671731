"""`vitalwire ports`: which boards can be read from here: the serial ports there are, or the boards in the air."""

from __future__ import annotations

from collections import Counter
from typing import Annotated
from urllib.parse import quote

import typer
from rich.text import Text

from vitalwire.errors import UsageError
from vitalwire.transports import LISTEN_SECONDS, advertised, nearby

from . import output
from .options import Json, RegistryFile, opened


def ports(
    ble: Annotated[
        bool, typer.Option("--ble", help="List the boards that advertise over Bluetooth LE instead: vitalwire[ble].")
    ] = False,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=1, max=60, help="How long to listen for them.")
    ] = LISTEN_SECONDS,
    registry: RegistryFile = None,
    as_json: Json = False,
) -> None:
    """List the serial ports of this computer, or the boards in the air, with the addresses that other commands take.

    A board that somebody is connected to does not advertise. Whose a name is, is proven by its frames alone.
    """
    if ble:
        with opened(registry) as trusted:
            known = {advertised(device.name) for device in trusted if device.revoked_us is None}
        _show_boards(seconds, known, as_json)
    else:
        _show_ports(as_json)


def _show_ports(as_json: bool) -> None:
    try:
        from serial.tools.list_ports import comports
    except ImportError:
        raise UsageError("serial ports need pyserial", advice='pip install "vitalwire[serial]"') from None
    found = sorted(comports())
    if as_json:
        output.show_json(
            [
                {
                    "url": f"serial://{port.device}",
                    "description": port.description,
                    "manufacturer": port.manufacturer,
                    "serial_number": port.serial_number,
                    "usb": None if port.vid is None else f"{port.vid:04x}:{port.pid:04x}",
                }
                for port in found
            ]
        )
        return
    if not found:
        output.say("no serial ports: is the board plugged in, with a cable that carries data?")
        return
    table = output.plain("", "address", "what it says to be", "USB id")
    for port in found:
        table.add_row(
            f"serial://{port.device}", port.description, "" if port.vid is None else f"{port.vid:04x}:{port.pid:04x}"
        )
    output.show(table)


def _show_boards(seconds: float, known: set[str], as_json: bool) -> None:
    found = nearby(seconds)
    names = Counter(board.name for board in found)
    rows = [
        {
            "url": f"ble://{quote(board.name) if board.name and names[board.name] == 1 else board.address}",
            "name": board.name,
            "address": board.address,
            "dbm": board.dbm,
            "enrolled": board.name in known,
        }
        for board in found
    ]
    if as_json:
        output.show_json(rows)
        return
    if not rows:
        output.say("no boards in the air: is the link `ble` configured, and nobody connected? `vitalwire board doctor`")
        return
    table = output.plain("", "address", "its own name", "hardware address", "signal", "in the registry")
    for row in rows:
        signal = "" if row["dbm"] is None else f"{row['dbm']} dBm"
        name = Text("".join(c if c.isprintable() else "?" for c in str(row["name"])))  # anybody may have chosen it
        trusted = "one of this name" if row["enrolled"] else "no"
        table.add_row(str(row["url"]), name, str(row["address"]), signal, trusted)
    output.show(table)
