"""A device and a talk with it for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.linkdevice import Device
from tests.sdk.control.talk import Talk


@pytest.fixture
def device() -> Iterator[Device]:
    """A provisioned device with ten frames."""
    device = Device()
    device.do("[board.frame() for _ in range(10)]")
    yield device
    device.close()


@pytest.fixture
def talk(device: Device) -> Talk:
    """A controller that has just begun to talk with that device."""
    return Talk(device)
