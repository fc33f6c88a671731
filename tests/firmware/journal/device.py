"""What the fixture `device` is: it runs statements on the device and returns what they printed."""

from __future__ import annotations

from collections.abc import Callable

Device = Callable[..., str]
