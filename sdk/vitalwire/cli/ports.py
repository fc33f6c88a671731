"""`vitalwire ports`: which serial ports there are."""

from __future__ import annotations

from vitalwire.errors import UsageError

from . import output
from .options import Json


def ports(as_json: Json = False) -> None:
    """List the serial ports of this computer, with the addresses that other commands take."""
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
