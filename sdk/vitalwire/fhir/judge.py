"""Proves resources back to signed frames: makes each Observation anew from the frames and compares; believes no digest.

What the frames cannot say, above all whose body it was, stands and falls with the gateway's signature. Times are
recomputed from the recorded clock fit, and that fit is held against the capture's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from vitalwire.errors import InputError, SignatureError

from . import proof
from .clockfit import Fit, fit_of, read_fit
from .gather import Gatherer
from .ids import WindowKey, provenance_id
from .jsontext import Json, Resource, double, stripped
from .mapping import gatherer_for
from .observations import WITHDRAWN, observations
from .windows import Source, Window

MAX_PLANS = 8  # combinations of form and length in one bundle
SLACK_US = 20_000  # that two fits of a minute may differ beyond what they say of themselves
_UNKNOWN = "Patient/unknown"


class Wrong(StrEnum):
    """What can be wrong with a resource."""

    ALTERED = "altered"
    MISSING = "missing"  # its Provenance names it, or should
    UNPROVEN = "unproven"  # no Provenance names it, or none of the capture's windows is its
    TWICE = "twice"
    SIGNATURE = "signature"
    TIME = "time"  # the recorded clock fit contradicts the capture's


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: with which resource, what, and where or why."""

    reference: str
    wrong: Wrong
    detail: str


@dataclass(slots=True)
class Judgement:
    """How many Observations are proven, what is wrong, and how many windows of the capture have no resources here."""

    proven: int = 0
    windows: int = 0
    absent: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every Observation there is is proven."""
        return not self.findings


class Judge:
    """Takes all resources, then all verified frames in the order of their numbers, then `finish`."""

    def __init__(self, resources: Iterable[Resource], key: EllipticCurvePublicKey) -> None:
        self._key = key
        self.judgement = Judgement()
        self._resources: dict[str, Resource] = {}
        for each in resources:
            reference = f"{each['resourceType']}/{each['id']}"
            if reference in self._resources:
                self._find(reference, Wrong.TWICE, "stands here more than once")
            self._resources[reference] = each
        self._devices: dict[str, Resource] = {}
        self._provenances = {where: each for where, each in self._resources.items() if where.startswith("Provenance/")}
        self._open = {where for where in self._resources if where.startswith("Observation/")}
        self._fits: dict[tuple[bytes, int], Fit] = {}  # the surest of each device and boot
        self._untimed: list[tuple[str, WindowKey, Fit]] = []  # windows of which no frame has one, and what they record
        self._gatherers = self._planned()

    def add(self, source: Source) -> None:
        """Take one verified frame."""
        device = proof.board(source.descriptor)
        self._devices[f"Device/{device['id']}"] = device
        boot = source.device, source.frame.boot
        if (fit := fit_of([source])) is not None and fit.is_surer(self._fits.get(boot)):
            self._fits[boot] = fit
        for gatherer in self._gatherers:
            for found in gatherer.add(source):
                if isinstance(found, Window):
                    self._window(found)

    def finish(self) -> Judgement:
        """Return the judgement: no more frames come."""
        for gatherer in self._gatherers:
            for window in gatherer.flush():
                self._window(window)
        for reference, key, fit in self._untimed:
            known = self._fits.get((key.device, key.boot))
            self._compare_times(reference, key, fit, known and known.around(key.start))
        for reference in self._provenances:
            self._find(reference, Wrong.UNPROVEN, "the capture has no such window")
        for reference in sorted(self._open):
            if _is_withdrawn(self._resources[reference]):
                continue
            self._find(reference, Wrong.UNPROVEN, "no Provenance of a window in the capture names it")
        gateway = proof.gateway_device(proof.thumbprint(self._key))
        self._devices[f"Device/{gateway['id']}"] = gateway
        for reference, device in self._devices.items():
            self._compare(reference, device, self._resources.get(reference, device), ())
        return self.judgement

    def _planned(self) -> list[Gatherer]:
        plans: set[tuple[str, int]] = set()
        for reference, resource in self._provenances.items():
            try:
                window = proof.read_window(resource, b"")
                gatherer_for(window.form, window.length)
            except InputError as error:
                self._find(reference, Wrong.ALTERED, str(error))
                continue
            plans.add((window.form, window.length))
        if len(plans) > MAX_PLANS:
            raise InputError(f"windows of {len(plans)} kinds, more than {MAX_PLANS}", reason="oversized")
        return [gatherer_for(form, length) for form, length in sorted(plans)]

    def _window(self, window: Window) -> None:
        reference = f"Provenance/{provenance_id(window.key)}"
        resource = self._provenances.pop(reference, None)
        if resource is None:
            self.judgement.absent += _says_something(window)
            return
        self.judgement.windows += 1
        try:
            fit = read_fit(resource.get("extension", ()))
            if proof.read_window(resource, window.key.device) != window.key:
                raise InputError("its window is another one")
            made = observations(window, fit, _UNKNOWN)
        except InputError as error:
            self._find(reference, Wrong.ALTERED, str(error))
            return
        self._time(reference, window, fit)
        self._frames(reference, resource, window, frozenset().union(*(each.frames for each in made)))
        self._targets(reference, resource, [each.resource for each in made])
        try:
            proof.check_signature(resource, self._key)
        except (SignatureError, InputError) as error:
            self._find(reference, Wrong.SIGNATURE, str(error))

    def _time(self, reference: str, window: Window, fit: Fit) -> None:
        own = fit_of(window.sources)
        if own is None:
            self._untimed.append((reference, window.key, fit))
        else:
            self._compare_times(reference, window.key, fit, own)

    def _compare_times(self, reference: str, key: WindowKey, fit: Fit, own: Fit | None) -> None:
        if own is None:
            self._find(reference, Wrong.TIME, "the capture knows nothing of UTC")
            return
        off = abs(fit.at(key.start) - own.at(key.start))
        if off > fit.accuracy_us + own.accuracy_us + SLACK_US:
            self._find(reference, Wrong.TIME, f"{off / 1e6:.3f} s from what the capture says")

    def _frames(self, reference: str, resource: Resource, window: Window, used: frozenset[int]) -> None:
        expected = {window.sources[place].frame.digest for place in used}
        try:
            found = proof.frame_digests(resource)
        except InputError as error:
            self._find(reference, Wrong.ALTERED, str(error))
            return
        if set(found) != expected or len(found) != len(expected):
            lacks, more = len(expected - set(found)), len(set(found) - expected)
            self._find(reference, Wrong.ALTERED, f"its frames are not these: {lacks} not named, {more} named wrongly")

    def _targets(self, reference: str, resource: Resource, made: Sequence[Resource]) -> None:
        named = {}
        targets = resource.get("target")
        for each in targets if isinstance(targets, list) else ():
            if isinstance(each, dict) and isinstance(each.get("reference"), str):
                named[each["reference"]] = each
        for expected in made:
            where = f"Observation/{expected['id']}"
            said, actual = named.pop(where, None), self._resources.get(where)
            if actual is None:
                self._find(where, Wrong.MISSING, f"{expected['code']['text']}: the frames say it, it is not here")
                continue
            self._open.discard(where)
            before = len(self.judgement.findings)
            if said is None:
                self._find(where, Wrong.UNPROVEN, f"{reference} does not name it")
            self._compare(where, expected, actual, ("subject", "status"))
            if actual.get("status") not in ("final", "amended"):
                self._find(where, Wrong.ALTERED, f"status is {actual.get('status')!r}")
            if said is not None and len(self.judgement.findings) == before and not _is_signed(said, actual):
                self._find(where, Wrong.ALTERED, "its subject or status is not what was signed")
            self.judgement.proven += len(self.judgement.findings) == before
        for where in named:
            self._open.discard(where)
            self._find(where, Wrong.UNPROVEN, "the frames do not say it")

    def _compare(self, reference: str, expected: Resource, actual: Resource, ignored: Sequence[str]) -> None:
        left, right = (
            {key: value for key, value in stripped(each).items() if key not in ignored} for each in (expected, actual)
        )
        difference = next(differences(left, right), None)
        if difference is not None:
            path, wanted, found = difference
            self._find(reference, Wrong.ALTERED, f"{path} is {_short(found)}, the frames say {_short(wanted)}")

    def _find(self, reference: str, wrong: Wrong, detail: str) -> None:
        self.judgement.findings.append(Finding(reference, wrong, detail))


def _is_withdrawn(resource: Resource) -> bool:
    """Return whether a resource says itself that it says nothing."""
    return resource.get("status") == WITHDRAWN and not any(key.startswith("value") for key in resource)


def _is_signed(said: Resource, actual: Resource) -> bool:
    try:
        return said == proof.target(actual)
    except InputError:
        return False


def _says_something(window: Window) -> bool:
    """Return whether Observations are made of a window: of nothing but lead-off, for instance, there are none."""
    try:
        return bool(observations(window, Fit(0, 0, 0), _UNKNOWN))
    except InputError:
        return True


def differences(expected: Json, actual: Json, path: str = "") -> Iterator[tuple[str, Json, Json]]:
    """Yield (path, expected, actual) where two values differ; numbers are equal by value, as doubles."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for key in sorted({*expected, *actual}):
            yield from differences(expected.get(key), actual.get(key), f"{path}.{key}" if path else key)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (left, right) in enumerate(zip(expected, actual, strict=True)):
            yield from differences(left, right, f"{path}[{number}]")
    elif not _same(expected, actual):
        yield path, expected, actual


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Decimal | int) and isinstance(right, Decimal | int):
        return left == right or _double(left) == _double(right) is not None
    return type(left) is type(right) and bool(left == right)


def _double(number: Decimal | int) -> str | None:
    try:
        return double(Decimal(number))
    except InputError:
        return None


def _short(value: Json) -> str:
    if value is None:
        return "not there"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:28]}...{text[-28:]}"
