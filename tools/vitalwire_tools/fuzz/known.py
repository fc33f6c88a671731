"""The device whose keys the fuzzers have, and what readers know of it: made once, no secret. Tries nothing."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import cbor, crypto
from vitalwire.errors import InputError
from vitalwire.frame import parse
from vitalwire.messages import Descriptor
from vitalwire.registry import Registry
from vitalwire.testing import FakeDevice
from vitalwire_protocol import spec

NOW = 1_790_000_000_000_000  # UTC in microseconds
SECRET = bytes(range(32))


@cache
def device() -> FakeDevice:
    """Return the enrolled device whose key the fuzzer has; its key is no secret."""
    fake = FakeDevice(private_key=ec.derive_private_key(7, ec.SECP256R1()))
    fake.descriptor()
    return fake


@cache
def sealing() -> FakeDevice:
    """Return another one, which seals."""
    fake = FakeDevice(private_key=ec.derive_private_key(11, ec.SECP256R1()), policy=spec.Policy.SEAL, group=3)
    fake.secret = SECRET
    fake.descriptor()
    return fake


@cache
def sealed_story() -> tuple[bytes, ...]:
    """Return some frames of the device that seals in order, and one that somebody with the secret made."""
    fake = FakeDevice(private_key=sealing().private_key, policy=spec.Policy.SEAL, group=3)
    fake.secret = SECRET
    frames = [fake.descriptor(), *(fake.status() for _ in range(6)), fake.reboot(burn=1), *(fake.status(),) * 3]
    fields = cbor.decode(crypto.frame_payload(frames[2]))
    assert isinstance(fields, dict)
    return (*frames, maced(cbor.encode({**fields, int(spec.Key.TICKS): 5})))


@cache
def story() -> tuple[bytes, ...]:
    """Return some frames of the device in order."""
    fake = FakeDevice(private_key=device().private_key)
    first = [fake.descriptor(), fake.sampled(0.25), fake.events((spec.Event.BUTTON, {})), fake.status()]
    frames = [*first, fake.reboot(burn=2), *(fake.sampled(0.25) for _ in range(3))]
    return (*frames, fake.dropped(frames[6:8]), fake.descriptor("2.0"))


@cache
def registry() -> Registry:
    """Return a registry that knows the device."""
    known = Registry()
    known.enrol(device().thumbprint, "fuzzed", secret=SECRET, now_us=NOW)
    known.enrol(sealing().thumbprint, "sealing", secret=SECRET, now_us=NOW)
    return known


@cache
def description() -> Descriptor:
    """Return what the device says of itself."""
    body = parse(device().descriptor()).body
    assert body is not None
    return body


def signed(payload: bytes) -> bytes:
    """Return a frame of the device around a payload."""
    return crypto.sign1(device().private_key, payload)


def maced(payload: bytes) -> bytes:
    """Return a frame with a MAC, of the device that seals, around a payload."""
    return crypto.mac0(crypto.frame_key(SECRET, sealing().thumbprint), payload, spec.AAD_FRAME)


def payloads(frames: Iterable[bytes]) -> list[bytes]:
    """Return the payloads of those that are frames."""
    found = []
    for frame in frames:
        with suppress(InputError):
            found.append(crypto.frame_payload(frame))
    return found


def command_key() -> bytes:
    """Return the key of the device's commands."""
    return crypto.command_key(SECRET, device().thumbprint)
