# A new board's key, made on the board and never told, and its request for a certificate (PKCS #10, RFC 2986). Called
# from the prompt, by `vitalwire board provision`. What is signed here is made here.
import json
import os
from hashlib import sha256

from config import Config
from identity import public_key
from micropython import const
from p256 import N, Signer

_SEQUENCE = const(0x30)
_EC_KEY = b"0Y0\x13\x06\x07*\x86H\xce=\x02\x01\x06\x08*\x86H\xce=\x03\x01\x07\x03B\0\x04"  # P-256, uncompressed
_ES256 = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
_COMMON_NAME = b"\x06\x03\x55\x04\x03"


# A board keeps the key it has. Returns the controller's secret; raises OSError where random numbers are none.
def make(hal):
    config = Config(hal)
    if config.key is None:
        try:
            if not hal.entropy(True):
                raise OSError("the radio is off, so random numbers would be guessable")
            secret = hal.random(32)
            key = hal.random(32)
            while not 0 < int.from_bytes(key, "big") < N:
                key = hal.random(32)
        finally:
            hal.entropy(False)
        hal.keep("secret", secret)
        hal.keep("key", key)
        return secret
    return config.secret


def configure(hal, given):
    path = hal.files() + "/config.json"
    try:
        with open(path) as f:
            settings = json.load(f)
    except OSError:
        settings = {}
    settings.update(given)
    with open(path + ".new", "w") as f:
        json.dump(settings, f)
    os.rename(path + ".new", path)  # old or new, whole, whenever the power goes


def _der(tag, body):
    n = len(body)
    if n < 128:
        return bytes((tag, n)) + body
    return bytes((tag, 0x82, n >> 8, n & 255)) + body if n > 255 else bytes((tag, 0x81, n)) + body


def _integer(body):
    while body[0] == 0 and body[1] < 128:
        body = body[1:]
    return _der(2, b"\0" + body if body[0] > 127 else body)


# DER of a request for this board's own key and name.
def request(hal):
    config = Config(hal)
    x, y = public_key(int.from_bytes(config.key, "big"))
    name = _der(_SEQUENCE, _COMMON_NAME + _der(0x0C, config.device.encode()))
    body = b"\x02\x01\0" + _der(_SEQUENCE, _der(0x31, name)) + _EC_KEY + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    body = _der(_SEQUENCE, body + b"\xa0\0")
    signing = Signer(config.key, hal.random).sign(sha256(body).digest())
    while True:
        try:
            next(signing)
        except StopIteration as e:
            done = e.value
            break
    signature = _der(_SEQUENCE, _integer(done[:32]) + _integer(done[32:]))
    return _der(_SEQUENCE, body + _ES256 + _der(3, b"\0" + signature))
