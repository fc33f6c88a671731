"""Brings windows to a server, each exactly once: its Provenance comes last, so a window that has one is whole.

What the server's Provenance names is what was written: the same frames or fewer change nothing, more amend it, and a
frame that comes when the others are gone is refused, never written over them. An Observation that amending leaves
without samples of its own is taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple, TypeAlias

from vitalwire.errors import InputError, SinkError
from vitalwire.fhir import Entry, Gateway, Held, Hold, Wearer, WindowKey, gateway_device
from vitalwire.fhir.clockfit import Fit
from vitalwire.fhir.ids import provenance_id
from vitalwire.fhir.jsontext import Resource
from vitalwire.fhir.mapping import make
from vitalwire.fhir.observations import withdrawn
from vitalwire.fhir.windows import Window

from .aside import aside
from .server import Ask, Found, RaceError, RefusedError, Server, put, reference, weigh

_Asked: TypeAlias = tuple[list[WindowKey], Ask]  # a write, and the windows that it is for

RACES = 4  # times that somebody may be faster
TOO_LATE = "the frame came when its window was written and the others were gone"
CLAIMS = "the device claims what no Observation can hold"


class Job(NamedTuple):
    """A window, and the clock fit to take if none of its frames has one."""

    window: Window
    fit: Fit | None


class State(Enum):
    """What became of a window."""

    WRITTEN = "written"
    NO_TIME = "no-time"
    NOBODY = "nobody"
    REFUSED = "refused"


class Outcome(NamedTuple):
    """What became of a window, and why."""

    state: State
    why: str = ""


_HELD = {
    Hold.NO_TIME: Outcome(State.NO_TIME),
    Hold.NOBODY: Outcome(State.NOBODY),
    Hold.CLAIMS: Outcome(State.REFUSED, CLAIMS),
}


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be written of a window, over which Provenance."""

    entry: Entry
    before: Found | None

    @property
    def key(self) -> WindowKey:
        return self.entry.window.key


@dataclass(slots=True)
class _Tried:
    """What went wrong in one round, with which windows."""

    failed: set[WindowKey] = field(default_factory=set)
    refused: dict[WindowKey, str] = field(default_factory=dict)
    later: SinkError | None = None


class Writer:
    """Makes the resources of windows and brings them to one server."""

    def __init__(self, server: Server, gateway: Gateway, wearer: Wearer) -> None:
        self._server = server
        self._gateway = gateway
        self._wearer = wearer
        self._devices: dict[str, Resource] = {}  # as they were written last

    async def write(self, jobs: Sequence[Job]) -> dict[WindowKey, Outcome]:
        """Return what became of each window; raises SinkError where that is not known of all: all come again then."""
        outcomes: dict[WindowKey, Outcome] = {}
        for _ in range(RACES):
            outcomes |= await self._round([job for job in jobs if job.window.key not in outcomes])
            if len(outcomes) == len(jobs):
                return outcomes
            self._devices.clear()
        raise SinkError("somebody else keeps writing the same window", reason="race")

    async def _round(self, jobs: Sequence[Job]) -> dict[WindowKey, Outcome]:
        """Try once; return what became of each window that nobody else wrote meanwhile."""
        before = await self._server.read([_provenance(job.window.key) for job in jobs])
        outcomes: dict[WindowKey, Outcome] = {}
        plans: list[_Plan] = []
        for job in jobs:
            planned = await aside(self._plan, job, before.get(_provenance(job.window.key)))
            if isinstance(planned, Outcome):
                outcomes[job.window.key] = planned
            else:
                plans.append(planned)
        tried = _Tried()
        await self._ask(self._new_devices(plans), tried)
        await self._ask(await self._observations(plans), tried)
        whole = [plan for plan in plans if plan.key not in tried.failed]
        await self._ask([([plan.key], put(plan.entry.provenance, _version(plan.before))) for plan in whole], tried)
        if tried.later is not None:
            raise tried.later
        outcomes |= {key: Outcome(State.REFUSED, why) for key, why in tried.refused.items()}
        return outcomes | {plan.key: Outcome(State.WRITTEN) for plan in plans if plan.key not in tried.failed}

    def _plan(self, job: Job, before: Found | None) -> _Plan | Outcome:
        """Return what is to be written of a window, or why nothing is."""
        window = replace(job.window, amended=before is not None)
        try:
            made = make(window, self._gateway, self._wearer, job.fit)
        except InputError:
            made = Held(window.key, Hold.CLAIMS)
        if made is None:
            return Outcome(State.WRITTEN)
        if isinstance(made, Held):
            return _HELD[made.why]
        ours = _frames(made.provenance)
        theirs = set() if before is None else _frames(before.resource)
        if ours <= theirs:
            return Outcome(State.WRITTEN)
        return _Plan(made, before) if theirs <= ours else Outcome(State.REFUSED, TOO_LATE)

    def _new_devices(self, plans: Sequence[_Plan]) -> list[_Asked]:
        """Return the writes of Devices that the server has not got from here, each with the windows that name it."""
        asked: dict[str, _Asked] = {}
        for plan in plans:
            for device in (gateway_device(self._gateway.thumbprint), plan.entry.device):
                if self._devices.get(device["id"]) != device:
                    keys, _ = asked.get(device["id"], ([], None))
                    asked[device["id"]] = [*keys, plan.key], put(device)
        return list(asked.values())

    async def _observations(self, plans: Sequence[_Plan]) -> list[_Asked]:
        """Return the writes of Observations: those that amend or take back, over the version that is there."""
        named = {plan.key: _targets(plan.before.resource) for plan in plans if plan.before}
        ours = {plan.key: _targets(plan.entry.provenance) for plan in plans}
        there = await self._server.read(sorted({each for key in named for each in named[key] | ours[key]}))
        asked: list[_Asked] = []
        for plan in plans:
            lost = named.get(plan.key, set()) - ours[plan.key]
            resources = [each.resource for each in plan.entry.observations]
            resources += [withdrawn(there[each].resource) for each in sorted(lost) if each in there]
            asked += [([plan.key], put(each, _version(there.get(reference(each))))) for each in resources]
        return asked

    async def _ask(self, asked: Sequence[_Asked], tried: _Tried) -> None:
        """Write for windows that nothing went wrong with, and note what goes wrong."""
        asks = [ask for _, ask in asked]
        for (keys, ask), answer in zip(asked, await self._server.ask(asks), strict=True):
            try:
                weigh(ask, answer)
            except RaceError:
                tried.failed.update(keys)
            except RefusedError as error:
                tried.failed.update(keys)
                tried.refused |= dict.fromkeys(keys, str(error))
            except SinkError as error:
                tried.failed.update(keys)
                tried.later = error
            else:
                if ask.resource is not None and ask.resource["resourceType"] == "Device":
                    self._devices[ask.resource["id"]] = ask.resource


def _provenance(key: WindowKey) -> str:
    return f"Provenance/{provenance_id(key)}"


def _version(found: Found | None) -> str | None:
    return None if found is None else found.version


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
