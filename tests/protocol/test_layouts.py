"""The layouts of `spec` as `construct` reads them, held to the example of SPEC.md and to the SDK."""

from __future__ import annotations

import numpy as np

from vitalwire.codec import encode_block
from vitalwire_protocol import spec

EXAMPLE = (24, 22, 18, 15, 11, 3, -6, -15, -22, -29, -39, -44, -50, -54, -56, -57)


def test_the_example_of_the_specification_has_the_fields_it_says() -> None:
    """Header and LIFT body of section 6's example parse to the fields in its table, planes and fill to its bits."""
    block = spec.Block.parse(bytes.fromhex("51881808c09871274d7792"))
    assert (block.coding, len(block.body)) == (spec.Coding.LIFT, 10)
    body = spec.LiftBody.parse(block.body, bits=8)
    fields = (body.order, body.levels, body.size, body.parameter, body.shift, body.sum, list(body.kernels), body.first)
    assert fields == (2, 1, 0, 3, 0, 0, [1], 24)
    planes = "0001" + "001100001110001001" + "00111010011" + "0101" + "11011110010010"
    said = "".join(map(str, body.planes))
    assert said.startswith(planes[:22])
    assert len(said) == 80 - 18 - 3 - 8


def test_the_sdk_writes_what_construct_reads() -> None:
    """A block of the SDK's encoder has the first sample and channel width where `spec` says they are."""
    coding, body = encode_block(np.array(EXAMPLE, np.int32), 8)
    assert coding == spec.Coding.LIFT
    assert spec.LiftBody.parse(body, bits=8).first == EXAMPLE[0]


def test_a_readout_header_has_zigzag_ticks() -> None:
    """Count and relative ticks build and parse as section 5 says, negative ticks included."""
    for count, ticks in ((512, -20_000), (1, 0), (8192, 2_000_000)):
        data = spec.ReadoutHeader.build({"count": count, "ticks": ticks})
        assert (spec.ReadoutHeader.parse(data).count, spec.ReadoutHeader.parse(data).ticks) == (count, ticks)
