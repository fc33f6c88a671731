"""Signing on the device, against OpenSSL and published vectors; how it is sliced, and what memory it leaves."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.openssl import N, P, ask, low, openssl_signs, openssl_verifies, public

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
SLICE = 40  # multiplications: 9 ms on an ESP32


@pytest.fixture
def device(micropython: Callable, tmp_path: Path) -> Callable[..., list]:
    """Ask the device."""
    return partial(ask, micropython, tmp_path)


def test_rfc_6979_nonces_and_signatures(device: Callable) -> None:
    """RFC 6979 A.2.5: the nonce k, r and s of both P-256 SHA-256 messages, s lowered."""
    d = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"
    k_sample = "A6E3C57DD01ABE90086538398355DD4C3B17AA873382B0F24D6129493D8AAD60"
    r_sample = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    s_sample = "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    k_test = "D16B6AE827F17175E040871A1C7EC3500192C4C92677336EC2537ACAEE0008E0"
    r_test = "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
    s_test = "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"
    body = """
multiply = p256.multiply
def spy(k, blind):
    put("%064x" % k)
    return multiply(k, blind)
p256.multiply = spy
for d, digest in cases:
    put(run(p256.Signer(bytes.fromhex(d)).sign(bytes.fromhex(digest))).hex())
"""
    got = device(body, [[d, hashlib.sha256(message).hexdigest()] for message in (b"sample", b"test")])
    expected = [k_sample, r_sample + f"{low(int(s_sample, 16)):064X}", k_test, r_test + f"{low(int(s_test, 16)):064X}"]
    assert got == [text.lower() for text in expected]


def test_random_messages_give_what_openssl_gives(device: Callable, results: Callable, long: bool) -> None:
    """Signatures over random keys and digests equal OpenSSL's deterministic ones, have a low s, and verify."""
    chance = random.Random(1)
    count = 10_000 if long else 200
    keys = [chance.randrange(1, N) for _ in range(count // 10)]
    cases = [(f"{chance.choice(keys):064x}", chance.randbytes(32).hex()) for _ in range(count)]
    body = """
for d, digest in cases:
    put(run(p256.Signer(bytes.fromhex(d)).sign(bytes.fromhex(digest))).hex())
"""
    got = device(body, cases, heap="16m")
    assert len(got) == count
    for (d, digest), signature in zip(cases, map(bytes.fromhex, got), strict=True):
        assert int.from_bytes(signature[32:], "big") <= N // 2
        assert signature == openssl_signs(int(d, 16), bytes.fromhex(digest))
        assert openssl_verifies(public(int(d, 16)), bytes.fromhex(digest), signature)
    results("signatures, random keys and digests, against OpenSSL", signatures=count, verified=count, equal=count)


def test_digests_at_the_edges(device: Callable) -> None:
    """Digests of 0, 1, N - 1, N, N + 1 and all ones are signed as OpenSSL signs them."""
    d = N // 3
    cases = [(f"{d:064x}", f"{h:064x}") for h in (0, 1, N - 1, N, N + 1, 2**256 - 1)]
    body = """
for d, digest in cases:
    put(run(p256.Signer(bytes.fromhex(d)).sign(bytes.fromhex(digest))).hex())
"""
    assert device(body, cases) == [openssl_signs(d, bytes.fromhex(digest)).hex() for _, digest in cases]


def nonce_of_rfc_6979(d: int, digest: bytes, extra: bytes) -> int:
    """Return the first nonce of RFC 6979 3.2 with the additional data of 3.6."""
    seed = d.to_bytes(32, "big") + (int.from_bytes(digest, "big") % N).to_bytes(32, "big") + extra
    key, v = bytes(32), b"\1" * 32
    for mark in (b"\0", b"\1"):
        key = hmac.digest(key, v + mark + seed, "sha256")
        v = hmac.digest(key, v, "sha256")
    return int.from_bytes(hmac.digest(key, v, "sha256"), "big")


def test_extra_entropy_hedges_the_nonce(device: Callable) -> None:
    """With a random source 32 fresh bytes enter each nonce as RFC 6979 3.6 says, and the signatures still verify."""
    d, digest = N // 5, hashlib.sha256(b"hedged").digest()
    body = """
drawn = []
def entropy(n):
    drawn.append(bytes([len(drawn) + 1]) * n)
    return drawn[-1]
for d, digest in cases:
    signer = p256.Signer(bytes.fromhex(d), entropy)
    for _ in range(2):
        put(run(signer.sign(bytes.fromhex(digest))).hex())
put([data.hex() for data in drawn])
"""
    *signatures, drawn = device(body, [(f"{d:064x}", digest.hex())])
    assert drawn == ["01" * 32, "02" * 32]
    for signature, extra in zip(map(bytes.fromhex, signatures), map(bytes.fromhex, drawn), strict=True):
        assert int.from_bytes(signature[:32], "big") == public(nonce_of_rfc_6979(d, digest, extra))[0] % N
        assert openssl_verifies(public(d), digest, signature)


def test_what_is_no_key_or_digest_is_refused(device: Callable) -> None:
    """A secret of 0, N or the wrong length, and a digest of the wrong length, raise ValueError."""
    body = """
for secret, digest in cases:
    try:
        run(p256.Signer(bytes.fromhex(secret)).sign(bytes.fromhex(digest)))
        put("accepted")
    except ValueError as error:
        put(str(error))
import identity
for d in (0, p256.N, -1):
    try:
        identity.public_key(d)
        put("accepted")
    except ValueError as error:
        put(str(error))
"""
    secrets = ["00" * 32, f"{N:064x}", "ff" * 32, "01" * 31, "01" * 33, ""]
    cases = [(secret, "00" * 32) for secret in secrets] + [("01" * 32, "00" * n) for n in (0, 31, 33)]
    assert device(body, cases) == ["secret"] * 6 + ["digest"] * 3 + ["secret"] * 3


def test_slices_say_at_most_forty(device: Callable) -> None:
    """Signing and verifying give way often: no yield tells of more than 40 multiplications."""
    body = """
import identity, p256_verify
d, digest = number(cases[0]), bytes.fromhex(cases[1])
signer = p256.Signer(d.to_bytes(32, "big"))
signature, public = run(signer.sign(digest)), identity.public_key(d)
put(list(signer.sign(digest)))
put(list(p256_verify.verify(public, digest, signature)))
"""
    signing, verifying = device(body, [f"{N // 3:x}", "ab" * 32])
    assert 15 < len(signing) < 60
    assert len(verifying) > 256
    assert all(isinstance(work, int) and 0 < work <= SLICE for work in signing + verifying)


def test_slices_hold_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted by a modulus that counts its reductions, no slice does more than it says, and none more than 40."""
    monkeypatch.syspath_prepend(str(FIRMWARE))
    for name in ("mac", "p256_table", "p256"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = importlib.util.spec_from_file_location("p256", FIRMWARE / "p256.py")
    assert spec is not None
    assert spec.loader is not None
    p256 = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(p256)
    count = 0

    class Counting(int):
        def __rmod__(self, other: int) -> int:
            nonlocal count
            count += 1
            return other % int(self)

    p256.P, p256.N = Counting(P), Counting(N)
    steps = p256.Signer((N // 3).to_bytes(32, "big")).sign(bytes(32))
    total = 0
    for work in steps:
        assert count <= work <= SLICE
        total, count = total + count, 0
    assert count <= SLICE
    assert 370 < total + count < 420  # 32 affine additions of 6, 10 rows of 17, 18 around them


def test_signing_leaves_the_heap_as_it_was(device: Callable) -> None:
    """In a heap of 64 KiB, fifty signatures and five verifications run, and leave nothing behind."""
    body = """
import gc
import p256_verify
d, digest = number(cases[0]), bytes.fromhex(cases[1])
signer = p256.Signer(d.to_bytes(32, "big"))
public = number(cases[2]), number(cases[3])
for _ in range(5):
    for _ in range(10):
        signature = run(signer.sign(digest))
    verdict = run(p256_verify.verify(public, digest, signature))
    gc.collect()
    put([verdict, gc.mem_alloc()])
"""
    first, *others = device(body, [f"{N // 3:x}", "ab" * 32, *(f"{c:x}" for c in public(N // 3))], heap="64k")
    assert all(verdict and used <= first[1] for verdict, used in others), (first, others)


def test_the_table_is_at_most_8_kib(device: Callable) -> None:
    """The fixed-base table takes at most 8192 bytes."""
    assert device("put(len(p256.TABLE))", []) == [8192]


def test_32_bit_integers_give_the_same_signatures(micropython32: Callable) -> None:
    """Where small integers have 31 bits, as on the chip, signatures are the same and verify."""
    digests = [hashlib.sha256(bytes([i])).digest() for i in range(20)]
    d = N // 11
    script = f"""
import identity, p256, p256_verify
signer = p256.Signer(({d}).to_bytes(32, "big"))
for digest in {digests!r}:
    signature = p256.run(signer.sign(digest))
    print(signature.hex(), p256.run(p256_verify.verify(identity.public_key({d}), digest, signature)))
"""
    expected = [f"{openssl_signs(d, digest).hex()} True" for digest in digests]
    assert micropython32(script).stdout.splitlines() == expected
