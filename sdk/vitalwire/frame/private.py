"""What a frame keeps private, read by whoever has the key (SPEC section 5)."""

from __future__ import annotations

from dataclasses import replace

from vitalwire import cbor
from vitalwire.encryption import decrypt
from vitalwire.errors import FrameError
from vitalwire.frame.form import KNOWN, read_contents
from vitalwire.messages import Frame
from vitalwire_protocol.spec import Key, Limit


def opened(frame: Frame, key: bytes) -> Frame:
    """Return the frame with what it keeps private in its place; one that keeps nothing private as it is.

    `key` is the device's `encryption_key`. Raises `SignatureError` where it is not the key, `FrameError` or `CborError`
    where what was encrypted is not of the form.
    """
    if frame.opaque is None:
        return frame
    fields = cbor.decode(decrypt(key, frame.boot, frame.seq, frame.opaque))
    if type(fields) is not dict:
        raise FrameError("what is private is a map", reason="type")
    outside = {Key.BLOCKS: frame.blocks is not None, Key.MARKS: bool(frame.marks), Key.SCALARS: bool(frame.scalars)}
    if any(outside[name] and name in fields for name in outside):
        raise FrameError("a key stands inside what is private and outside", reason="duplicate-key")
    inside = read_contents(frame.kind, fields, frame.ticks, some=True)
    events = (*frame.events, *inside.events)
    if len(events) > Limit.MAX_EVENTS:
        raise FrameError(f"{len(events)} events, more than {Limit.MAX_EVENTS}", reason="items")
    return replace(
        frame,
        opaque=None,
        blocks=frame.blocks if inside.blocks is None else inside.blocks,
        marks=frame.marks or inside.marks,
        scalars=frame.scalars or inside.scalars,
        events=events,
        unknown={**frame.unknown, **{key: fields[key] for key in fields.keys() - KNOWN[frame.kind]}},
    )
