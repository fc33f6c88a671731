"""Captures played back as if a device were there: `replay:FILE?speed=10&loss=0.01&seed=7`.

Joins what reads captures, what makes packets and what plays messages. Its one decision: descriptors are spared from
faults, because nobody can be asked to send one again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vitalwire.capture import Record, parts, peek, read
from vitalwire.errors import TransportError
from vitalwire.packet import encode_packet
from vitalwire.transports.address import Address
from vitalwire.transports.faults import Faults
from vitalwire.transports.replay import Replay, Timed
from vitalwire_protocol.spec import Kind, PacketType

PROBABILITIES = ("loss", "reorder", "duplicate", "flip", "truncate")


def from_address(address: Address) -> Replay:
    """Return the transport that plays the capture of an address, all its files if it was rotated.

    Options: `speed`, 1 unless given, 0 for no waiting; `pace=received` to go by the notes of arrival instead of the
    device's clock; `loss`, `reorder`, `duplicate`, `flip`, `truncate`, the probability of each for a frame; `seed`.
    """
    options = address.read(speed=_speed, pace=_pace, seed=int, **dict.fromkeys(PROBABILITIES, float))
    speed = options.pop("speed", 1.0)
    by_arrival = bool(options.pop("pace", False))
    Faults(**options)  # type: ignore[arg-type]  # a wrong one is refused here and not when it is opened

    def messages() -> Iterator[Timed]:
        files = parts(address.target)
        if not files:
            raise TransportError(f"cannot read {address.target}: no such file")
        frames = _frames(files, by_arrival=by_arrival)
        return _packets(Faults(**options).apply(frames))  # type: ignore[arg-type]

    return Replay(messages, speed)


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 <= speed < float("inf"):
        raise ValueError
    return speed


def _pace(text: str) -> bool:
    if text not in ("ticks", "received"):
        raise ValueError
    return text == "received"


def _frames(files: list[Path], *, by_arrival: bool) -> Iterator[Timed]:
    for file in files:
        for item in read(file):
            if not isinstance(item, Record):
                continue  # the session will miss what stood there
            head = peek(item.raw)
            arrived = item.received_us
            if head is not None and head.kind == Kind.DESCRIPTOR:
                yield Timed(item.raw, arrived_us=arrived, pinned=True)
            elif by_arrival or head is None:
                yield Timed(item.raw, "arrival" if arrived else None, (arrived or 0) / 1e6, arrived)
            else:
                yield Timed(item.raw, (head.descriptor, head.boot), head.ticks / 1e6, arrived)


def _packets(messages: Iterator[Timed]) -> Iterator[Timed]:
    for number, message in enumerate(messages):
        yield replace(message, data=encode_packet(PacketType.FRAME, number & 0xFF, message.data))
