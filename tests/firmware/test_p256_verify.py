"""Verification on the device, against OpenSSL, NIST's vectors and what an attacker would send."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.openssl import B, N, P, ask, low, openssl_signs, openssl_verifies, public, vectors

VERIFY = """
import p256_verify
for x, y, digest, signature in cases:
    verdict = run(p256_verify.verify((number(x), number(y)), bytes.fromhex(digest), bytes.fromhex(signature)))
    put(verdict)
"""


@pytest.fixture
def device(micropython: Callable, tmp_path: Path) -> Callable[..., list]:
    """Ask the device."""
    return partial(ask, micropython, tmp_path)


def case(point: tuple[int, int], digest: bytes, r: int, s: int) -> tuple[str, str, str, str]:
    """Return one case of VERIFY."""
    return f"{point[0]:x}", f"{point[1]:x}", digest.hex(), f"{r:064x}{s:064x}"


def test_nist_verdicts(device: Callable) -> None:
    """CAVS SigVer P-256 SHA-256: the published verdict for the signature with low s, False for its twin."""
    cases, expected = [], []
    for group in vectors("SigVer.rsp"):
        digest = hashlib.sha256(bytes.fromhex(group["Msg"])).digest()
        point, r, s = (int(group["Qx"], 16), int(group["Qy"], 16)), int(group["R"], 16), int(group["S"], 16)
        cases += [case(point, digest, r, low(s)), case(point, digest, r, N - low(s))]
        expected += [group["Result"].startswith("P"), False]
    assert len(cases) == 30
    assert expected.count(True) in range(2, 15)
    assert device(VERIFY, cases) == expected


def test_verification_agrees_with_openssl(device: Callable, long: bool) -> None:
    """Signatures by OpenSSL are accepted; with any one bit of digest, signature or key flipped they are not."""
    chance = random.Random(2)
    cases, expected = [], []
    for _ in range(100 if long else 8):
        d, digest = chance.randrange(1, N), chance.randbytes(32)
        signature, point = openssl_signs(d, digest), public(d)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        cases.append(case(point, digest, r, s))
        expected.append(True)
        bit = 1 << chance.randrange(256)
        wrong = (int.from_bytes(digest, "big") ^ bit).to_bytes(32, "big")
        cases += [case(point, wrong, r, s), case(point, digest, r ^ bit, s), case(point, digest, r, s ^ bit)]
        cases += [case((point[0] ^ bit, point[1]), digest, r, s), case((point[0], P - point[1]), digest, r, s)]
        expected += [False] * 5
    assert device(VERIFY, cases, heap="4m") == expected


def test_malformed_input_is_false(device: Callable) -> None:
    """Wrong lengths, numbers out of range, points off the curve and high s are refused."""
    d, digest = N // 3, hashlib.sha256(b"x").digest()
    signature, (x, y) = openssl_signs(d, digest), public(d)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    base = [f"{x:x}", f"{y:x}", digest.hex(), signature.hex()]
    bad: list[object] = [case((x, y), digest, r, N - s), case((x, y), digest, 0, s), case((x, y), digest, r, 0)]
    bad += [case((x, y), digest, N, s), case((x, y), digest, N + r if N + r < 2**256 else 2**256 - 1, s)]
    bad += [case((x, y), digest, r, N), case((0, 0), digest, r, s), case((x, y + 1), digest, r, s)]
    bad += [case((x + P, y), digest, r, s), case((x, y + P), digest, r, s), case((x, y - P), digest, r, s)]
    padded = signature.hex()[:64] + "00" + signature.hex()[64:]
    bad += [[*base[:3], text] for text in ("", signature.hex()[:-2], signature.hex() + "00", padded)]
    bad += [[*base[:2], text, base[3]] for text in ("", digest.hex()[:-2], digest.hex() + "00", "00" + digest.hex())]
    assert device(VERIFY, [base, *bad]) == [True] + [False] * len(bad)


def add(a: tuple[int, int] | None, b: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return a + b, affine; None is infinity."""
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    rise, run = (3 * (a[0] * a[0] - 1), 2 * a[1]) if a == b else (a[1] - b[1], a[0] - b[0])
    slope = rise * pow(run, -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k: int, point: tuple[int, int]) -> tuple[int, int]:
    """Return k * point."""
    total = None
    for bit in f"{k % N:b}":
        total = add(total, total)
        total = add(total, point) if bit == "1" else total
    assert total is not None
    return total


def test_x_above_the_order_is_reduced(device: Callable) -> None:
    """A valid signature whose point has N <= x < P, so that r = x - N, is accepted as OpenSSL accepts it."""
    x = next(x for x in range(N, P) if pow(x**3 - 3 * x + B, (P - 1) // 2, P) == 1)
    y = pow(x**3 - 3 * x + B, (P + 1) // 4, P)
    r, s, digest = x - N, 12345, hashlib.sha256(b"rare").digest()
    rest = add(times(s, (x, y)), times(N - int.from_bytes(digest, "big") % N, public(1)))
    assert rest is not None
    point = times(pow(r, -1, N), rest)
    assert openssl_verifies(point, digest, r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    wrong = [case(point, digest, r + 1, s), case(point, digest, x, s)]
    assert device(VERIFY, [case(point, digest, r, s), *wrong]) == [True, False, False]


def test_keys_related_to_the_generator(device: Callable) -> None:
    """Where G and the key have small multiples in common, sums meet equal and opposite points: as OpenSSL answers."""
    digests = [hashlib.sha256(bytes([i])).digest() for i in range(12)]
    cases, expected = [], []
    for d in (1, 2, 3, 5, N // 3, N // 2, N - 3, N - 2, N - 1):
        for digest in digests:
            signature = openssl_signs(d, digest)
            # the second makes u1 * G and u2 * Q opposite
            infinite = -int.from_bytes(digest, "big") * pow(d, -1, N) % N
            for r, s in ((int(signature[:32].hex(), 16), int(signature[32:].hex(), 16)), (infinite, 5)):
                cases.append(case(public(d), digest, r, s))
                expected.append(openssl_verifies(public(d), digest, bytes.fromhex(f"{r:064x}{s:064x}")))
    assert expected.count(True) == len(cases) // 2
    assert device(VERIFY, cases) == expected


def test_a_key_off_the_curve_is_refused_even_where_the_sum_agrees(device: Callable) -> None:
    """A point of another curve with the same a, and a digest of 0, for which G does not enter the sum, gives False."""
    point = (2, 3)
    assert (point[1] ** 2 - point[0] ** 3 + 3 * point[0] - B) % P
    r = times(7, point)[0] % N
    assert device(VERIFY, [case(point, bytes(32), r, low(r * pow(7, -1, N) % N))]) == [False]


def test_zero_digest_verifies(device: Callable) -> None:
    """A digest of 0 or N, for which one of the two factors is 0, verifies as in OpenSSL."""
    d = N // 9
    cases = []
    for digest in (bytes(32), N.to_bytes(32, "big")):
        signature = openssl_signs(d, digest)
        cases.append(case(public(d), digest, int(signature[:32].hex(), 16), int(signature[32:].hex(), 16)))
    assert device(VERIFY, cases) == [True, True]
