"""`frame.cddl` says what SPEC.md says: two judges hold accepted frames against it, and it refuses broken ones.

pycddl 0.6 does not follow `.cbor` inside arrays, negative ranges, choices between maps or upper bounds of arrays, so it
is given a frame in its layers and the file without those; cddl-verifier takes the file as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cbor2
import pycddl
import pytest
from cddl_verifier import Validator
from tests.protocol.made import made_by_firmware
from tests.protocol.run_vectors import meant
from tests.protocol.test_vectors import lines

from vitalwire import cbor
from vitalwire.testing import FakeDevice
from vitalwire_protocol import spec

CDDL = Path(__file__).resolve().parents[2] / "protocol" / "frame.cddl"
TEXT = CDDL.read_text()
VECTORS = lines()
ACCEPTED = [vector for vector in VECTORS if "expect" in vector]
REFUSED = [vector for vector in VECTORS if "error" in vector]
MAPS = {1: "descriptor-map", 2: "data-map", 3: "event-map", 4: "status-map"}

# What CDDL can say is wrong with a frame, and the rows of those that take more than CDDL.
REASONS = {
    "algorithm", "crit", "duplicate-key", "float", "form", "items", "key-type", "missing-key", "protected",
    "public-key", "range", "signature-size", "simple", "tag", "text", "trailing", "truncated", "type", "unprotected",
    "utf8", "version",
}  # fmt: skip
BEYOND = {
    "items: frame, 65 keys",
    "missing-key: frame, UTC of an accuracy",
    "missing-key: frame, accuracy of UTC",
    "public-key: frame, not on the curve",
    "public-key: frame, zeros",
    "range: frame, a scalar after the end of ticks",
    "range: frame, a scalar before boot",
    "range: frame, an event before boot",
}
# What pycddl finds of it, at least.
FOUND_BY_PYCDDL = {
    "algorithm": 6, "crit": 2, "missing-key": 23, "protected": 5, "public-key": 8, "range": 46, "signature-size": 3,
    "tag": 4, "truncated": 7, "type": 27, "version": 2,
}  # fmt: skip


@cache
def schema(root: str) -> pycddl.Schema:
    """Return pycddl's schema with another first rule, without what it cannot do."""
    text = TEXT
    for form, other in (
        (r"bstr \.cbor\w* (\[.*\]|[\w-]+)", "bstr"),
        (r"-\d+\.\.(\d+)", r"int .le \1"),
        (r"int => value", "int => any"),
    ):
        text = re.sub(form, other, text)
    return pycddl.Schema(f"root = {root}\n{text}")


def fits(raw: bytes) -> bool:
    """Whether pycddl takes a frame: the COSE message, its header, its map."""
    try:
        schema("frame").validate_cbor(raw)
        protected, _, payload, _ = cbor2.loads(raw).value
        schema("sign-header").validate_cbor(protected)
        schema(MAPS.get(cbor2.loads(payload)[1], "other-map")).validate_cbor(payload)
    except (pycddl.ValidationError, cbor2.CBORDecodeError, KeyError, TypeError, AttributeError, ValueError):
        return False
    return True


def of(what: str, vectors: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return the vectors of a kind, by name."""
    return {vector["name"]: bytes.fromhex(vector["hex"]) for vector in vectors if vector["what"] == what}


@pytest.fixture(scope="module")
def judge() -> Validator:
    """Return cddl-verifier with the file as it is."""
    return Validator(CDDL)


@pytest.mark.parametrize("what", ["frame", "mac-frame", "private-frame", "command", "reply"])
def test_accepted_messages_fit(judge: Validator, what: str) -> None:
    """Every accepted frame, command and reply is what the CDDL describes."""
    root = "frame" if what.endswith("frame") else what
    assert [name for name, raw in of(what, ACCEPTED).items() if not judge.validate(raw, root_type=root).valid] == []


def test_accepted_private_contents_fit(judge: Validator) -> None:
    """What is encrypted in the accepted frames is what the CDDL describes."""
    inside = [vector["expect"]["inside"] for vector in ACCEPTED if vector["what"] == "private-frame"]
    assert len(inside) > 20
    assert [
        each for each in inside if not judge.validate(cbor.encode(meant(each)), root_type="private-map").valid
    ] == []


def test_accepted_frames_fit_pycddl() -> None:
    """pycddl, layer by layer, takes every accepted frame."""
    assert [name for name, raw in of("frame", ACCEPTED).items() if not fits(raw)] == []


def test_frames_of_a_device_fit(judge: Validator) -> None:
    """Frames of every kind, as the SDK writes them, fit for both judges."""
    device = FakeDevice()
    frames = [
        device.descriptor(),
        device.sampled(),
        device.status(),
        device.reboot(burn=3),
        device.dropped([device.status()]),
    ]
    assert [fits(raw) and judge.validate(raw, root_type="frame").valid for raw in frames] == [True] * len(frames)


def test_frames_of_the_firmware_fit(judge: Validator, micropython: Callable[..., Any], tmp_path: Path) -> None:
    """Frames of every kind, as the firmware makes them, fit for both judges."""
    frames = made_by_firmware(micropython, tmp_path).frames
    assert [fits(raw) and judge.validate(raw, root_type="frame").valid for raw in frames] == [True] * 11


def test_broken_frames_are_refused(judge: Validator) -> None:
    """Of the refused frames exactly those fit whose fault CDDL has no words for."""
    refused = of("frame", [vector for vector in REFUSED if vector["error"] in REASONS])
    assert {name for name, raw in refused.items() if judge.validate(raw, root_type="signed-frame").valid} == BEYOND


def test_broken_frames_are_refused_by_pycddl() -> None:
    """pycddl refuses at least so many of each reason."""
    found = Counter(
        vector["error"] for vector in REFUSED if vector["what"] == "frame" and not fits(bytes.fromhex(vector["hex"]))
    )
    assert {reason: min(found[reason], number) for reason, number in FOUND_BY_PYCDDL.items()} == FOUND_BY_PYCDDL


def test_limits_are_those_of_spec() -> None:
    """The numbers in the CDDL are the limits of `spec`."""
    limit = spec.Limit
    for text in (
        f"seq = 1..{limit.MAX_SEQ}",
        f"boot = 1..{limit.MAX_BOOT}",
        f"label = tstr .size (0..{limit.MAX_TEXT})",
        f"channel-id = 0..{limit.MAX_CHANNELS - 1}",
        f"[1*{limit.MAX_CHANNELS} channel]",
        f"[0*{limit.MAX_MARKS} mark-run]",
        f"[0*{limit.MAX_SCALARS} scalar]",
        f"[1*{limit.MAX_EVENTS} event]",
        f"[1*{limit.MAX_RANGES} seq-range]",
        f"[1*{limit.MAX_COEFFICIENTS} decimal]",
        f"? 5: 0..{limit.MAX_STREAMS - 1},",
        f"7: 1..{limit.MAX_BITS},",
        f"counts = {-(1 << limit.MAX_BITS - 1)}..{(1 << limit.MAX_BITS - 1) - 1}",
        f"start: 0..{limit.MAX_BLOCK_SAMPLES - 1}, length: 1..{limit.MAX_BLOCK_SAMPLES}]",
        f"exponent = {-limit.MAX_EXPONENT}..{limit.MAX_EXPONENT}",
        f"accuracy = 0..{limit.MAX_ACCURACY} ",
        f"signature = bstr .size {spec.SIGNATURE_SIZE}",
        f'{{1: "{spec.CAPTURE_FORMAT}", 2: {spec.VERSION}}}',
    ):
        assert text in TEXT, text
