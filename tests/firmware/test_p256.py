"""P-256 on the device: signing, its fixed-base comb, and verification, against OpenSSL and published vectors."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
VECTORS = Path(cryptography_vectors.__file__).parent / "asymmetric" / "ECDSA"
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
TEETH, BLOCKS, SPACING = 6, 4, 43
ROWS = 11
SLICE = 40  # multiplications: 9 ms on an ESP32
PREHASHED = utils.Prehashed(hashes.SHA256())

PRELUDE = """
import json, sys
import p256
from p256 import run
cases = json.load(open(sys.argv[1]))
number = lambda text: int(text, 16)
put = lambda result: print(json.dumps(result))
"""


@pytest.fixture
def device(micropython: Callable, tmp_path: Path) -> Callable[..., list]:
    """Run a body under MicroPython with `cases` (JSON) defined; returns what it gave to `put`, one by one."""

    def run(body: str, cases: list, **options: object) -> list:
        file = tmp_path / "cases.json"
        file.write_text(json.dumps(cases))
        done = micropython(PRELUDE + body, str(file), **options)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def public(d: int) -> tuple[int, int]:
    """Return OpenSSL's d * G."""
    numbers = ec.derive_private_key(d, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x, numbers.y


def low(s: int) -> int:
    """Return the lower of s and N - s."""
    return min(s, N - s)


def openssl_verifies(point: tuple[int, int], digest: bytes, signature: bytes) -> bool:
    """Return OpenSSL's verdict on a raw signature."""
    key = ec.EllipticCurvePublicNumbers(*point, ec.SECP256R1()).public_key()
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(PREHASHED))
    except InvalidSignature:
        return False
    return True


def openssl_signs(d: int, digest: bytes) -> bytes:
    """Return OpenSSL's deterministic signature, with low s, raw."""
    key = ec.derive_private_key(d, ec.SECP256R1())
    r, s = utils.decode_dss_signature(key.sign(digest, ec.ECDSA(PREHASHED, deterministic_signing=True)))
    return r.to_bytes(32, "big") + low(s).to_bytes(32, "big")


def vectors(name: str) -> Iterator[dict[str, str]]:
    """Yield the `[P-256,SHA-256]` groups of a NIST file."""
    section, group = "", {}
    for line in (VECTORS / "FIPS_186-3" / name).read_text().splitlines():
        key, separator, value = line.partition(" = ")
        if line.startswith("["):
            section = line
        elif separator:
            group[key] = value
        elif group:
            if section == "[P-256,SHA-256]":
                yield group
            group = {}


# Signing


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


def test_random_messages_give_what_openssl_gives(device: Callable, long: bool) -> None:
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


def test_what_is_no_key_or_digest_is_refused(device: Callable) -> None:
    """A secret of 0, N or the wrong length, and a digest of the wrong length, raise ValueError."""
    body = """
for secret, digest in cases:
    try:
        run(p256.Signer(bytes.fromhex(secret)).sign(bytes.fromhex(digest)))
        put("accepted")
    except ValueError as error:
        put(str(error))
for d in (0, p256.N, -1):
    try:
        p256.public_key(d)
        put("accepted")
    except ValueError as error:
        put(str(error))
"""
    secrets = ["00" * 32, f"{N:064x}", "ff" * 32, "01" * 31, "01" * 33, ""]
    cases = [(secret, "00" * 32) for secret in secrets] + [("01" * 32, "00" * n) for n in (0, 31, 33)]
    assert device(body, cases) == ["secret"] * 6 + ["digest"] * 3 + ["secret"] * 3


# The comb
#
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
for d in map(number, cases):
    try:
        put(["%x" % c for c in p256.public_key(d)])
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
for d in map(number, cases):
    put(["%x" % c for c in p256.public_key(d)])
"""
    assert device(body, [f"{d:x}" for d in cases], heap="4m") == [[f"{c:x}" for c in public(d)] for d in cases]


def test_nist_keys_and_nonces(device: Callable) -> None:
    """CAVS SigGen P-256 SHA-256: public keys from d and r from k."""
    groups = [group for group in vectors("SigGen.txt") if "k" in group]
    assert len(groups) == 15
    body = """
for d, k in cases:
    r = p256.public_key(number(k))[0] % p256.N
    put(["%064x" % c for c in p256.public_key(number(d)) + (r,)])
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


# Slices and memory


def test_slices_say_at_most_forty(device: Callable) -> None:
    """Signing and verifying give way often: no yield tells of more than 40 multiplications."""
    body = """
import p256_verify
d, digest = number(cases[0]), bytes.fromhex(cases[1])
signer = p256.Signer(d.to_bytes(32, "big"))
signature, public = run(signer.sign(digest)), p256.public_key(d)
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
public = p256.public_key(d)
for _ in range(5):
    for _ in range(10):
        signature = run(signer.sign(digest))
    verdict = run(p256_verify.verify(public, digest, signature))
    gc.collect()
    put([verdict, gc.mem_alloc()])
"""
    first, *others = device(body, [f"{N // 3:x}", "ab" * 32], heap="64k")
    assert all(verdict and used <= first[1] for verdict, used in others), (first, others)


def test_the_table_is_at_most_8_kib(device: Callable) -> None:
    """The fixed-base table takes at most 8192 bytes."""
    assert device("put(len(p256.TABLE))", []) == [8192]


def node_module() -> str | None:
    """Return the path of the 32-bit MicroPython of npm: in the checkout, on NODE_PATH or installed globally."""
    if not shutil.which("node"):
        return None
    roots = [Path("node_modules"), *map(Path, filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)))]
    if shutil.which("npm"):
        roots.append(Path(subprocess.run(["npm", "root", "-g"], capture_output=True, text=True).stdout.strip()))
    name = "@micropython/micropython-webassembly-pyscript/micropython.mjs"
    return next((str((root / name).resolve()) for root in roots if (root / name).exists()), None)


def test_32_bit_integers_give_the_same_signatures(tmp_path: Path) -> None:
    """Where small integers have 31 bits, as on the chip, signatures are the same and verify."""
    module = node_module()
    if module is None:
        pytest.skip("needs node and the npm package @micropython/micropython-webassembly-pyscript")
    digests = [hashlib.sha256(bytes([i])).digest() for i in range(20)]
    d = N // 11
    (tmp_path / "run.py").write_text(f"""
import sys
sys.path.insert(0, "/")
import p256, p256_verify
print(sys.maxsize)
signer = p256.Signer(({d}).to_bytes(32, "big"))
for digest in {digests!r}:
    signature = p256.run(signer.sign(digest))
    print(signature.hex(), p256.run(p256_verify.verify(p256.public_key({d}), digest, signature)))
""")
    (tmp_path / "run.mjs").write_text("""
import { readFileSync } from "node:fs";
const [module, folder, ...files] = process.argv.slice(2);
const { loadMicroPython } = await import(module);
const mp = await loadMicroPython({ heapsize: 131072, stdout: (line) => console.log(line) });
for (const file of files) mp.FS.writeFile("/" + file, readFileSync(folder + "/" + file));
mp.runPython(readFileSync("run.py", "utf8"));
""")
    files = ["mac.py", "p256.py", "p256_table.py", "p256_verify.py"]
    command = ["node", "run.mjs", module, str(FIRMWARE), *files]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    expected = [f"{openssl_signs(d, digest).hex()} True" for digest in digests]
    assert done.stdout.splitlines() == [str(2**31 - 1), *expected], done.stderr[-500:]


# Verification

VERIFY = """
import p256_verify
for x, y, digest, signature in cases:
    verdict = run(p256_verify.verify((number(x), number(y)), bytes.fromhex(digest), bytes.fromhex(signature)))
    put(verdict)
"""


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
