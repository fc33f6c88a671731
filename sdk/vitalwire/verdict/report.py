"""A verdict as a word, an exit code and JSON: what `vitalwire verify` says, and every export of its source."""

from __future__ import annotations

from enum import IntEnum

from vitalwire.verdict.tally import DeviceVerdict
from vitalwire.verdict.verifier import Verdict


class Conclusion(IntEnum):
    """What follows from a verdict; the numbers are `vitalwire verify`'s exit codes."""

    COMPLETE = 0  # every frame is verified, and none is missing between each device's first and last
    INCOMPLETE = (
        1  # every frame that is there is verified, but frames are missing, bytes are damaged or nothing is there
    )
    REFUSED = 4  # frames are there that are not to be believed
    UNSEALED = 8  # complete as far as signatures reach, behind them are frames that only a MAC proves


def conclude(verdict: Verdict, damaged: int = 0) -> Conclusion:
    """Return what follows; `damaged` counts the bytes of a capture that are no frame."""
    if verdict.refused or any(_refused(device) for device in verdict.devices):
        return Conclusion.REFUSED
    if damaged or not verdict.verified or verdict.refused or not all(device.complete for device in verdict.devices):
        return Conclusion.INCOMPLETE
    return Conclusion.UNSEALED if verdict.unsealed else Conclusion.COMPLETE


def _refused(device: DeviceVerdict) -> bool:
    doubtful = device.conflicts or device.future or device.undecided or device.break_count
    return bool(doubtful or any(device.refused.values()))


def missing(device: DeviceVerdict) -> int:
    """Return how many numbers are missing and unexplained."""
    return sum(last - first + 1 for first, last in device.missing) + device.forgotten


def refused(device: DeviceVerdict) -> dict[str, int]:
    """Return how many frames of a device are not to be believed, by reason."""
    counted = {reason.value: count for reason, count in device.refused.items() if count}
    aside = {"conflict": device.conflicts, "future": device.future, "undecided": device.undecided}
    return counted | {reason: count for reason, count in aside.items() if count}


def device_as_dict(device: DeviceVerdict) -> dict[str, object]:
    """Return a device's verdict for JSON; ranges and counts as in `DeviceVerdict`."""
    return {
        "device": device.device.hex(),
        "name": device.name,
        "ok": device.ok,
        "complete": device.complete,
        "verified": device.verified,
        "authentic": device.authentic,
        "unchecked": device.unchecked,
        "by_chain": device.by_chain,
        "first": device.first,
        "head": device.head,
        "digest": device.digest.hex(),
        "duplicates": device.duplicates,
        "burned": device.burned,
        "dropped": device.dropped,
        "missing": missing(device),
        "missing_ranges": [list(each) for each in device.missing],
        "breaks": device.break_count,
        "break_list": [{"seq": seq, "why": why} for seq, why in device.breaks],
        "refused": refused(device),
    }


def as_dict(verdict: Verdict, damaged: int = 0) -> dict[str, object]:
    """Return a verdict for JSON."""
    return {
        "conclusion": conclude(verdict, damaged).name.lower(),
        "frames": verdict.frames,
        "verified": verdict.verified,
        "unsealed": verdict.unsealed,
        "damaged_bytes": damaged,
        "refused": {reason.value: count for reason, count in verdict.refused.items()},
        "devices": [device_as_dict(device) for device in verdict.devices],
    }
