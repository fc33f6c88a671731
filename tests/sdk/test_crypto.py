"""Signatures, MACs and thumbprints, against published values and an independent making of the same bytes."""

from __future__ import annotations

import hashlib
import hmac

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from vitalwire import crypto
from vitalwire.errors import CborError, FrameError, SignatureError, UsageError, VitalwireError
from vitalwire.testing import flipped, high_s, unprotected
from vitalwire_protocol import spec

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
PAYLOAD = bytes(range(200))


def cose(tag: int, protected: object, header: object, payload: object, tail: object) -> bytes:
    """Return a COSE message made by `cbor2` from these parts."""
    protected = cbor2.dumps(protected) if isinstance(protected, dict) else protected
    return cbor2.dumps(cbor2.CBORTag(tag, [protected, header, payload, tail]))


def by_hand(payload: bytes, alg: int, aad: bytes) -> bytes:
    """Return a COSE_Sign1 made with `cbor2` and `cryptography` alone, with low s."""
    protected = cbor2.dumps({1: alg})
    structure = cbor2.dumps(["Signature1", protected, aad, payload])
    while True:
        der = KEY.sign(structure, ec.ECDSA(SHA256()))
        r, s = decode_dss_signature(der)
        if s <= crypto.HALF_ORDER:
            return cose(18, protected, {}, payload, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


# ---------------------------------------------------------------- COSE_Sign1


@pytest.mark.parametrize("alg", [spec.Alg.ES256, spec.Alg.ESP256])
@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 3900])
def test_independent_signatures_verify(alg: int, size: int) -> None:
    """A frame made by other libraries, of either name of the algorithm and any size, is opened and verifies."""
    raw = by_hand(bytes(size), alg, b"vitalwire/1 frame")
    assert crypto.sign1_payload(raw) == bytes(size)
    crypto.verify_sign1(raw, KEY.public_key())


def test_our_signatures_verify_independently() -> None:
    """What `sign1` makes is the tagged Sign1 of RFC 9052 with low s, the same each time (RFC 6979)."""
    raw = crypto.sign1(KEY, PAYLOAD)
    message = cbor2.loads(raw)
    protected, header, payload, signature = message.value
    assert (message.tag, protected, dict(header), payload) == (18, bytes.fromhex("a10126"), {}, PAYLOAD)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    assert s <= crypto.HALF_ORDER
    structure = cbor2.dumps(["Signature1", protected, b"vitalwire/1 frame", payload])
    KEY.public_key().verify(encode_dss_signature(r, s), structure, ec.ECDSA(SHA256()))
    assert crypto.sign1(KEY, PAYLOAD) == raw


def test_every_bit_of_a_frame_counts() -> None:
    """No single changed bit of a frame passes both the form and the signature."""

    def check(raw: bytes) -> None:
        crypto.sign1_payload(raw)
        crypto.verify_sign1(raw, KEY.public_key())

    raw = crypto.sign1(KEY, b"short")
    check(raw)
    for bit in range(8 * len(raw)):
        with pytest.raises(VitalwireError) as caught:
            check(flipped(raw, bit))
        assert caught.value.reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (high_s(crypto.sign1(KEY, PAYLOAD)), "high-s"),
        (crypto.sign1(OTHER, PAYLOAD), "signature"),
        (by_hand(PAYLOAD, -7, b"vitalwire/1 command"), "signature"),
        (by_hand(PAYLOAD, -7, b""), "signature"),
        (crypto.sign1(KEY, PAYLOAD)[:-64] + bytes(64), "signature"),
        (crypto.sign1(KEY, PAYLOAD)[:-32] + bytes(32), "signature"),
        (crypto.sign1(KEY, PAYLOAD)[:-64] + b"\xff" * 32 + bytes(31) + b"\x01", "signature"),
    ],
)
def test_wrong_signatures_are_refused(raw: bytes, reason: str) -> None:
    """High s, another key, another use of the key, and r or s out of range: each is a `SignatureError`."""
    crypto.sign1_payload(raw)
    with pytest.raises(SignatureError) as caught:
        crypto.verify_sign1(raw, KEY.public_key())
    assert caught.value.reason == reason


SIGNED = crypto.sign1(KEY, PAYLOAD)
TAIL = SIGNED[-64:]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "truncated"),
        (SIGNED[:-1], "truncated"),
        (SIGNED[:9], "truncated"),
        (SIGNED + b"\0", "trailing"),
        (SIGNED[1:], "tag"),
        (b"\xd1" + SIGNED[1:], "tag"),
        (b"\xd8\x12" + SIGNED[1:], "not-deterministic"),
        (b"\xd2\x98\x04" + SIGNED[2:], "not-deterministic"),
        (cose(18, {1: -7}, {}, PAYLOAD[:10], TAIL).replace(b"\x4a", b"\x58\x0a", 1), "not-deterministic"),
        (cose(18, {1: -7}, {}, PAYLOAD, TAIL).replace(b"\x58\xc8", b"\x59\x00\xc8", 1), "not-deterministic"),
        (cose(18, {1: -7}, {}, PAYLOAD, TAIL).replace(b"\x58\xc8", b"\x5a\x00\x00\x00\xc8", 1), "not-deterministic"),
        (unprotected(SIGNED), "unprotected"),
        (unprotected(SIGNED, {1: -7}), "unprotected"),
        (cose(18, {1: -35}, {}, PAYLOAD, TAIL), "algorithm"),
        (cose(18, {1: -8}, {}, PAYLOAD, TAIL), "algorithm"),
        (cose(18, {1: True}, {}, PAYLOAD, TAIL), "algorithm"),
        (cose(18, {1: -7, 4: b"k"}, {}, PAYLOAD, TAIL), "protected"),
        (cose(18, {}, {}, PAYLOAD, TAIL), "protected"),
        (cose(18, b"", {}, PAYLOAD, TAIL), "protected"),
        (cose(18, b"\x01", {}, PAYLOAD, TAIL), "protected"),
        (cose(18, {1: -7, 2: [1]}, {}, PAYLOAD, TAIL), "crit"),
        (cose(18, {1: -7}, {}, PAYLOAD, TAIL[:-1]), "signature-size"),
        (cose(18, {1: -7}, {}, PAYLOAD, b""), "signature-size"),
        (cose(18, {1: -7}, {}, "text", TAIL), "form"),
        (cose(18, {1: -7}, [], PAYLOAD, TAIL), "form"),
        (b"\xd2\x83" + SIGNED[2:-66], "form"),
        (b"\xd2\x01", "form"),
        (crypto.sign1(KEY, bytes(4032)), "oversized"),
        (bytes(1_000_000), "oversized"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # the bytes differ from run to run
)
def test_other_forms_are_refused(raw: bytes, reason: str) -> None:
    """Each other form of a Sign1 is refused for its own reason before any key is asked for."""
    with pytest.raises((FrameError, CborError)) as caught:
        crypto.sign1_payload(raw)
    assert caught.value.reason == reason


def test_the_largest_frame_is_accepted() -> None:
    """A frame of exactly MAX_FRAME bytes passes, one more byte does not."""
    overhead = len(crypto.sign1(KEY, bytes(1000))) - 1000
    assert len(crypto.sign1_payload(crypto.sign1(KEY, bytes(4032 - overhead)))) == 4032 - overhead
    with pytest.raises(FrameError, match="4033"):
        crypto.sign1_payload(crypto.sign1(KEY, bytes(4033 - overhead)))


# ---------------------------------------------------------------- COSE_Mac0


def test_mac0_equals_the_published_example() -> None:
    """cose-wg/Examples mac0-tests/HMac-01 is the form we use, with an empty external_aad."""
    key = bytes.fromhex("849B57219DAE48DE646D07DBB533566E976686457C1491BE3A76DCEA6C427188")
    message = bytes.fromhex(
        "D18443A10105A054546869732069732074686520636F6E74656E742E"
        "5820A1A848D3471F9D61EE49018D244C824772F223AD4F935293F1789FC3A08D8C58"
    )
    assert crypto.mac0(key, b"This is the content.", b"") == message
    assert crypto.open_mac0(key, message, b"") == b"This is the content."


def test_a_mac_is_for_one_use_and_one_key() -> None:
    """Another key, another use, any changed bit: refused."""
    key = bytes(range(32))
    message = crypto.mac0(key, PAYLOAD, spec.AAD_COMMAND)
    assert crypto.open_mac0(key, message, spec.AAD_COMMAND) == PAYLOAD
    for wrong, aad in ((bytes(32), spec.AAD_COMMAND), (key, spec.AAD_REPLY), (key, b"")):
        with pytest.raises(SignatureError) as caught:
            crypto.open_mac0(wrong, message, aad)
        assert caught.value.reason == "mac"
    for bit in range(8 * len(message)):
        with pytest.raises(VitalwireError):
            crypto.open_mac0(key, flipped(message, bit), spec.AAD_COMMAND)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (cose(17, {1: 5}, {}, b"x", bytes(31)), "mac"),
        (cose(17, {1: 5}, {}, b"x", bytes(16)), "mac"),
        (cose(17, {1: 4}, {}, b"x", bytes(32)), "algorithm"),
        (cose(17, {1: 5}, {4: b"k"}, b"x", bytes(32)), "unprotected"),
        (cose(18, {1: 5}, {}, b"x", bytes(32)), "tag"),
        (SIGNED, "tag"),
        (bytes(513), "oversized"),
        (b"", "truncated"),
    ],
)
def test_other_forms_of_mac0_are_refused(message: bytes, reason: str) -> None:
    """A Mac0 has one form, one algorithm and at most MAX_COMMAND bytes."""
    with pytest.raises(VitalwireError) as caught:
        crypto.open_mac0(bytes(32), message, b"")
    assert caught.value.reason == reason


def test_command_key_is_hkdf() -> None:
    """The key is RFC 5869's extract and expand, computed here with `hmac` alone."""
    secret, thumbprint = bytes(range(32)), bytes(range(100, 132))
    extracted = hmac.digest(thumbprint, secret, "sha256")
    assert crypto.command_key(secret, thumbprint) == hmac.digest(extracted, b"vitalwire/1 command mac\x01", "sha256")
    with pytest.raises(UsageError):
        crypto.command_key(secret[:-1], thumbprint)


# ---------------------------------------------------------------- keys


def test_thumbprint_of_the_rfc() -> None:
    """RFC 9679 section 6: the published key has the published thumbprint."""
    x = bytes.fromhex("65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d")
    y = bytes.fromhex("1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c")
    expected = "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"
    assert crypto.thumbprint(b"\x04" + x + y).hex() == expected
    assert crypto.point_of({1: 2, -1: 1, -2: x, -3: y}) == b"\x04" + x + y


POINT = crypto.public_point(KEY)
GOOD = {1: 2, -1: 1, -2: POINT[1:33], -3: POINT[33:]}


@pytest.mark.parametrize(
    "key",
    [
        None,
        {},
        [],
        GOOD | {1: 1},
        GOOD | {-1: 2},
        GOOD | {-1: True},
        GOOD | {-2: GOOD[-3]},
        GOOD | {-2: GOOD[-2][:31]},
        GOOD | {-3: True},
        GOOD | {2: b"kid"},
        {k: v for k, v in GOOD.items() if k != -3},
    ],
)
def test_other_public_keys_are_refused(key: object) -> None:
    """Another curve, another form, more parameters, or a point that is not on the curve."""
    with pytest.raises(FrameError) as caught:
        crypto.point_of(key)
    assert caught.value.reason == "public-key"


def test_thumbprint_is_the_hash_of_the_cose_key() -> None:
    """The encoded COSE_Key has its keys in the order 1, -1, -2, -3 and its SHA-256 is the thumbprint."""
    assert crypto.cose_key(POINT).hex().startswith("a4010220012158" + "20")
    assert crypto.thumbprint(POINT) == hashlib.sha256(cbor2.dumps(GOOD)).digest()
