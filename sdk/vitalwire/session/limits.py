"""How much a session keeps for peers, so that none of them can make it grow: one value for each bound."""

from __future__ import annotations

from dataclasses import dataclass

from vitalwire_protocol.spec import Limit

MIB = 1 << 20
FUTURE_US = 300_000_000  # a device's UTC may be this much ahead of ours, beyond its own accuracy (SPEC.md section 8)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one session; `frames` are per device, `bytes` over all devices, times in microseconds."""

    reorder_frames: int = 64  # waiting for a missing one before it is given up for now
    reorder_us: int = 2_000_000  # the same in time
    pending_bytes: int = 32 * MIB  # of all frames that wait for order
    held_bytes: int = 8 * MIB  # of all frames that wait for a descriptor or for proof
    unstored_frames: int = 8192  # delivered and not yet durable
    unsealed_frames: int = 4 * Limit.MAX_GROUP  # authentic ones of one device that no seal covers yet
    ask_us: int = 5_000_000  # between two requests for the same descriptor
    future_us: int = FUTURE_US
    descriptors: int = 16  # remembered of one device
    ack_ranges: int = 1024  # of one device, waiting to be taken
