"""Measures what one core of the host does with signed frames, against bare P-256 verification and a plain reader.

All rates are frames a second of the standard profile, in one process, taken in turns, best of several rounds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cbor2
import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from rich.table import Table

from vitalwire.codec import decode_blocks
from vitalwire.crypto import load_public_key, verify_sign1
from vitalwire.errors import InputError
from vitalwire.frame import parse
from vitalwire.frame.blocks import cut
from vitalwire.messages import Descriptor
from vitalwire.registry import Registry
from vitalwire.session import Session, Verified
from vitalwire.signals import PASS_BLOCKS, Signals, decode_many
from vitalwire.verdict import Verifier

from . import standard
from .plain import Reader

FRAMES = 2048
PEER_FRAMES = 16  # the plain reader takes its time
ROUNDS = 15  # the least disturbed of each counts
BATCH = 1024  # frames verified and decoded together
PARTS = {
    "p256": "P-256 by OpenSSL",
    "around_p256": "low s, DER and what is signed, put together for it",
    "form": "the frame's form: COSE, CBOR, SHA-256",
    "cut": "its blocks, cut",
    "blocks": "their samples, in array operations",
    "signals": "samples and readings as signals by channel",
    "between": "what all this costs each other: caches, memory",
}


def run(frames: int = FRAMES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return rates and their ratios; what the time of one frame goes to, in microseconds.

    `verify_decode_ratio` is ours to bare verification, `session_ratio` the same through a session, `chain_ratio` a
    capture's verdict by chain to the same by every signature, `peer_ratio` ours to the plain reader. Raises
    AssertionError if the readers do not read the same samples.
    """
    signal = standard.minute()
    device, raws = standard.chained(frames + 1, signal)
    descriptor = parse(raws[0]).body
    assert descriptor is not None
    raws = raws[1:]
    point = device.point
    key = load_public_key(point)
    bare = [_bare(raw) for raw in raws]
    algorithm = ec.ECDSA(SHA256())
    few = raws[:PEER_FRAMES]
    peer = _peer(point, descriptor)

    def verify_bare() -> None:
        for signature, message in bare:
            key.verify(signature, message, algorithm)

    def verify_decode() -> None:
        for some in _batched(raws):  # what comes out is used and forgotten, as in an export or a gateway
            _verified(some, key, descriptor)

    ours = _verified(few, key, descriptor)
    for raw, signals in zip(few, ours, strict=True):
        assert not isinstance(signals, InputError)
        expected = [signal.counts for signal in signals.values() if signal.at is None]
        assert all(np.array_equal(a, b) for a, b in zip(peer(raw), expected, strict=True))

    with Registry() as registry:
        registry.enrol(device.thumbprint, "bench")

        def judge(by_chain: bool) -> Callable[[], None]:
            def work() -> None:
                verifier = Verifier(registry, by_chain=by_chain)
                for raw in [device.descriptor(), *raws]:
                    verifier.feed(raw)
                assert verifier.result().verified == len(raws) + 1

            return work

        def session() -> None:
            assert _through_session([device.descriptor(), *raws], registry, device.thumbprint) == len(raws) + 1

        work = [verify_bare, verify_decode, session, judge(True), judge(False)]
        bare_rate, our_rate, session_rate, chain_rate, signature_rate = standard.rates(work, len(raws), rounds)
    (peer_rate,) = standard.rates([lambda: [peer(raw) for raw in few]], len(few), 3)
    return {
        "verify_decode_ratio": our_rate / bare_rate,
        "session_ratio": session_rate / bare_rate,
        "chain_ratio": chain_rate / signature_rate,
        "peer_ratio": our_rate / peer_rate,
        "bare_per_second": bare_rate,
        "verify_decode_per_second": our_rate,
        "session_per_second": session_rate,
        "chain_per_second": chain_rate,
        "signatures_per_second": signature_rate,
        "peer_per_second": peer_rate,
        "parts_us": _parts(raws, descriptor, key, 1e6 / bare_rate, 1e6 / our_rate, rounds),
    }


def _bare(raw: bytes) -> tuple[bytes, bytes]:
    """Return a frame's signature as OpenSSL wants it, and a message of the same length as what is signed."""
    signature = encode_dss_signature(int.from_bytes(raw[-64:-32]), int.from_bytes(raw[-32:]))
    return signature, _signed(raw)


def _signed(raw: bytes) -> bytes:
    """Return the Sig_structure of a frame (RFC 9052 4.4), with nothing of the SDK's."""
    protected, _, payload, _ = cbor2.loads(raw).value
    return cbor2.dumps(["Signature1", protected, b"vitalwire/1 frame", payload])


def _batched(raws: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the frames a batch at a time."""
    return (raws[begin : begin + BATCH] for begin in range(0, len(raws), BATCH))


def _verified(raws: list[bytes], key: ec.EllipticCurvePublicKey, descriptor: Descriptor) -> list[Signals | InputError]:
    frames = [parse(raw) for raw in raws]
    for raw in raws:
        verify_sign1(raw, key)
    return list(decode_many((frame, descriptor) for frame in frames))


def _through_session(raws: list[bytes], registry: Registry, device: bytes) -> int:
    """Do the same as a reader does it that keeps order, chain and replay state; return how many frames came out."""
    session, count = Session(registry), 0
    for some in _batched(raws):
        outcomes = [outcome for raw in some for outcome in session.receive(raw, 0)]
        verified = [outcome for outcome in outcomes if isinstance(outcome, Verified)]
        count += len(list(decode_many((each.frame, each.descriptor) for each in verified)))
        session.durable(outcomes)
        session.acknowledgements(device)
    return count


def _peer(point: bytes, descriptor: Descriptor) -> Callable[[bytes], list[list[int]]]:
    reader, streams = Reader(point), [[channel.bits for channel in stream] for stream in descriptor.streams]
    return lambda raw: reader.read(raw, streams)


def _parts(
    raws: list[bytes], descriptor: Descriptor, key: ec.EllipticCurvePublicKey, bare: float, whole: float, rounds: int
) -> dict[str, float]:
    """Return what the microseconds of one frame in `verify_decode` go to, PARTS by name; together they are `whole`."""
    frames = [parse(raw) for raw in raws]
    cuts = [cut(frame, descriptor) for frame in frames]
    blocks = [
        (coding, body, count, channel.bits)
        for found in cuts
        for stream, count, _, pieces in found
        for (coding, body), channel in zip(pieces, descriptor.streams[stream], strict=True)
    ]
    passes = [blocks[begin : begin + PASS_BLOCKS] for begin in range(0, len(blocks), PASS_BLOCKS)]
    columns = [list(zip(*each, strict=True)) for each in passes]
    work: list[Callable[[], object]] = [
        lambda: _drop(verify_sign1(raw, key) for raw in raws),
        lambda: _drop(parse(raw) for raw in raws),
        lambda: _drop(cut(frame, descriptor) for frame in frames),
        lambda: _drop(decode_blocks(*each) for each in columns),
        lambda: _drop(decode_many((frame, descriptor) for frame in frames)),
    ]
    verify, form, cutting, decoding, signals = (1e6 / rate for rate in standard.rates(work, len(raws), rounds))
    apart = [bare, verify - bare, form, cutting, decoding, signals - decoding - cutting]
    return dict(zip(PARTS, [*apart, whole - sum(apart)], strict=True))


def _drop(made: Iterable[object]) -> None:
    """Have everything made, and keep nothing."""
    deque(made, maxlen=0)


def render(result: dict[str, Any]) -> Table:
    """Return the figures of `run` as a table for a person."""
    table = Table("one core", "frames a second", "ratio", "target", title="host", title_justify="left")
    rate = {name: f"{value:,.0f}" for name, value in result.items() if name.endswith("_per_second")}
    table.add_row("bare P-256 verification", rate["bare_per_second"], "1", "")
    table.add_row(
        "verify + decode, in batches", rate["verify_decode_per_second"],
        f"{result['verify_decode_ratio']:.2f} of bare", "0.45 (stretch 0.6)",
    )  # fmt: skip
    table.add_row(
        "the same through a session, with order and replay state", rate["session_per_second"],
        f"{result['session_ratio']:.2f} of bare", "",
    )  # fmt: skip
    table.add_row(
        "`cwt` + `cbor2` + a loop over samples", rate["peer_per_second"], f"ours {result['peer_ratio']:.1f} x", "10 x"
    )
    table.add_row("verdict, every signature", rate["signatures_per_second"], "1", "")
    table.add_row("verdict, by chain", rate["chain_per_second"], f"{result['chain_ratio']:.1f} x", "10 x")
    parts = result["parts_us"]
    for name, us in parts.items():
        table.add_row(f"  {PARTS[name]}", f"{us:.1f} us a frame", f"{us / sum(parts.values()):.0%}", "")
    return table
