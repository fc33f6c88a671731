# ES256 verification of low-s signatures, in slices as in p256; loaded only where commands or updates are verified.
# It handles public values only and takes its time: about 5,400 multiplications. False is the answer to anything wrong.
from p256 import N, P, horner, inverse

_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
_GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5


def _odd(u, y):
    # The same multiple of a point with an odd factor: 256 signed digits, as text, and the point's y.
    if not u & 1:
        u = N - u
        y = P - y
    return "{:b}".format(u + (1 << 256) >> 1).encode(), y


def verify(public, digest, signature):
    # public is (x, y). u1 * G + u2 * Q takes one addition of +-G +-Q a bit. Only who knows the secret can pick factors
    # that make equal points meet; horner() then gives zeros, so v = 0 is refused.
    p = P
    x, y = public
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or len(digest) != 32 or not 0 < r < N or not 0 < s <= N >> 1:
        return False
    if not (0 <= x < p and 0 <= y < p) or (y * y - x * x * x + 3 * x - _B) % p or x == _GX:
        return False
    s = yield from inverse(s, N)
    first, gy = _odd(int.from_bytes(digest, "big") * s % N, _GY)
    second, y = _odd(r * s % N, y)
    i = yield from inverse(_GX - x + p, p)
    s = (gy - y) * i % p
    sum_x = (s * s - _GX - x) % p
    sum_y = (s * (x - sum_x) - y) % p
    s = (gy + y) * i % p
    difference_x = (s * s - _GX - x) % p
    difference_y = (s * (x - difference_x) + y) % p
    points = (sum_x, p - sum_y), (difference_x, p - difference_y), (difference_x, difference_y), (sum_x, sum_y)
    xs = []
    ys = []
    for i in range(255, -1, -1):
        x, y = points[(first[i] & 1) << 1 | second[i] & 1]
        xs.append(x)
        ys.append(y)
    yield 40
    x, _, v, _ = yield from horner(xs, ys, 1)
    # the x of the sum is r or, rarely, r + N
    return v != 0 and ((r * v - x) % p == 0 or (r + N < p and ((r + N) * v - x) % p == 0))
