# P-256 with a secret scalar: the fixed-base multiplication and RFC 6979 ECDSA, in slices. Verification is elsewhere.
# Long functions are generators: they yield the work done since the last yield, in 256-bit modular multiplications
# (40 at most), and return their result; run() drives one to its end. Nothing is cached.
# A remainder keeps the room of what was divided; what is kept for long goes through `| 0`, which takes half of it.
# A point is affine (x, y) or extended Jacobian (x, y, v, w): x / v, y / w, v^3 = w^2; v = 0 is "failed" and stays so.
from mac import hmac
from p256_table import BLOCKS, SPACING, TABLE, TEETH

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

_ONE = 1 << 264  # above any cofactor in inverse()
_LANES = int.from_bytes(b"\1" * SPACING, "little")  # a byte for each column of the comb
_ROWS = (SPACING + BLOCKS - 1) // BLOCKS
_HALF = 1 << TEETH - 1


def run(steps):
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        return stop.value


def inverse(a, m):
    # Euclid on a * _ONE + cofactor: one % does the quotient, two products and two differences of a textbook step.
    # Its time depends on a: callers blind it. a must not be 0 modulo m.
    one = _ONE
    end = one + (one >> 1)
    u = m * one
    v = a * one + 1
    while True:
        for _ in range(40):
            u %= v
            v %= u
            if v < end:
                return ((u, v)[u > end] - one) % m
        yield 20


def pairs(xs, ys, blind, table=None):
    # The sums of neighbours, all affine, with one inversion for all; the lists are overwritten. With a table, ys are
    # twice the places of y in it, less 1 where -y is meant: they are read as late as can be, to save room.
    p = P
    read = int.from_bytes
    c = blind
    products = []
    n = len(xs) & -2
    for i in range(0, n, 2):
        products.append(c | 0)
        c = c * (xs[i] - xs[i + 1]) % p
    yield 25
    c = yield from inverse(c, p)
    if table and n < len(ys):
        i = ys[n] + 1 >> 1
        y = read(table[i : i + 32], "big")
        ys[n] = (y, p - y)[ys[n] & 1]
    while n:
        n -= 2
        x = xs[n]
        y = ys[n]
        t = ys[n + 1]
        if table:
            i = y + 1 >> 1
            s = read(table[i : i + 32], "big")
            y = (s, p - s)[y & 1]
            i = t + 1 >> 1
            s = read(table[i : i + 32], "big")
            t = (s, p - s)[t & 1]
        s = (y - t) * (c * products.pop() % p) % p
        t = xs[n + 1]
        c = c * (x - t) % p
        xs[n + 1] = ys[n + 1] = None
        xs[n] = t = (s * s - (t + x)) % p | 0
        ys[n] = (s * (x - t) - y) % p | 0
        if not n & 7:
            yield 25
    return xs[::2], ys[::2]


def horner(xs, ys, blind):
    # The sum of 2^i * (xs[i], ys[i]), from the representative of the top point that blind picks. A row doubles and
    # adds: EFD g1p/shortw/xyzz dbl-2008-s-1 and madd-2008-s, 19 products and 17 reductions.
    p = P
    i = len(xs) - 1
    v = blind * blind % p
    w = v * blind % p
    x = xs[i] * v % p
    y = ys[i] * w % p
    while i:
        i -= 1
        u = y + y
        g = u * u % p
        u = u * g % p
        b = x * g % p
        a = 3 * (x - v) * (x + v) % p
        x = (a * a - (b + b)) % p
        y = (a * (b - x) - u * y) % p
        v = v * g % p
        w = w * u % p
        u = (xs[i] * v - x) % p
        a = (ys[i] * w - y) % p
        g = u * u % p
        u = u * g % p
        b = x * g % p
        x = (a * a - (u + b + b)) % p
        y = (a * (b - x) - u * y) % p
        v = v * g % p
        w = w * u % p
        yield 21
    return x, y, v, w


def multiply(k, blind):
    # k * G, extended Jacobian, for 0 < k < N, by a comb of signed digits without zeros (codegen/p256_table.py): the
    # operations do not depend on k. Equal or opposite points never meet, but for one k and its negative, which fail:
    # the reason, and both scalars, are in tests/firmware/test_p256_comb.py.
    p = P
    odd = k & 1
    k = (N - k, k)[odd]
    # bit i of k becomes the digit +1 or -1 of weight 2^i; column c has the bits c, c + SPACING, ...
    k = k + (1 << TEETH * SPACING) >> 1
    read = int.from_bytes
    c = 0
    for i in range(SPACING * (TEETH - 1), -1, -SPACING):
        c = c << 1 | read("{:0{}b}".format(k >> i & (1 << SPACING) - 1, SPACING).encode(), "big") & _LANES
    # the table has the columns with top digit +1; the others are the negatives of their complements
    c ^= (_LANES - (c >> TEETH - 1 & _LANES)) * (_HALF - 1)
    columns = c.to_bytes(SPACING, "little")
    yield 15
    table = memoryview(TABLE)
    # at their full size from the first: a list that grows wants its room anew, in one piece
    xs = [0] * SPACING
    ys = [0] * SPACING
    n = 0
    for row in range(_ROWS):
        block = 0
        for i in range(row, SPACING, _ROWS):
            c = columns[i]
            i = (c & _HALF - 1 | block) << 6
            xs[n] = read(table[i : i + 32], "big")
            ys[n] = (i + 32 << 1) - 1 + c // _HALF
            n += 1
            block += _HALF
    yield 30
    block = BLOCKS
    while block > 1:
        xs, ys = yield from pairs(xs, ys, blind, table)
        table = None
        block >>= 1
    x, y, v, w = yield from horner(xs, ys, blind)
    return x, (p - y, y)[odd], v, w


class Signer:
    # ES256, low s. Nonces are RFC 6979's; extra_entropy, a function like os.urandom, hedges them (section 3.6).
    def __init__(self, secret, extra_entropy=None):
        self._d = int.from_bytes(secret, "big")
        if len(secret) != 32 or not 0 < self._d < N:
            raise ValueError("secret")
        self._entropy = extra_entropy

    def sign(self, digest):
        # A generator that returns r || s, 64 bytes.
        if len(digest) != 32:
            raise ValueError("digest")
        n = N
        h = int.from_bytes(digest, "big") % n
        seed = self._d.to_bytes(32, "big") + h.to_bytes(32, "big")
        if self._entropy:
            seed += self._entropy(32)
        key = bytes(32)
        t = b"\1" * 32
        for mark in b"\0", b"\1":
            key = hmac(key, t, mark, seed)
            t = hmac(key, t)
        while True:
            t = hmac(key, t)
            k = int.from_bytes(t, "big")
            if 0 < k < n:
                # two blinding factors from the same generator: never 0, unknown outside
                b = hmac(key, t, b"\2")
                yield 20
                x, _, v, _ = yield from multiply(k, int.from_bytes(b[:16], "big") | 1)
                r = v and x * (yield from inverse(v, P)) % P % n
                yield 20
                b = int.from_bytes(b[16:], "big") | 1
                s = (b * h + (b * r % n) * self._d) * (yield from inverse(k * b % n, n)) % n
                if r and s:
                    s = (s, n - s)[s > n >> 1]
                    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
            key = hmac(key, t, b"\0")
            t = hmac(key, t)
