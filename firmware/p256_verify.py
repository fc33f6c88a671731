# ES256 verification of low-s signatures, in slices as in p256; loaded only where commands or updates are verified.
# It sees public values only and takes its time, about 4,500 multiplications. Whatever is wrong, the answer is False.
# A point is extended Jacobian as in p256, but complete: v = 0 is infinity, and any two points can be added.
from p256 import N, P, inverse

_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
_GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5


def _double(x, y, v, w):
    u = y + y
    g = u * u % P
    u = u * g % P
    b = x * g % P
    a = 3 * (x - v) * (x + v) % P
    x = (a * a - b - b) % P
    return x, (a * (b - x) - u * y) % P, v * g % P, w * u % P


def _add(x, y, v, w, ax, ay):
    if not v:
        return ax, ay, 1, 1
    u = (ax * v - x) % P
    a = (ay * w - y) % P
    if not u:
        return (0, 0, 0, 0) if a else _double(ax, ay, 1, 1)
    g = u * u % P
    u = u * g % P
    b = x * g % P
    x = (a * a - u - b - b) % P
    return x, (a * (b - x) - u * y) % P, v * g % P, w * u % P


def _factor(u, x, y):
    # The non-adjacent form of u has at bit i of weight 2^(i - 1) the difference of 3 u and u.
    return "{:0258b}".format(3 * u).encode(), "{:0258b}".format(u).encode(), x, y


def verify(public, digest, signature):
    # A generator that returns whether signature, r || s, is public's, (x, y).
    x, y = public
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or len(digest) != 32 or not 0 < r < N or not 0 < s <= N >> 1:
        return False
    if not (0 <= x < P and 0 <= y < P) or (y * y - x * x * x + 3 * x - _B) % P:
        return False
    s = yield from inverse(s, N)
    factors = _factor(int.from_bytes(digest, "big") * s % N, _GX, _GY), _factor(r * s % N, x, y)
    yield 20
    point = 0, 0, 0, 0
    for i in range(257):
        point = _double(*point)
        cost = 9
        for three, one, x, y in factors:
            digit = three[i] - one[i]
            if digit:
                point = _add(*point, x, y if digit > 0 else P - y)
                cost += 10
        yield cost
    x, _, v, _ = point
    # the x of the sum is r or, rarely, r + N
    return v != 0 and ((r * v - x) % P == 0 or (r + N < P and ((r + N) * v - x) % P == 0))
