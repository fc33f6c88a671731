"""How long a test waits for what must come: one patience for all, as it costs only where something fails."""

from __future__ import annotations

import time
from collections.abc import Callable

FAR = 180.0  # seconds: a busy machine may take this long for what an idle one does in two


def wait(done: Callable[[], bool]) -> None:
    """Wait until something is so, or fail."""
    end = time.monotonic() + FAR
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)
