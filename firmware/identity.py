# Who this board is: its public key as a COSE_Key, and the thumbprint (RFC 9679) that a registry knows it by.
from hashlib import sha256

from cbor import put
from mac import hmac
from p256 import N, P, inverse, multiply, run
from wire import COSEKEY_CRV, COSEKEY_KTY, COSEKEY_X, COSEKEY_Y, CRV_P256, KTY_EC2


def public_key(d):
    if not 0 < d < N:
        raise ValueError("secret")
    x, y, v, w = run(multiply(d, int.from_bytes(hmac(d.to_bytes(32, "big"))[:16], "big") | 1))
    if not v:
        raise ValueError("secret")
    v = run(inverse(v, P))
    return x * v % P, y * w * v * v * v % P


def cose_key(secret):
    x, y = public_key(int.from_bytes(secret, "big"))
    return {
        COSEKEY_KTY: KTY_EC2,
        COSEKEY_CRV: CRV_P256,
        COSEKEY_X: x.to_bytes(32, "big"),
        COSEKEY_Y: y.to_bytes(32, "big"),
    }


def thumbprint(key):
    buf = memoryview(bytearray(80))
    return sha256(buf[: put(buf, 0, key)]).digest()
