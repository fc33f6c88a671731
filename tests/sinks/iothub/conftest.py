"""A broker that speaks as IoT Hub does, and devices that are known there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.certificates import Certificates
from tests.sinks.hub import mosquitto
from tests.sinks.servers import Server

from vitalwire.testing import FakeDevice


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    """Return an authority."""
    return Certificates(tmp_path / "made")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    """Run a broker without TLS, for behind the door."""
    with mosquitto(tmp_path) as server:
        yield server


@pytest.fixture
def devices() -> list[FakeDevice]:
    """Return some devices."""
    return [FakeDevice(f"bed-{n}", seed=n) for n in range(3)]
