"""What others sign or keep, put to its readers: updates, configurations, audit logs, FHIR. Each raises only for a bug.

A signature stops a fuzzer without the key, so the first byte of some inputs says whether the rest is signed rightly.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import cbor, crypto, jws
from vitalwire.audit import check, verify_head
from vitalwire.audit.chain import FIRST, digest, record
from vitalwire.configuration import Configuration, parse_configuration, sign_configuration, to_words
from vitalwire.errors import InputError, SignatureError
from vitalwire.fhir.bundle import resource
from vitalwire.fhir.jsontext import canonical, loads
from vitalwire.update import pack, parse_manifest, read_package
from vitalwire_protocol import spec
from vitalwire_protocol.spec import SETTINGS, Setting, UpdateKey

_HEAD = "vitalwire-audit-head"


@cache
def maker() -> ec.EllipticCurvePrivateKey:
    """Return one maker's key."""
    return ec.derive_private_key(7, ec.SECP256R1())


def try_update(data: bytes) -> None:
    """Read an update; what is taken is what was signed, whole."""
    public = maker().public_key()
    if data[:1] == b"\1":
        data = crypto.sign1(maker(), data[1:], aad=spec.AAD_UPDATE)
    with suppress(InputError, SignatureError):
        manifest = parse_manifest(data, public)
        assert 0 < len(manifest.files) <= spec.Limit.MAX_UPDATE_FILES
    with suppress(InputError, SignatureError):
        package = read_package(data, public)
        assert package.data == data
        assert len(data) == package.signed + sum(file.size for file in package.manifest.files)


def update_seeds() -> list[bytes]:
    """Return a whole update, its manifest's map, and one of no files."""
    package = pack(maker(), {"start.mpy": b"s" * 9, "hal/esp32.mpy": b"h"}, board="b", firmware="1", counter=2)
    fields = cbor.decode(crypto.sign1_payload(package.data[: package.signed]))
    assert isinstance(fields, dict)
    return [package.data, b"\1" + cbor.encode(fields), b"\1" + cbor.encode({**fields, int(UpdateKey.FILES): []})]


def try_configuration(data: bytes) -> None:
    """Read a configuration; what is taken is within the bounds, and signing it again gives one that reads the same."""
    public = maker().public_key()
    if data[:1] == b"\1":
        data = crypto.sign1(maker(), data[1:], aad=spec.AAD_CONFIGURATION)
    with suppress(InputError, SignatureError):
        read = parse_configuration(data, public)
        assert all(SETTINGS[key].least <= value <= SETTINGS[key].most for key, value in read.settings.items())
        assert len(to_words(read.settings)) == len(read.settings)
        assert parse_configuration(sign_configuration(read, maker()), public) == read


def configuration_seeds() -> list[bytes]:
    """Return a configuration, its map, and one of nothing."""
    signed = sign_configuration(Configuration(bytes(32), 7, {Setting.FRAME_MS: 1000, Setting.STATUS_S: 9}), maker())
    return [signed, b"\1" + crypto.sign1_payload(signed), b"\1" + cbor.encode({})]


def try_audit(data: bytes) -> None:
    """Check a log and verify a head; no log fits a head that names another digest."""
    lines = data.splitlines(keepends=True)
    with suppress(InputError):
        checked = check(lines)
        assert checked.torn or sum(map(len, lines)) == len(data)
        assert check(lines, checked.count, checked.digest) == checked
    text = data[1:].decode("utf-8", "replace")
    public = maker().public_key()
    with suppress(SignatureError):
        verify_head(text, public)
        assert data[1:] in audit_seeds()[1], "a head nobody signed"
    with suppress(SignatureError):
        verify_head(jws.sign(maker(), _HEAD, data[1:]), public)


@cache
def audit_seeds() -> list[bytes]:
    """Return a log of two lines, and a head."""
    first = record(1, "2026-01-01T00:00:00.000Z", "device-enrol", {"device": "band"}, FIRST).line()
    second = record(2, "2026-01-01T00:00:01.000Z", "flag", {"yes": True}, digest(first)).line()
    head = b'{"n":2,"digest":"%s","time":"x"}' % digest(second).encode()
    return [first + second, b"." + jws.sign(maker(), _HEAD, head).encode(), b"." + head]


def try_fhir(data: bytes) -> None:
    """Read a resource; what was read is written in one form that reads as the same."""
    with suppress(InputError):
        found = resource(loads(data))
        text = canonical(found)
        assert canonical(resource(loads(text))) == text


FHIR = (
    b'{"resourceType":"Observation","id":"a","valueQuantity":{"value":72.50,"unit":"/min"}}',
    b'{"resourceType":"Observation","valueSampledData":{"origin":{"value":0},"period":4,"factor":1e-3,"data":"1 E"}}',
)
