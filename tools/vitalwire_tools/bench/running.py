"""What a running board says of itself: the last status of a virtual board that a reader reads for a while."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vitalwire import crypto
from vitalwire.client import Client, VerifiedFrame
from vitalwire.registry import Registry
from vitalwire_protocol.spec import Counter

from ..virtual.board import VirtualBoard
from ..virtual.machine import Options, create

SPEED = 20.0
PATIENCE = 15  # times the time it should take, on a computer that does much else


def last_status(
    heap: int,
    seconds: int,
    policy: str = "sign",
    take: Callable[[VerifiedFrame], None] = lambda frame: None,
    settings: Mapping[str, object] | None = None,
    operator: bytes = b"",
    **options: Any,
) -> Mapping[int, int] | None:
    """Return the counters of the first status after `seconds` with `cpu="esp32"`; None if there is none.

    `take` gets every frame; `settings` are further ones of the firmware, `operator` as in `create`, `options` the
    board's.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = {"status_s": max(seconds // 2, 1), "policy": policy, **(settings or {})}
        identity = create(folder, settings=given, operator=operator)
        with (
            Registry() as registry,
            VirtualBoard(Options(folder, speed=SPEED, cpu="esp32", heap=heap, **options)) as board,
        ):
            registry.enrol(crypto.thumbprint(identity.public_key), "virtual", secret=identity.secret)
            with Client(
                board.url, registry=registry, state=folder / "state.db", set_time=False, settle=0.0
            ) as client:  # fmt: skip
                until = time.monotonic() + PATIENCE * seconds / SPEED + 5
                while time.monotonic() < until:
                    frame = client.receive(timeout=0.5)
                    if frame:
                        take(frame)
                    if frame and frame.boot > 1:
                        return None
                    if frame and frame.status and frame.frame.counters[Counter.UPTIME_S] >= seconds:
                        return frame.frame.counters
    return None
