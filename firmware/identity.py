# Who this board is: its public key as a COSE_Key, and the thumbprint (RFC 9679) that a registry knows it by.
from hashlib import sha256

from cbor import put
from p256 import public_key
from wire import COSEKEY_CRV, COSEKEY_KTY, COSEKEY_X, COSEKEY_Y, CRV_P256, KTY_EC2


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
