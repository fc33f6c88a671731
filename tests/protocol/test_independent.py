"""Two independent COSE libraries, `pycose` and `cwt`, take our frames, commands and replies for what they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cwt import COSE, COSEKey
from cwt.exceptions import CWTError
from pycose.exceptions import CoseException
from pycose.headers import IV
from pycose.keys import EC2Key, SymmetricKey
from pycose.keys.curves import P256
from pycose.messages import Enc0Message, Mac0Message, Sign1Message
from tests.protocol.made import made_by_firmware
from tests.protocol.run_vectors import meant
from tests.protocol.test_vectors import lines

from vitalwire import crypto
from vitalwire.testing import FakeDevice, flipped
from vitalwire_protocol import spec

VECTORS = lines()
FRAMES = [vector for vector in VECTORS if vector["what"] == "frame"]


def pycose_takes(raw: bytes, x: bytes, y: bytes, aad: bytes = spec.AAD_FRAME) -> bytes | None:
    """Return the payload if pycose verifies the frame."""
    try:
        message = Sign1Message.decode(raw)
        message.external_aad = aad
        message.key = EC2Key(crv=P256, x=x, y=y)
        return message.payload if message.verify_signature() else None
    except (CoseException, TypeError, ValueError, AttributeError):
        return None


def cwt_takes(raw: bytes, x: bytes, y: bytes, aad: bytes = spec.AAD_FRAME) -> bytes | None:
    """Return the payload if cwt verifies the frame."""
    key = COSEKey.new({1: 2, 3: -7, -1: 1, -2: x, -3: y})
    try:
        return COSE.new().decode(raw, key, external_aad=aad)
    except (CWTError, ValueError, TypeError):
        return None


JUDGES = pytest.mark.parametrize("takes", [pycose_takes, cwt_takes])
Judge = Callable[..., bytes | None]


@JUDGES
def test_accepted_frames_verify(takes: Judge) -> None:
    """Every accepted ES256 frame verifies and has the payload that the vector's map is."""
    some = [vector for vector in FRAMES if "expect" in vector and vector["key"]["algorithm"] == spec.Alg.ES256]
    assert len(some) >= 30
    for vector in some:
        key = meant(vector["key"]["public_key"])
        payload = takes(bytes.fromhex(vector["hex"]), key["x"], key["y"])
        assert payload is not None, vector["name"]
        assert cbor2.loads(payload) == meant(vector["expect"]), vector["name"]


@JUDGES
def test_forged_frames_do_not(takes: Judge) -> None:
    """No frame refused for its signature verifies."""
    forged = [vector for vector in FRAMES if vector.get("error") == "signature"]
    key = meant(forged[0]["key"]["public_key"])
    assert [vector["name"] for vector in forged if takes(bytes.fromhex(vector["hex"]), key["x"], key["y"])] == []


@JUDGES
def test_frames_of_a_device_verify_until_a_bit_flips(takes: Judge) -> None:
    """What the SDK signs verifies, and does not with a bit of its payload flipped or for another use."""
    device = FakeDevice()
    x, y = device.point[1:33], device.point[33:]
    for raw in (device.descriptor(), device.sampled(), device.status()):
        assert takes(raw, x, y) == crypto.sign1_payload(raw)
        assert takes(flipped(raw, 8 * 40), x, y) is None
        assert takes(raw, x, y, spec.AAD_COMMAND) is None


@JUDGES
def test_frames_of_the_firmware_verify(takes: Judge, micropython: Callable[..., Any], tmp_path: Path) -> None:
    """What the firmware signs verifies."""
    frames = made_by_firmware(micropython, tmp_path).frames
    key = cbor2.loads(crypto.sign1_payload(frames[0]))[spec.Key.PUBLIC_KEY]
    assert [takes(raw, key[-2], key[-3]) == crypto.sign1_payload(raw) for raw in frames] == [True] * 11


@pytest.mark.parametrize("what", ["command", "reply"])
def test_macs_verify(what: str) -> None:
    """pycose and cwt verify every closed command and reply under the derived key, and neither for the other use."""
    uses = {"command": spec.AAD_COMMAND, "reply": spec.AAD_REPLY}
    other = next(aad for use, aad in uses.items() if use != what)
    closed = [each for each in VECTORS if each["what"] == what and each.get("expect", {}).get("closed")]
    assert len(closed) >= 4
    for vector in closed:
        raw, key = bytes.fromhex(vector["hex"]), meant(vector["key"])
        secret = crypto.command_key(key["secret"], key["thumbprint"])
        assert pycose_opens(raw, secret, uses[what]) == cwt_opens(raw, secret, uses[what]) != None, vector["name"]  # noqa: E711
        assert pycose_opens(raw, secret, other) is None
        assert cwt_opens(raw, secret, other) is None


def test_macs_of_frames_verify() -> None:
    """pycose and cwt verify every frame with a MAC under the derived key, and not as a command."""
    maced = [vector for vector in VECTORS if vector["what"] == "mac-frame" and "expect" in vector]
    assert len(maced) >= 10
    for vector in maced:
        raw, key = bytes.fromhex(vector["hex"]), meant(vector["key"])
        secret = crypto.frame_key(key["secret"], key["thumbprint"])
        assert cbor2.loads(pycose_opens(raw, secret, spec.AAD_FRAME)) == meant(vector["expect"]), vector["name"]
        assert cwt_opens(raw, secret, spec.AAD_FRAME) is not None
        assert pycose_opens(raw, secret, spec.AAD_COMMAND) is None


def test_private_contents_decrypt() -> None:
    """pycose, told the nonce, decrypts what every frame keeps private."""
    hiding = [vector for vector in VECTORS if vector["what"] == "private-frame" and "expect" in vector]
    assert len(hiding) >= 20
    for vector in hiding:
        key, expect = meant(vector["key"]), meant(vector["expect"])
        parts = cbor2.loads(cbor2.loads(bytes.fromhex(vector["hex"])).value[2])[spec.Key.PRIVATE]
        message = Enc0Message.from_cose_obj(parts, allow_unknown_attributes=False)
        boot, seq = expect["outside"][spec.Key.BOOT], expect["outside"][spec.Key.SEQ]
        message.uhdr = {IV: boot.to_bytes(4, "little") + seq.to_bytes(4, "little") + bytes(5)}
        message.external_aad = spec.AAD_PRIVATE
        message.key = SymmetricKey(k=crypto.encryption_key(key["secret"], key["thumbprint"]))
        assert cbor2.loads(message.decrypt()) == expect["inside"], vector["name"]


def pycose_opens(raw: bytes, secret: bytes, aad: bytes) -> Any:
    """Return the payload if pycose verifies the MAC."""
    message = Mac0Message.decode(raw)
    message.external_aad = aad
    message.key = SymmetricKey(k=secret)
    return message.payload if message.verify_tag() else None


def cwt_opens(raw: bytes, secret: bytes, aad: bytes) -> Any:
    """Return the payload if cwt verifies the MAC."""
    try:
        return COSE.new().decode(raw, COSEKey.new({1: 4, 3: 5, -1: secret}), external_aad=aad)
    except CWTError:
        return None
