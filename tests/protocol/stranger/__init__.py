"""A verifying decoder of vitalwire written from SPEC.md alone, as a stranger would: it imports nothing of ours.

Needs the standard library, `cbor2` and `cryptography`. Everything that is not as SPEC.md says raises `Refused`.
`read_frame` checks one frame, `read_capture` a whole file against a set of thumbprints: signatures, chain, samples.
"""

from .blocks import Bytes, read_blocks, signed
from .captures import read_capture, split_capture
from .cbor import Refused, item, need
from .frames import derived, open_private, read_frame, read_mac_frame
from .packets import read_packet, read_reply

__all__ = [
    "Bytes",
    "Refused",
    "derived",
    "item",
    "need",
    "open_private",
    "read_blocks",
    "read_capture",
    "read_frame",
    "read_mac_frame",
    "read_packet",
    "read_reply",
    "signed",
    "split_capture",
]
