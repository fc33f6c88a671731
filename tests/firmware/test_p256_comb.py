"""The device's multiplication of the generator: its edges, its two exceptional scalars, its blinding."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.openssl import N, ask, openssl_verifies, public, vectors

from vitalwire_tools.codegen.p256_table import BLOCKS, ROWS, SPACING, TEETH


@pytest.fixture
def device(micropython: Callable, tmp_path: Path) -> Callable[..., list]:
    """Ask the device."""
    return partial(ask, micropython, tmp_path)


# Row r of the comb adds R_r, the sum over blocks b and teeth t of +-2^(11 b + 43 t) by the digits at r + 11 b + 43 t:
# T becomes 2 T + R_r, from row 10 down to row 0, where T is k. Within a row, points with factors u and v are added
# whose 2-adic valuations differ (0 and 11, 22 and 33, then 0 and 22), and |u| + |v| < N: never equal, never opposite.
# Between rows 2 T is even and R_r odd, so 2 T -+ R_r = 0 modulo N needs |2 T -+ R_r| >= N. The sum is the next T, at
# most N / 2^r + 2^249, and in row 0 it is k: never 0. The difference reaches N in row 0 only, where it is k - 2 R_0:
# the one exception is k = N + 2 R_0, for which the comb would have to add a point to itself. Bit i + 1 of k is the
# digit at i, and adding that digit's term to 2 R_0 flips exactly this bit, so the digits of R_0 follow one from the
# other: there is one such k, and, as even k are taken from N, its negative.


def exceptional_scalars() -> tuple[int, int]:
    """Return the two scalars that the comb cannot multiply, by the argument above."""
    sum_of_row = 0
    for i in sorted(block * ROWS + tooth * SPACING for block in range(BLOCKS) for tooth in range(TEETH)):
        positive = not (N + 2 * sum_of_row) >> (i + 1) & 1
        sum_of_row += (1 if positive else -1) << i
    k = N + 2 * sum_of_row
    return k, N - k


def test_the_two_exceptional_scalars_fail_and_no_neighbour_does(device: Callable) -> None:
    """The only scalars for which the comb adds a point to itself are known, and are refused."""
    k, negative = exceptional_scalars()
    assert 0 < negative < k < N
    body = """
import identity
for d in map(number, cases):
    try:
        put(["%x" % c for c in identity.public_key(d)])
    except ValueError as error:
        put(str(error))
"""
    near = [k - 2, k - 1, k + 1, k + 2, negative - 2, negative - 1, negative + 1, negative + 2]
    got = device(body, [f"{d:x}" for d in (k, negative, *near)])
    assert got == ["secret", "secret"] + [[f"{c:x}" for c in public(d)] for d in near]


def test_edge_scalars(device: Callable) -> None:
    """Scalars at the ends, powers of two, their neighbours and regular digit patterns multiply as in OpenSSL."""
    scalars = {1, 2, 3, 4, 5, N - 1, N - 2, N - 3, N // 2, N // 2 + 1, 2**255 - 19}
    scalars |= {2**i + j for i in range(2, 256) for j in (-1, 0, 1)}
    ones = [2**width - 1 for width in (1, 2, ROWS, ROWS - 1, SPACING, SPACING - 1, 128)]
    for period in (2, 3, 6, ROWS, 2 * ROWS, SPACING, SPACING - 1, SPACING + 1, 2 * SPACING, 129):
        for pattern in ones:
            scalars.add(sum((pattern & (1 << period) - 1) << i for i in range(0, 300, period)) % N)
    cases = sorted(scalars - {0})
    body = """
import identity
for d in map(number, cases):
    put(["%x" % c for c in identity.public_key(d)])
"""
    assert device(body, [f"{d:x}" for d in cases], heap="4m") == [[f"{c:x}" for c in public(d)] for d in cases]


def test_nist_keys_and_nonces(device: Callable) -> None:
    """CAVS SigGen P-256 SHA-256: public keys from d and r from k."""
    groups = [group for group in vectors("SigGen.txt") if "k" in group]
    assert len(groups) == 15
    body = """
import identity
for d, k in cases:
    r = identity.public_key(number(k))[0] % p256.N
    put(["%064x" % c for c in identity.public_key(number(d)) + (r,)])
"""
    got = device(body, [(g["d"], g["k"]) for g in groups])
    assert got == [[g["Qx"], g["Qy"], g["R"]] for g in groups]


def test_blinding_changes_the_numbers_but_not_the_point(device: Callable) -> None:
    """The same scalar under two blinds ends in two representatives of one point."""
    body = """
for k in map(number, cases):
    x, y, v, w = run(p256.multiply(k, 0x123456789))
    a, b, c, d = run(p256.multiply(k, (1 << 128) - 1))
    put([v != c, (x * c - a * v) % p256.P == 0, (y * d - b * w) % p256.P == 0])
"""
    assert device(body, [f"{N // i:x}" for i in range(2, 12)]) == [[True, True, True]] * 10


def test_unusable_nonces_are_passed_over(device: Callable) -> None:
    """A nonce of 0, of N, or the one the comb cannot multiply is replaced by the generator's next."""
    d, digest = N // 7, hashlib.sha256(b"retry").digest()
    body = """
d, digest, exceptional, n = cases
hmac, multiply, calls, seen = p256.hmac, p256.multiply, [], []
bad = {3: bytes(32), 5: bytes.fromhex(n), 7: bytes.fromhex(exceptional)}
def forced(key, *parts):
    if len(parts) == 1:
        calls.append(1)
        if len(calls) in bad:
            return bad[len(calls)]
    return hmac(key, *parts)
def spy(k, blind):
    put("%064x" % k)
    return multiply(k, blind)
p256.hmac, p256.multiply = forced, spy
put(run(p256.Signer(bytes.fromhex(d)).sign(bytes.fromhex(digest))).hex())
"""
    exceptional = f"{exceptional_scalars()[0]:064x}"
    first, last, signature = device(body, [f"{d:064x}", digest.hex(), exceptional, f"{N:064x}"])
    assert first == exceptional
    assert int(signature[:64], 16) == public(int(last, 16))[0] % N
    assert openssl_verifies(public(d), digest, bytes.fromhex(signature))
