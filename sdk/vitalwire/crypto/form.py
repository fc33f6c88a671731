"""The one form of the COSE messages of vitalwire: what stands around a payload, byte for byte; verifies nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from vitalwire import cbor
from vitalwire.errors import FrameError
from vitalwire_protocol import spec


def _protected(alg: int) -> bytes:
    return cbor.encode({int(spec.Header.ALG): int(alg)})


@dataclass(frozen=True, slots=True)
class Form:
    """What a COSE message of one kind must look like, and what is signed or MACed of it (RFC 9052 4.4 and 6.3)."""

    context: str
    tag: int
    algs: tuple[int, ...]
    tail: int  # bytes of signature or MAC
    tail_reason: str

    def start(self, alg: int) -> bytes:
        """Return everything in front of the payload: tag, array head, protected header, empty map."""
        tagged = cbor.head(6, self.tag) + cbor.head(4, 4)
        return tagged + cbor.encode(_protected(alg)) + cbor.encode({})

    def signed(self, alg: int, aad: bytes) -> bytes:
        """Return everything in front of the encoded payload of the structure that is signed or MACed."""
        return cbor.head(4, 4) + b"".join(map(cbor.encode, (self.context, _protected(alg), aad)))


SIGN1 = Form("Signature1", spec.Tag.SIGN1, (spec.Alg.ES256, spec.Alg.ESP256), spec.SIGNATURE_SIZE, "signature-size")
MAC0 = Form("MAC0", spec.Tag.MAC0, (spec.Alg.HMAC_256_256,), spec.MAC_SIZE, "mac")

STARTS = {form.tag: {form.start(alg) for alg in form.algs} for form in (SIGN1, MAC0)}
START_SIZE = len(SIGN1.start(spec.Alg.ES256))  # the same for all of them
FRAME_STARTS = frozenset(STARTS[spec.Tag.SIGN1])  # all that may stand in front of a signed frame's payload
FRAME_TAIL = cbor.head(2, SIGN1.tail)  # stands between its payload and its signature


def bounded(raw: bytes, most: int, what: str) -> None:
    """Refuse more bytes than `most`: FrameError."""
    if len(raw) > most:
        raise FrameError(f"{what} of {len(raw)} bytes, more than {most}", reason="oversized")


def payload_of(form: Form, raw: bytes) -> bytes:
    """Return the payload, by comparing bytes with the one form there is; raises `FrameError` or `CborError`.

    What differs is looked at by `_explain`.
    """
    behind = form.tail + 2  # the head of 64 or 32 bytes takes two
    if raw[:START_SIZE] not in STARTS[form.tag] or len(raw) < START_SIZE + 1 + behind:
        _explain(form, raw)
    first = raw[START_SIZE]
    if first == 0x59:
        start = START_SIZE + 3
        size = raw[start - 2] << 8 | raw[start - 1]
        shortest = size > 255
    elif first == 0x58:
        start = START_SIZE + 2
        size = raw[start - 1]
        shortest = size > 23
    else:
        start = START_SIZE + 1
        size = first - 0x40
        shortest = 0 <= size <= 23
    stop = start + size
    if not shortest or len(raw) != stop + behind or raw[stop] != 0x58 or raw[stop + 1] != form.tail:
        _explain(form, raw)
    return raw[start:stop]


def _explain(form: Form, raw: bytes) -> NoReturn:
    """Say what is wrong with the form of a message; only ever called when something is."""
    tag = cbor.head(6, form.tag)
    if raw and raw[: len(tag)] != tag:
        if raw[0] >> 5 == 6 and int.from_bytes(raw[1 : 1 + (1 << max(0, (raw[0] & 31) - 24))], "big") == form.tag:
            raise FrameError("the tag's head is longer than needed", reason="not-deterministic")
        raise FrameError(f"no COSE message with tag {form.tag} in front", reason="tag")
    item, end = cbor.decode_prefix(raw, len(tag))
    if end != len(raw):
        raise FrameError(f"{len(raw) - end} bytes follow the message", reason="trailing")
    if not isinstance(item, list) or [type(part) for part in item] != [bytes, dict, bytes, bytes]:
        raise FrameError("a COSE message is an array of byte string, map, byte string, byte string", reason="form")
    protected, unprotected, _, tail = item
    assert isinstance(protected, bytes)
    assert isinstance(tail, bytes)
    if unprotected:
        raise FrameError("the unprotected header is not empty", reason="unprotected")
    header = cbor.decode(protected) if protected else {}
    if isinstance(header, dict) and spec.Header.CRIT in header:
        raise FrameError("the protected header has a critical parameter", reason="crit")
    if not isinstance(header, dict) or header.keys() != {int(spec.Header.ALG)}:
        raise FrameError("the protected header holds something else than the algorithm", reason="protected")
    if type(header[spec.Header.ALG]) is not int or header[spec.Header.ALG] not in form.algs:
        raise FrameError("the algorithm is not one of those allowed here", reason="algorithm")
    if len(tail) != form.tail:
        raise FrameError(f"signature or MAC of {len(tail)} bytes instead of {form.tail}", reason=form.tail_reason)
    raise AssertionError("the fast path refused a message of the right form")
