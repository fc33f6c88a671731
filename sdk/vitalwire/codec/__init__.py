"""Blocks: the lossless compression of one channel's samples in one frame (SPEC.md, "Blocks").

Reading is array operations over any number of blocks at once; no loop goes over samples.
"""

from .decode import decode_block, decode_blocks, side_bits
from .encode import encode_block

__all__ = ["decode_block", "decode_blocks", "encode_block", "side_bits"]
