"""The host's four inner loops under pytest-benchmark: `pytest tests/bench/test_micro.py` shows their times.

Each asserts what it computed and nothing of how long that took.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from vitalwire import cbor, crypto, frame
from vitalwire.codec import decode_blocks, encode_block
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Key, Kind

DEVICE = FakeDevice()
FRAME = (DEVICE.descriptor(), DEVICE.sampled())[1]
BITS = 18

pytestmark = pytest.mark.benchmark(max_time=0.1)  # these are run with all other tests


def test_decode_blocks(benchmark: BenchmarkFixture) -> None:
    """64 blocks of 512 samples, decoded in one call, give the samples back."""
    steps = np.random.default_rng(1).normal(0, 40, (64, 512))
    wanted = np.clip(np.rint(steps.cumsum(axis=1)), -(1 << BITS - 1), (1 << BITS - 1) - 1).astype(np.int32)
    codings, bodies = zip(*(encode_block(samples, BITS) for samples in wanted), strict=True)
    found = benchmark(decode_blocks, codings, bodies, [512] * 64, [BITS] * 64)
    assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_parse(benchmark: BenchmarkFixture) -> None:
    """A data frame of the standard profile is read."""
    assert benchmark(frame.parse, FRAME).kind == Kind.DATA


def test_verify(benchmark: BenchmarkFixture) -> None:
    """Its signature verifies."""
    assert benchmark(crypto.verify_sign1, FRAME, crypto.load_public_key(DEVICE.point)) is None


def test_decode_cbor(benchmark: BenchmarkFixture) -> None:
    """Its map is decoded."""
    assert benchmark(cbor.decode, crypto.sign1_payload(FRAME))[Key.SEQ] == 2
