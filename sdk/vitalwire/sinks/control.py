"""What a sink knows of whoever can command devices, if its peer may: values and protocols only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from vitalwire_protocol.spec import Command, Result


@dataclass(frozen=True, slots=True)
class Asked:
    """A command and its argument; of SET_TIME there is none: the time is the gateway's to measure and tell."""

    command: Command
    argument: int | bytes | tuple[int, ...] | None = None


class Control(Protocol):
    """Whoever can reach devices, by their names in the registry."""

    def channels(self, device: str) -> Mapping[str, int]:
        """Return the ids of a device's channels by name; none if its descriptor is not known."""
        ...

    async def carry_out(self, device: str, asked: Asked) -> Result | int | None:
        """Return how the device answered, None if it is not there or did not answer."""
        ...


@runtime_checkable
class Controlling(Protocol):
    """A sink whose peer may command devices."""

    def use(self, control: Control) -> None:
        """Take the control; called once, before `open`."""
