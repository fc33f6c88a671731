# HMAC-SHA256 (RFC 2104) and HKDF-SHA256 (RFC 5869) on hashlib.sha256, which here allows one digest() and no copy().
# No key is kept between calls; a tag is compared with equal(), never with ==.
import hashlib

_IPAD = int.from_bytes(b"\x36" * 64, "big")
_OPAD = int.from_bytes(b"\x5c" * 64, "big")


def hmac(key, *parts):
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    # one big integer xor: a loop over 64 bytes costs a millisecond on the chip
    block = int.from_bytes(key, "big") << 8 * (64 - len(key))
    inner = hashlib.sha256((block ^ _IPAD).to_bytes(64, "big"))
    for part in parts:
        inner.update(part)
    outer = hashlib.sha256((block ^ _OPAD).to_bytes(64, "big"))
    outer.update(inner.digest())
    return outer.digest()


def hkdf(secret, salt, info, length=32):
    if length > 255 * 32:
        raise ValueError("length")
    key = hmac(salt, secret)
    out = block = b""
    while len(out) < length:
        block = hmac(key, block, info, bytes((len(out) // 32 + 1,)))
        out += block
    return out[:length]


def equal(a, b):
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return not difference
