"""What ties Observations to signed frames: a Provenance for each window, signed by the gateway, and Device resources.

A Provenance names the window's Observations (target), each with the SHA-256 of its canonical text (extension DIGEST),
the SHA-256 of each frame they came from (entity, RFC 6920), the window and the clock fit (extensions). Its signature is
a detached JWS (RFC 7515 appendix F, ES256, `typ` TYP) over the canonical text of the Provenance without `signature`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

from vitalwire import crypto, jws
from vitalwire.errors import InputError, SignatureError
from vitalwire.messages import Descriptor

from . import codes
from .clockfit import Fit, instant
from .ids import WindowKey, device_id, provenance_id
from .jsontext import Json, Resource, canonical, digest
from .observations import Made
from .windows import Window

TYP = "vitalwire-provenance"
_FRAME = "ni:///sha-256;"


class Gateway:
    """Who signs: a P-256 key, known by the thumbprint of its public half."""

    def __init__(self, key: EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = key.public_key()
        self.thumbprint = thumbprint(self.public)

    def sign(self, payload: bytes) -> str:
        """Return a detached JWS over a payload."""
        head, _, tail = jws.sign(self._key, TYP, payload).split(".")
        return f"{head}..{tail}"


def thumbprint(key: EllipticCurvePublicKey) -> bytes:
    """Return what a gateway is known by: the thumbprint of its key (RFC 9679), as for devices."""
    return crypto.thumbprint(crypto.public_point(key))


# ---------------------------------------------------------------- Provenance


def provenance(window: Window, fit: Fit, made: Sequence[Made], gateway: Gateway) -> Resource:
    """Return the signed Provenance of a window's Observations."""
    used = frozenset().union(*(each.frames for each in made))
    sources = [source for place, source in enumerate(window.sources) if place in used]
    recorded = instant(max(source.arrived_us for source in sources))
    who = {"reference": f"Device/{device_id(gateway.thumbprint)}"}
    device = {"reference": f"Device/{device_id(window.key.device)}"}
    resource: Resource = {
        "resourceType": "Provenance",
        "id": provenance_id(window.key),
        "extension": [_window_extension(window.key), fit.extension],
        "target": [target(each.resource) for each in made],
        "recorded": recorded,
        "activity": {
            "coding": [{"system": codes.DATA_OPERATION, "code": "UPDATE" if window.amended else "CREATE"}],
        },
        "agent": [
            {"type": {"coding": [{"system": codes.AGENT_TYPE, "code": "assembler"}]}, "who": who},
            {"type": {"coding": [{"system": codes.AGENT_TYPE, "code": "author"}]}, "who": device},
        ],
        "entity": [entity(source.frame.digest) for source in sources],
    }
    text = gateway.sign(payload(resource))
    data = base64.b64encode(text.encode()).decode()
    return resource | {"signature": _signature(recorded, gateway.thumbprint, data)}


def _signature(when: Json, who: bytes, data: Json) -> list[Resource]:
    return [
        {
            "type": [{"system": codes.SIGNATURE_TYPE, "code": codes.VERIFICATION_SIGNATURE}],
            "when": when,
            "who": {"reference": f"Device/{device_id(who)}"},
            "targetFormat": "application/fhir+json",
            "sigFormat": "application/jose",
            "data": data,
        }
    ]


def entity(frame: bytes) -> Resource:
    """Return the entity that names a frame by its SHA-256, as a URI of RFC 6920."""
    value = _FRAME + _base64url(frame)
    return {"role": "source", "what": {"identifier": {"system": codes.URI, "value": value}}}


def target(observation: Mapping[str, Json]) -> Resource:
    """Return the reference to an Observation with the digest of its text."""
    value = base64.b64encode(digest(observation)).decode()
    return {
        "reference": f"Observation/{observation['id']}",
        "extension": [{"url": codes.DIGEST, "valueBase64Binary": value}],
    }


def payload(resource: Mapping[str, Json]) -> bytes:
    """Return what is signed of a Provenance."""
    return canonical({key: value for key, value in resource.items() if key != "signature"})


def check_signature(resource: Mapping[str, Json], key: EllipticCurvePublicKey) -> None:
    """Raise SignatureError unless the Provenance is as the gateway of `key` signed it."""
    try:
        (signature,) = resource["signature"]
        if [signature] != _signature(resource["recorded"], thumbprint(key), signature["data"]):
            raise ValueError
        head, middle, tail = base64.b64decode(signature["data"], validate=True).decode("ascii").split(".")
    except (KeyError, TypeError, ValueError):
        raise SignatureError("there is no signature of the expected form", reason="form") from None
    if middle:
        raise SignatureError("the signature is not detached", reason="form")
    jws.verify(f"{head}.{_base64url(payload(resource))}.{tail}", key, TYP)


def _window_extension(key: WindowKey) -> Resource:
    return {
        "url": codes.WINDOW,
        "extension": [
            {"url": "form", "valueCode": key.form},
            {"url": "boot", "valueDecimal": Decimal(key.boot)},
            {"url": "start", "valueDecimal": Decimal(key.start)},
            {"url": "length", "valueDecimal": Decimal(key.length)},
            {"url": "descriptor", "valueString": key.descriptor.hex()},
        ],
    }


def read_window(resource: Mapping[str, Json], device: bytes) -> WindowKey:
    """Return the window that a Provenance says it is of; raises InputError."""
    try:
        (found,) = (each for each in resource["extension"] if each["url"] == codes.WINDOW)
        said = {part["url"]: next(part[name] for name in part if name != "url") for part in found["extension"]}
        boot, start, length = (int(said[name]) for name in ("boot", "start", "length"))
        return WindowKey(device, boot, start, length, str(said["form"]), bytes.fromhex(said["descriptor"]))
    except (KeyError, TypeError, ValueError, StopIteration, OverflowError):
        raise InputError("no window is recorded") from None


# ---------------------------------------------------------------- Device


def board(descriptor: Descriptor) -> Resource:
    """Return the Device of a board, as its signed descriptor describes it."""
    return {
        "resourceType": "Device",
        "id": device_id(descriptor.thumbprint),
        "identifier": [_key_identifier(descriptor.thumbprint)],
        "status": "active",
        "deviceName": [{"name": codes.line(descriptor.device), "type": "user-friendly-name"}],
        "modelNumber": codes.line(descriptor.board),
        "version": [{"value": codes.line(descriptor.firmware)}],
    }


def gateway_device(thumb: bytes) -> Resource:
    """Return the Device of the gateway whose key has this thumbprint."""
    return {
        "resourceType": "Device",
        "id": device_id(thumb),
        "identifier": [_key_identifier(thumb)],
        "status": "active",
        "deviceName": [{"name": "vitalwire gateway", "type": "user-friendly-name"}],
    }


def _key_identifier(thumb: bytes) -> Resource:
    return {"system": codes.URI, "value": "urn:ietf:params:oauth:ckt:sha-256:" + _base64url(thumb)}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def frame_digests(resource: Mapping[str, Json]) -> list[bytes]:
    """Return the SHA-256 of the frames that a Provenance names; raises InputError."""
    found: list[bytes] = []
    try:
        for each in resource["entity"]:
            value = each["what"]["identifier"]["value"]
            frame = base64.urlsafe_b64decode(value.removeprefix(_FRAME) + "=")
            if not value.startswith(_FRAME) or len(frame) != hashlib.sha256().digest_size:
                raise ValueError
            found.append(frame)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError("an entity names no frame") from None
    return found
