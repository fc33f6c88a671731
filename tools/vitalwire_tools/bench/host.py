"""Measures what one core of the host does with signed frames, against bare P-256 verification and a plain reader.

All rates are frames a second of the standard profile, in one process, taken in turns, best of several rounds.
"""

from __future__ import annotations

from collections.abc import Callable
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
from vitalwire.frame import parse, readouts
from vitalwire.messages import Descriptor, Frame
from vitalwire.registry import Registry
from vitalwire.signals import PASS_BLOCKS, Signals, decode_many
from vitalwire.verdict import Verifier

from . import standard
from .plain import Reader

FRAMES = 2048
PEER_FRAMES = 16  # the plain reader takes its time
ROUNDS = 15  # the least disturbed of each counts


def run(frames: int = FRAMES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return rates and their ratios; the parts of one frame's way in microseconds.

    `verify_decode_ratio` is ours to bare verification, `chain_ratio` a capture's verdict by chain to the same by every
    signature, `peer_ratio` ours to the plain reader. Raises AssertionError if the readers do not read the same samples.
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

    def verify_decode() -> list[Signals | InputError]:
        return list(decode_many((_verified(raw, key), descriptor) for raw in raws))

    ours = verify_decode()[: len(few)]
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

        work = [verify_bare, verify_decode, judge(True), judge(False)]
        bare_rate, our_rate, chain_rate, signature_rate = standard.rates(work, len(raws), rounds)
    (peer_rate,) = standard.rates([lambda: [peer(raw) for raw in few]], len(few), 3)
    return {
        "verify_decode_ratio": our_rate / bare_rate,
        "chain_ratio": chain_rate / signature_rate,
        "peer_ratio": our_rate / peer_rate,
        "bare_per_second": bare_rate,
        "verify_decode_per_second": our_rate,
        "chain_per_second": chain_rate,
        "signatures_per_second": signature_rate,
        "peer_per_second": peer_rate,
        "parts_us": _parts(raws, descriptor, key, rounds),
    }


def _bare(raw: bytes) -> tuple[bytes, bytes]:
    """Return a frame's signature as OpenSSL wants it, and a message of the same length as what is signed."""
    signature = encode_dss_signature(int.from_bytes(raw[-64:-32]), int.from_bytes(raw[-32:]))
    return signature, _signed(raw)


def _signed(raw: bytes) -> bytes:
    """Return the Sig_structure of a frame (RFC 9052 4.4), with nothing of the SDK's."""
    protected, _, payload, _ = cbor2.loads(raw).value
    return cbor2.dumps(["Signature1", protected, b"vitalwire/1 frame", payload])


def _verified(raw: bytes, key: ec.EllipticCurvePublicKey) -> Frame:
    frame = parse(raw)
    verify_sign1(raw, key)
    return frame


def _peer(point: bytes, descriptor: Descriptor) -> Callable[[bytes], list[list[int]]]:
    reader, streams = Reader(point), [[channel.bits for channel in stream] for stream in descriptor.streams]
    return lambda raw: reader.read(raw, streams)


def _parts(raws: list[bytes], descriptor: Descriptor, key: ec.EllipticCurvePublicKey, rounds: int) -> dict[str, float]:
    """Return the microseconds a frame takes for its form, its signature, its blocks and everything else of decoding."""
    frames = [parse(raw) for raw in raws]
    blocks = [
        (coding, body, readout.count, channel.bits)
        for frame in frames
        for readout in readouts(frame, descriptor)
        for (coding, body), channel in zip(readout.blocks, descriptor.streams[readout.stream], strict=True)
    ]
    passes = [blocks[begin : begin + PASS_BLOCKS] for begin in range(0, len(blocks), PASS_BLOCKS)]
    columns = [list(zip(*each, strict=True)) for each in passes]
    work = {
        "parse": lambda: [parse(raw) for raw in raws],
        "verify": lambda: [verify_sign1(raw, key) for raw in raws],
        "blocks": lambda: [decode_blocks(*each) for each in columns],
        "signals": lambda: list(decode_many((frame, descriptor) for frame in frames)),
    }
    rates = standard.rates(list(work.values()), len(raws), rounds)
    parts = {name: 1e6 / rate for name, rate in zip(work, rates, strict=True)}
    parts["signals"] -= parts["blocks"]
    return parts


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
        "`cwt` + `cbor2` + a loop over samples", rate["peer_per_second"], f"ours {result['peer_ratio']:.1f} x", "10 x"
    )
    table.add_row("verdict, every signature", rate["signatures_per_second"], "1", "")
    table.add_row("verdict, by chain", rate["chain_per_second"], f"{result['chain_ratio']:.1f} x", "10 x")
    parts = ", ".join(f"{name} {us:.0f} us" for name, us in result["parts_us"].items())
    table.add_row("of one frame's time", parts, "", "")
    return table
