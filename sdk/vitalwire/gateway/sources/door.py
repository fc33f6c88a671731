"""What a source is, and the door its peers come in through: named, and bound to the devices they may speak for."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from vitalwire.gateway.events import GatewayEvent, SourceChanged
from vitalwire.gateway.intake import Intake
from vitalwire.gateway.port import Port
from vitalwire.registry import Registry
from vitalwire.session import May
from vitalwire.settings import Settings

EVERY = "*"  # in a list of devices: each that is enrolled


class SourceSettings(Settings):
    """Common to all kinds. `devices`: only frames of these are taken from it, by name or fingerprint."""

    kind: str
    devices: tuple[str, ...] = (EVERY,)


class Source(Protocol):
    """Takes frames from one kind of peer."""

    async def run(self, door: Door) -> None:
        """Let peers in until cancelled, or until there are no more; raises what makes it useless to go on."""


class Door:
    """The door of one source."""

    def __init__(
        self,
        name: str,
        settings: SourceSettings,
        intake: Intake,
        registry: Registry,
        tell: Callable[[GatewayEvent], None],
    ) -> None:
        self.name = name
        self._settings = settings
        self._intake = intake
        self._registry = registry
        self._tell = tell

    def open(self, peer: str, devices: Collection[str] = (EVERY,), send: Callable[[bytes], None] | None = None) -> Port:
        """Return a port for a peer that was proven to speak for these devices; packets for it go to `send`."""
        port = self._intake.port(self.name, peer, self._may(devices), send)
        self._tell(SourceChanged(self.name, peer, up=True))
        return port

    def shut(self, port: Port, why: str = "") -> None:
        """Say that a peer is gone."""
        port.close()
        self._tell(SourceChanged(self.name, port.peer, up=False, why=why))

    def failed(self, peer: str, why: str) -> None:
        """Say that a peer could not be let in or reached."""
        self._tell(SourceChanged(self.name, peer, up=False, why=why))

    def _may(self, devices: Collection[str]) -> May | None:
        lists = [set(each) for each in (devices, self._settings.devices) if EVERY not in each]
        if not lists:
            return None
        registry = self._registry

        def may(thumbprint: bytes) -> bool:
            device = registry.get(thumbprint)
            names = {thumbprint.hex()} if device is None else {thumbprint.hex(), device.name}
            return all(names & each for each in lists)

        return may
