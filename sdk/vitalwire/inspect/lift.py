"""What the head of a compressed block says, in words."""

from __future__ import annotations

from vitalwire.codec.heads import HEAD
from vitalwire_protocol import spec


def lift_head(body: bytes, bits: int) -> str:
    """Return what the head of a LIFT block says (SPEC section 6)."""
    text, at, told = "".join(f"{byte:08b}" for byte in body[:16]), 0, dict[str, int]()
    for name, width in HEAD.items():
        told[name] = int(text[at : at + width] or "0", 2)
        at += width
    kernels = [
        int(text[at + k * spec.LIFT_KERNEL_BITS :][: spec.LIFT_KERNEL_BITS] or "0", 2) for k in range(told["levels"])
    ]
    parts = [
        f"differences of order {told['order']}",
        f"{told['levels']} levels, kernels {kernels}" if kernels else "no levels",
        f"sub-blocks of {spec.LIFT_UNIT << told['size']}",
        f"first parameter {told['parameter']}",
    ]
    parts += [f"{told['shift']} low bits left out"] if told["shift"] else []
    parts += [f"sums of {1 << told['sum']}"] if told["sum"] else []
    return ", ".join(parts)
