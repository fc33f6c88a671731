"""A FHIR server, and a ward whose frames go to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fhirserver import fhir_server
from tests.sinks.entries import entry_of
from tests.sinks.fhir.ward import FRAMES, Ward
from tests.walk import RATES, recorded

from vitalwire import jws
from vitalwire.assignments import Assignments
from vitalwire.testing import FakeDevice


@pytest.fixture(scope="session")
def servers() -> Iterator[str]:
    """Run one process for all tests."""
    with fhir_server() as base:
        yield base


@pytest.fixture
def server(servers: str, request: pytest.FixtureRequest) -> str:
    """Return the base of an empty server."""
    return f"{servers}/{abs(hash(request.node.name)):x}"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have gateway and sink look more often at what waits."""
    monkeypatch.setattr("vitalwire.sinks.fhir.sink.LOOK", 0.2)
    monkeypatch.setattr("vitalwire.gateway.delivery.LOOK", 0.2)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Ward:
    """Return a device's frames, and the gateway's key."""
    folder = tmp_path_factory.mktemp("ward")
    jws.create_key(folder / "key.pem")
    device, signals = FakeDevice("bed-4"), recorded()
    raws = [device.descriptor()]
    for place in range(FRAMES):
        raws.append(device.data({name: signals[name][place * 2 * rate :][: 2 * rate] for name, rate in RATES.items()}))
    return Ward(folder, device, [entry_of(device, raw, place) for place, raw in enumerate(raws, 1)])


@pytest.fixture
def ward(played: Ward, tmp_path: Path) -> Ward:
    """Return a ward whose device nobody wears yet."""
    shutil.copy(played.folder / "key.pem", tmp_path)
    Assignments(tmp_path / "assignments.db", lambda what, /, **details: None).close()
    return Ward(tmp_path, played.device, list(played.entries), played.known)
