"""Writes one window to a server exactly once: the Provenance comes last, so a window that has one is whole.

What the server's Provenance names is what was written: the same frames or fewer change nothing, more amend it, and a
frame that comes when the others are gone is refused, never written over them. An Observation that amending leaves
without samples of its own is taken back.
"""

from __future__ import annotations

from dataclasses import replace

from vitalwire.errors import InputError, SinkError
from vitalwire.fhir import Gateway, Held, Hold, Wearer, WindowKey, gateway_device
from vitalwire.fhir.ids import provenance_id
from vitalwire.fhir.jsontext import Resource
from vitalwire.fhir.mapping import make
from vitalwire.fhir.observations import withdrawn
from vitalwire.fhir.proof import entity
from vitalwire.fhir.windows import Window

from .server import RaceError, RefusedError, Server

RACES = 4  # times that somebody may be faster
TOO_LATE = "the frame came when its window was written and the others were gone"
_HELD = {
    Hold.NO_TIME: "nothing is known of the time of this window",
    Hold.CLAIMS: "the device claims what no Observation can hold",
}


class Writer:
    """Makes the resources of windows and brings them to one server."""

    def __init__(self, server: Server, gateway: Gateway, wearer: Wearer) -> None:
        self._server = server
        self._gateway = gateway
        self._wearer = wearer
        self._devices: dict[str, Resource] = {}  # as they were written last

    async def write(self, window: Window) -> bool:
        """Return whether the server has a window, False if nobody wore the device; raises RefusedError, SinkError."""
        for _ in range(RACES):
            try:
                return await self._once(window)
            except RaceError:
                self._devices.clear()
        raise SinkError("somebody else keeps writing the same window", reason="race")

    async def has(self, key: WindowKey, frame: bytes) -> bool:
        """Return whether the server has a window with a frame of that digest; raises SinkError."""
        found = await self._server.read(f"Provenance/{provenance_id(key)}")
        return found is not None and entity(frame)["what"]["identifier"]["value"] in _frames(found.resource)

    async def _once(self, window: Window) -> bool:
        before = await self._server.read(f"Provenance/{provenance_id(window.key)}")
        try:
            made = make(replace(window, amended=before is not None), self._gateway, self._wearer)
        except InputError:
            made = Held(window.key, Hold.CLAIMS)
        if made is None:
            return True
        if isinstance(made, Held):
            if made.why is Hold.NOBODY:
                return False
            raise RefusedError(_HELD[made.why])
        ours = _frames(made.provenance)
        if before is not None:
            theirs = _frames(before.resource)
            if ours <= theirs:
                return True
            if not theirs <= ours:
                raise RefusedError(TOO_LATE)
        for device in (gateway_device(self._gateway.thumbprint), made.device):
            if self._devices.get(device["id"]) != device:
                await self._server.write(device)
                self._devices[device["id"]] = device
        for each in made.observations:
            found = await self._server.read(f"Observation/{each.resource['id']}") if before else None
            await self._server.write(each.resource, found and found.version)
        for reference in _targets(before.resource) - _targets(made.provenance) if before else ():
            if (lost := await self._server.read(reference)) is not None:
                await self._server.write(withdrawn(lost.resource), lost.version)
        await self._server.write(made.provenance, before and before.version)
        return True


def _frames(provenance: Resource) -> set[str]:
    """Return the frames that a Provenance names."""
    try:
        return {each["what"]["identifier"]["value"] for each in provenance["entity"]}
    except (KeyError, TypeError):
        raise SinkError("the server's Provenance is none of ours", reason="form") from None


def _targets(provenance: Resource) -> set[str]:
    """Return the Observations that a Provenance names."""
    try:
        return {each["reference"] for each in provenance["target"]}
    except (KeyError, TypeError):
        raise SinkError("the server's Provenance is none of ours", reason="form") from None
