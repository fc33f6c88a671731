"""Asks a board what is wrong with it and says so in plain words: prompt, clock, key, journal, sensors, links."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from vitalwire.errors import CommandError, VitalwireError
from vitalwire_protocol.spec import Fault

from .application import running
from .codegen.board import Board, Sensor
from .prompt import Prompt
from .reach import reached
from .seen import seen

SLOWEST, FASTEST = 1.5, 0.9  # seconds that a board's second may take here, serial port and a busy computer included
TRIES = 3
_HEAD = "import doctor, board\nfrom hal import {} as hal\n"
WORDS = {
    Fault.MISSING: "does not answer: is it powered (VCC, GND), and are its wires right?",
    Fault.WRONG_PART: "answers as another part: is it the right chip, at the right address?",
    Fault.WEDGED: "answers but delivers no samples: cut its power for a moment; check its interrupt line",
    Fault.BUS: "stopped answering: look for a loose wire, or wires too long",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `ok` is None where it could not be made."""

    check: str
    ok: bool | None
    words: str


def _where(sensor: Sensor) -> str:
    return f"{sensor.part} ({sensor.place})"


def _clock(prompt: Prompt, head: str) -> Finding:
    took = []
    for _ in range(TRIES):
        start = time.monotonic()
        prompt.run(head + "doctor.second(hal)")
        took.append(time.monotonic() - start)
        if FASTEST <= took[-1] <= SLOWEST:
            return Finding("clock", True, "runs as fast as this computer's")
    best = min(took)
    if best < FASTEST:
        return Finding("clock", False, f"runs {1 / best:.1f} times too fast: sample times will be wrong")
    return Finding(
        "clock", False, f"runs {best:.1f} times too slowly, or the board is busy: sample times will be wrong"
    )


def _key(said: dict[str, Any]) -> Iterator[Finding]:
    if said["refused"]:
        yield Finding("settings", False, f"{said['refused']} is refused: the board runs with safe settings instead")
    else:
        yield Finding("settings", True, f"device {said['device']!r}")
    if not said["thumbprint"]:
        yield Finding("key", False, "there is none: `vitalwire board provision` lets the board make one")
    elif not said["secret"]:
        yield Finding("key", True, f"{said['thumbprint'][:16]}, but no secret: nobody can command or acknowledge it")
    else:
        yield Finding("key", True, said["thumbprint"])


def _journal(said: dict[str, Any]) -> Finding:
    if not said["there"]:
        return Finding(
            "journal", False, "the flash has no journal partition: flash an image of `vitalwire board image`"
        )
    if said["lost"]:
        return Finding("journal", False, "its counters are lost, so this key may sign no more: provision a new one")
    share = f"{said['used']} of {said['sectors']} sectors, {said['unacked']} frames wait for a reader"
    if not said["starts"]:
        then = "it sends what it holds and records nothing until it is read"
        return Finding("journal", False, f"so full that the board cannot note another start: {then}, {share}")
    if said["used"] >= said["sectors"] - 1:
        then = "records no more" if said["full"] == "stop" else "gives up its oldest frames"
        return Finding("journal", False, f"full, so the board {then}: read it, {share}")
    return Finding("journal", True, share)


def _sensors(board: Board, faults: dict[int, dict[str, Any]]) -> Iterator[Finding]:
    silent = {number for number, said in faults.items() if said["fault"] in {Fault.MISSING, Fault.BUS}}
    for number, sensor in enumerate(board.sensors):
        said = faults.get(number)
        if said is None:
            yield Finding(sensor.part, None, "was not looked at: the board stopped before")
            continue
        alike = {n for n, other in enumerate(board.sensors) if (other.kind, other.bus) == (sensor.kind, sensor.bus)}
        fault = Fault(said["fault"]) if said["fault"] else None
        if fault is None:
            words = "delivers samples" + (", its electrodes are off" if said["lead_off"] else "")
            yield Finding(sensor.part, True, f"{_where(sensor)} {words}")
        elif sensor.kind == "i2c" and len(alike) > 1 and alike <= silent:
            lines = "SDA or SCL is held low or not connected, or the sensors have no power"
            yield Finding(
                sensor.part, False, f"{_where(sensor)} is silent like all of its bus, which is wedged: {lines}"
            )
        else:
            yield Finding(sensor.part, False, f"{_where(sensor)} {WORDS[fault]}")


def _battery(said: dict[str, Any]) -> Finding:
    level = f"{said['millivolt']} mV"
    if said["millivolt"] < said["empty"]:
        return Finding("battery", False, f"{level}: empty, or not connected")
    return Finding("battery", True, level)


def examine(port: str, find: Callable[[str], Board], describe: Callable[[str], str]) -> Iterator[Finding]:
    """Yield what is found on the board at a port, check by check; the board starts afresh at the end.

    `find` knows boards by name; `describe` listens at an address and returns the thumbprint of the device that tells
    who it is there. Raises TransportError for a port that cannot be opened, or a board that gives no prompt.
    """
    thumbprint, lost = "", False
    with Prompt(port) as prompt:
        yield Finding("prompt", True, "MicroPython answers")
        head = _HEAD.format("virtual" if prompt.virtual else "esp32")
        try:
            board = find(prompt.run("import board\nprint(board.NAME)").strip())
        except CommandError:
            yield Finding("firmware", False, "there is none: `vitalwire board deploy` puts it there")
            return
        yield Finding("firmware", True, running(prompt))
        yield _clock(prompt, head)
        facts: list[dict[str, Any]] = []
        broken = ""
        try:
            prompt.run(head + "doctor.run(hal, board)", lambda line: facts.append(json.loads(line)))
        except CommandError as error:
            broken = str(error)
        faults = {said["number"]: said for said in facts if said["check"] == "sensor"}
        for said in facts:
            if said["check"] == "key":
                thumbprint = said["thumbprint"]
                yield from _key(said)
            elif said["check"] == "journal":
                lost = said.get("lost", False)
                yield _journal(said)
            elif said["check"] == "battery":
                yield _battery(said)
            elif said["check"] == "reach":
                yield Finding(f"link {said['link']}", *reached(said, thumbprint))
            elif said["check"] == "seen":
                yield Finding("link ble", *seen(said, board))
        yield from _sensors(board, faults)
        if broken:
            yield Finding("firmware", False, broken)
    if not thumbprint or lost:
        yield Finding("link", None, "cannot be tested: without key and counters the board sends nothing")
        return
    try:
        heard = describe(f"serial://{port}")
    except VitalwireError as error:
        yield Finding("link", False, f"no frame came: {error}")
        return
    if heard == thumbprint:
        yield Finding("link", True, "the board sends frames, signed by its key")
    else:
        yield Finding("link", False, f"frames come from {heard[:16]}, not from this board's key")
