"""Frames with a MAC and frames that keep something private: sections 2 and 5, and the keys they need."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .block import blocks
from .blocks import READOUTS, STREAMS, TICKS
from .frames import MARKS, SCALARS, UTC, History, descriptor
from .independent import ALICE, BOB, HMAC, Device, Table, Vector, accept, encode, mac0, refuse_all, sign1

CCM = bytes.fromhex("a1010a")
FRAME_AAD, PRIVATE_AAD = b"vitalwire/1 frame", b"vitalwire/1 private"
USES = {b"vitalwire/1 command mac": 32, b"vitalwire/1 frame mac": 32, b"vitalwire/1 private": 16}
HIDDEN = {9: blocks(TICKS, READOUTS, STREAMS), 10: MARKS, 11: SCALARS}
FALL = [6, -70_000, {}]
OFF = [2, 0, {1: 0}]
BOOTED = [1, -1_000, {3: 1}]


def derived(device: Device, info: bytes) -> bytes:
    """Return one of the keys made from a device's secret."""
    return HKDF(hashes.SHA256(), USES[info], salt=device.thumbprint, info=info).derive(device.secret)


def maced(
    payload: bytes,
    device: Device = ALICE,
    *,
    aad: bytes = FRAME_AAD,
    protected: bytes = HMAC,
    unprotected: dict[Any, Any] | None = None,
    context: str = "MAC0",
    info: bytes = b"vitalwire/1 frame mac",
    size: int = 32,
) -> bytes:
    """Return a frame with a MAC; the options make what readers must refuse."""
    mac = hmac.digest(derived(device, info), encode([context, protected, aad, payload]), "sha256")[:size]
    return encode(cbor2.CBORTag(17, [protected, unprotected or {}, payload, mac]))


def nonce(boot: int, seq: int) -> bytes:
    """Return the nonce of a frame."""
    return boot.to_bytes(4, "little") + seq.to_bytes(4, "little") + bytes(5)


def encrypted(
    plaintext: bytes,
    boot: int,
    seq: int,
    *,
    key: bytes | None = None,
    iv: bytes | None = None,
    aad: bytes = PRIVATE_AAD,
    context: str = "Encrypt0",
    size: int = 8,
) -> bytes:
    """Return ciphertext and tag; the options make what readers must refuse."""
    cipher = AESCCM(key or derived(ALICE, b"vitalwire/1 private"), size)
    return cipher.encrypt(iv or nonce(boot, seq), plaintext, encode([context, CCM, aad]))


class Sealing(History):
    """A device's frames, most of them with a MAC."""

    def mac(self, kind: int, keys: dict[int, Any], *, ticks: int = TICKS) -> tuple[bytes, dict[int, Any]]:
        """Return the next frame, with a MAC, and its map."""
        _, full = self.frame(kind, keys, ticks=ticks)
        raw = maced(encode(full))
        self.frames[-1] = raw
        self.prev = hashlib.sha256(raw).digest()[:16]
        return raw, full


class Hiding(History):
    """A device's frames, some of them with private contents."""

    def private(self, kind: int, outside: dict[int, Any], inside: dict[int, Any]) -> tuple[bytes, dict[str, Any]]:
        """Return the next frame and what is in it."""
        ciphertext = encrypted(encode(inside), self.boot, self.seq + 1)
        raw, full = self.frame(kind, {**outside, 25: [CCM, {}, ciphertext]})
        del full[25]
        return raw, {"outside": full, "inside": inside}


SECRETS = {"secret": ALICE.secret, "thumbprint": ALICE.thumbprint}
SIGNED = {**ALICE.keys, "algorithm": -7}
PRIVATE = {**SIGNED, **SECRETS}


def accepted() -> Iterator[Vector]:
    """Sections 2, 4 and 5: keys, a sealed group, private contents."""
    for device, name in ((ALICE, "alice"), (BOB, "bob")):
        for info in USES:
            of = {"thumbprint": device.thumbprint, "info": info, "length": USES[info]}
            yield accept(f"{info.decode()}, {name}", "derived", device.secret, derived(device, info), of)
    yield from sealed()
    yield from hidden()


def sealed() -> Iterator[Vector]:
    """A group of frames with MACs between two that are signed."""
    history = Sealing()

    def signed(name: str, kind: int, keys: dict[int, Any], **more: int) -> Vector:
        raw, full = history.frame(kind, keys, **more)
        return accept(name, "frame", raw, full, SIGNED)

    def mac(name: str, kind: int, keys: dict[int, Any], **more: int) -> Vector:
        raw, full = history.mac(kind, keys, **more)
        return accept(name, "mac-frame", raw, full, SECRETS)

    yield signed("descriptor that announces seals", 1, descriptor(k21=2), ticks=0)
    yield signed("boot event before the first group", 3, {12: [BOOTED]}, ticks=1_000)
    yield mac("data with a MAC", 2, HIDDEN)
    yield mac("scalars with a MAC", 2, {11: SCALARS})
    yield mac("data with nothing at all and a MAC", 2, {})
    yield mac("event with a MAC", 3, {12: [FALL, OFF]})
    yield mac("status with a MAC", 4, {13: {1: 60}}, ticks=2**40)
    yield mac("UTC and a MAC", 2, {7: UTC, 8: 10})
    yield mac("a kind that is not known, with a MAC", 200, {9: "whatever"})
    short = len(encode(history.frame(2, {30: b""})[1]))
    history.frames.pop()
    history.seq -= 1
    history.prev = hashlib.sha256(history.frames[-1]).digest()[:16]
    for size in (255, 256):
        yield mac(f"a payload of {size} bytes and a MAC", 2, {30: bytes(size - short - 1)})
    yield mac("a frame of exactly 4032 bytes with a MAC", 2, {30: bytes(4032 - 44 - short - 2)})
    assert len(history.frames[-1]) == 4032
    yield signed("data that seals those before it", 2, {11: SCALARS})


def hidden() -> Iterator[Vector]:
    """Frames with contents that only the key opens."""
    history = Hiding()

    def private(name: str, kind: int, outside: dict[int, Any], inside: dict[int, Any]) -> Vector:
        raw, expect = history.private(kind, outside, inside)
        return accept(name, "private-frame", raw, expect, PRIVATE)

    raw, full = history.frame(1, descriptor(k21=3), ticks=0)
    yield accept("descriptor that announces private contents", "frame", raw, full, SIGNED)
    yield private("private data", 2, {}, HIDDEN)
    yield private("boot event, and private ones", 3, {12: [BOOTED]}, {12: [FALL, OFF]})
    yield private("private events only", 3, {}, {12: [OFF]})
    yield private("16 events on two sides", 3, {12: [BOOTED] * 8}, {12: [OFF] * 8})
    yield private("blocks inside, scalars outside", 2, {11: SCALARS}, {9: HIDDEN[9]})
    yield private("private data of a known time", 2, {7: UTC, 8: 10}, {11: SCALARS})
    yield private("nothing inside", 2, {}, {})
    yield private("unknown keys inside", 2, {0: 1}, {-1: True, 0: "kept", 30: b"1", 1000: [[]]})
    for size in (15, 16, 17, 31, 32, 33, 127, 128, 129, 247, 248, 249, 255, 256, 257, 1024):
        inside = next(each for n in range(size) if len(encode(each := {30: bytes(n)})) == size)
        yield private(f"{size} bytes inside", 2, {}, inside)
    history.boot, history.seq = 2**32 - 2, 2**32 - 3
    yield private("private data in the last frame of all", 2, {}, {11: SCALARS})


def refused(good: dict[str, bytes]) -> Iterator[Vector]:
    """What must not be believed of such frames."""
    mac = good["scalars with a MAC"]
    payload = cbor2.loads(mac).value[2]
    signed = good["data that seals those before it"]
    yield from refuse_all("frame", {"tag": {"a good MAC where signatures are announced": mac}}, ALICE.public)
    yield from refuse_all("mac-frame", mac_table(mac, payload, signed), SECRETS)
    yield from refuse_all("private-frame", private_table(), {**ALICE.public, **SECRETS})


def mac_table(mac: bytes, payload: bytes, signed: bytes) -> Table:
    """Return the damage of a frame with a MAC."""
    keys = cbor2.loads(payload)
    room = 4033 - len(maced(encode({**keys, 30: bytes(1000)})))
    return {
        "mac": {
            "a bit of the payload": mac[:60] + bytes([mac[60] ^ 1]) + mac[61:],
            "the last bit": mac[:-1] + bytes([mac[-1] ^ 1]),
            "another device": maced(payload, BOB),
            "the key of commands": maced(payload, info=b"vitalwire/1 command mac"),
            "external_aad of a command": maced(payload, aad=b"vitalwire/1 command"),
            "external_aad of a reply": maced(payload, aad=b"vitalwire/1 reply"),
            "no external_aad": maced(payload, aad=b""),
            "external_aad of a version 2": maced(payload, aad=b"vitalwire/2 frame"),
            "made for many recipients": maced(payload, context="MAC"),
            "made as a signature": maced(payload, context="Signature1"),
            "a command's message": mac0(payload, FRAME_AAD),
            "31 bytes": maced(payload, size=31),
            "16 bytes": maced(payload, size=16),
            "none": maced(payload, size=0),
        },
        "tag": {"a good signature": signed, "that of many recipients": b"\xd8\x61" + mac[1:], "none": mac[1:]},
        "algorithm": {
            "HMAC 256/64": maced(payload, protected=encode({1: 4}), size=8),
            "HMAC 384/384": maced(payload, protected=encode({1: 6})),
            "AES-MAC 128/128": maced(payload, protected=encode({1: 25}), size=16),
            "ES256": maced(payload, protected=encode({1: -7})),
        },
        "protected": {
            "empty": maced(payload, protected=b""),
            "a key id": maced(payload, protected=encode({1: 5, 4: b""})),
        },
        "crit": {"alg itself": maced(payload, protected=encode({1: 5, 2: [1]}))},
        "unprotected": {"a key id": maced(payload, unprotected={4: b"1"})},
        "truncated": {"but one byte": mac[:-1], "but the MAC": mac[:-34]},
        "trailing": {"a zero": mac + b"\0"},
        "oversized": {"4033 bytes": maced(encode({**keys, 30: bytes(1000 + room)}))},
        "not-deterministic": {"the MAC's length in three bytes": mac[:-34] + b"\x59\x00\x20" + mac[-32:]},
    }


def private_table() -> Table:
    """Return the damage of a frame with private contents."""
    outside = {1: 2, 2: 7, 3: 900, 4: bytes(16), 5: bytes(8), 6: 1_000_000}
    inside = encode({11: SCALARS})
    good = encrypted(inside, 7, 900)

    def around(private: Any, keys: dict[int, Any] | None = None) -> bytes:
        return sign1(encode({**outside, **(keys or {}), 25: private}))

    def of(ciphertext: bytes, keys: dict[int, Any] | None = None) -> bytes:
        return around([CCM, {}, ciphertext], keys)

    def holding(item: Any, keys: dict[int, Any] | None = None) -> bytes:
        return of(encrypted(item if isinstance(item, bytes) else encode(item), 7, 900), keys)

    whole = of(good)
    event = {1: 3}
    return {
        "decrypt": {
            "a bit of the ciphertext": of(bytes([good[0] ^ 1]) + good[1:]),
            "the last bit of the tag": of(good[:-1] + bytes([good[-1] ^ 1])),
            "a tag of 4 bytes": of(encrypted(inside, 7, 900, size=4)),
            "a tag of 16 bytes": of(encrypted(inside, 7, 900, size=16)),
            "cut short": of(good[:-1]),
            "the nonce of the frame before": of(encrypted(inside, 7, 899)),
            "the nonce of another boot": of(encrypted(inside, 8, 900)),
            "a nonce of zeros": of(encrypted(inside, 7, 900, iv=bytes(13))),
            "a nonce with seq in front": of(encrypted(inside, 900, 7)),
            "a big-endian nonce": of(encrypted(inside, 7, 900, iv=bytes.fromhex("0000000700000384") + bytes(5))),
            "another device": of(encrypted(inside, 7, 900, key=derived(BOB, b"vitalwire/1 private"))),
            "the key of MACs": of(encrypted(inside, 7, 900, key=derived(ALICE, b"vitalwire/1 frame mac")[:16])),
            "external_aad of a frame": of(encrypted(inside, 7, 900, aad=FRAME_AAD)),
            "no external_aad": of(encrypted(inside, 7, 900, aad=b"")),
            "encrypted for many recipients": of(encrypted(inside, 7, 900, context="Encrypt")),
            "of another frame": of(encrypted(inside, 7, 901)),
        },
        "signature": {
            "a bit of the ciphertext, not signed anew": flipped(whole),
            "another device": sign1(encode({**outside, 25: [CCM, {}, good]}), BOB),
        },
        "form": {
            "a byte string": around(good),
            "a map": around({1: 2}),
            "two parts": around([CCM, {}]),
            "four parts": around([CCM, {}, good, []]),
            "protected as a map": around([{1: 10}, {}, good]),
            "no ciphertext": around([CCM, {}, "x"]),
        },
        "tag": {"tagged": around(cbor2.CBORTag(16, [CCM, {}, good]))},
        "unprotected": {"the nonce": around([CCM, {5: bytes(13)}, good])},
        "protected": {
            "empty": around([b"", {}, good]),
            "the nonce beside": around([encode({1: 10, 5: bytes(13)}), {}, good]),
        },
        "crit": {"alg itself": around([encode({1: 10, 2: [1]}), {}, good])},
        "algorithm": {
            "AES-GCM": around([encode({1: 1}), {}, good]),
            "AES-CCM-16-128-128": around([encode({1: 30}), {}, good]),
            "AES-CCM-64-64-128": around([encode({1: 12}), {}, good]),
            "ChaCha20/Poly1305": around([encode({1: 24}), {}, good]),
            "that of a MAC": around([HMAC, {}, good]),
        },
        "truncated": {
            "a tag alone": of(good[-8:]),
            "nothing": of(b""),
            "the map inside": holding(inside[:-1]),
        },
        "type": {"an array inside": holding([1]), "blocks inside as text": holding({9: "x"})},
        "trailing": {"a byte behind the map inside": holding(inside + b"\0")},
        "float": {"inside": holding({30: 1.5})},
        "range": {"a scalar inside before boot": holding({11: [[6, -1_000_001, 0]]})},
        "marks": {"runs inside that overlap": holding({10: [[0, 1, 0, 10], [0, 1, 9, 2]]})},
        "duplicate-key": {"scalars on both sides": holding({11: SCALARS}, {11: SCALARS})},
        "items": {
            "17 events on two sides": holding({12: [OFF]}, {**event, 12: [BOOTED] * 16}),
            "17 events inside": holding({12: [OFF] * 17}, event),
        },
        "missing-key": {
            "no ticks": sign1(encode({key: outside[key] for key in (1, 2, 3, 4, 5)} | {25: [CCM, {}, good]}))
        },
    }


def flipped(frame: bytes) -> bytes:
    """Return a frame with a bit of its private contents changed and its old signature."""
    place = len(frame) - 66 - 20
    return frame[:place] + bytes([frame[place] ^ 1]) + frame[place + 1 :]
