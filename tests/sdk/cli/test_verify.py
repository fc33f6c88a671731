"""`vitalwire verify`: a verdict, and a code for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sdk.cli.running import Run, steady
from tests.walk import walk

from vitalwire.capture import Writer
from vitalwire.testing import FakeDevice, flipped

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The inplace keyword")


def test_verify_has_a_code_for_each_end(vitalwire: Callable[..., Run]) -> None:
    """Whole: 0. A frame missing, a torn end, an empty capture: 1. A changed bit, a device nobody enrolled: 4."""
    device = FakeDevice()
    frames = [device.descriptor(), *(device.sampled() for _ in range(6))]
    cases = {
        "whole": (frames, 0, "complete"),
        "missing": (frames[:3] + frames[4:], 1, "incomplete"),
        "none": ([], 1, "incomplete"),
        "changed": ([*frames[:3], flipped(frames[3], 999), *frames[4:]], 4, "refused"),
        "foreign": ([*frames, FakeDevice().descriptor()], 4, "refused"),
    }
    for name, (kept, code, word) in cases.items():
        with Writer(f"{name}.vwc") as writer:
            for raw in kept:
                writer.write(raw)
        done = vitalwire("verify", "--fingerprint", device.thumbprint.hex(), f"{name}.vwc", "--json")
        assert (done.code, done.json["exit_code"], done.json["conclusion"]) == (code, code, word), name
        assert done.err == ""
        assert vitalwire("verify", "--fingerprint", device.thumbprint.hex(), f"{name}.vwc").code == code
        by_signature = vitalwire("verify", "--every-signature", "--fingerprint", device.thumbprint.hex(), f"{name}.vwc")
        assert by_signature.code == code
    Path("torn.vwc").write_bytes(Path("whole.vwc").read_bytes()[:-10])
    done = vitalwire("verify", "--fingerprint", device.thumbprint.hex(), "torn.vwc", "--json")
    assert (done.code, done.json["damage"][0]["torn"], done.json["verified"]) == (1, True, 6)


def test_verify_tells_what_is_missing(vitalwire: Callable[..., Run]) -> None:
    """The table and the JSON name missing numbers, burned ones, duplicates and the device's name."""
    made = walk(Path("walk.vwc"))
    assert vitalwire("device", "enrol", made.fingerprint, "--name", "walker").code == 0
    done = vitalwire("verify", "walk.vwc")
    assert done.code == 1
    assert all(word in done.out for word in ("walker", "missing", "7-8", "burned", "duplicates", made.fingerprint))
    (device,) = vitalwire("verify", "walk.vwc", "--json").json["devices"]
    assert (device["missing"], device["missing_ranges"], device["burned"], device["duplicates"]) == (2, [[7, 8]], 2, 1)


def test_verify_names_who_might_be_enrolled(vitalwire: Callable[..., Run]) -> None:
    """For a capture of an unknown device, the advice is the command that would trust it."""
    device = steady(Path("a.vwc"))
    done = vitalwire("verify", "a.vwc")
    assert done.code == 4
    assert f"vitalwire device enrol {device.thumbprint.hex()}" in done.err


def test_verify_takes_several_files_together(vitalwire: Callable[..., Run]) -> None:
    """Two captures of one device fill each other's gaps, and a rotated capture is one by its first name."""
    device = FakeDevice()
    frames = [device.descriptor(), *(device.sampled() for _ in range(20))]
    for name, kept in (("a.vwc", frames[:10]), ("b.vwc", [frames[0], *frames[10:]])):
        with Writer(name) as writer:
            for raw in kept:
                writer.write(raw)
    with Writer("rotated.vwc", max_bytes=9000) as writer:
        for raw in frames:
            writer.write(raw)
    assert Path("rotated-00001.vwc").exists()
    trusted = ("--fingerprint", device.thumbprint.hex())
    assert vitalwire("verify", *trusted, "a.vwc", "b.vwc").code == 0
    done = vitalwire("verify", *trusted, "rotated.vwc", "--json")
    assert (done.code, done.json["verified"]) == (0, 21)
