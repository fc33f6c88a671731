"""SPEC.md sections 8 and 12: what a whole capture proves, and the samples in it."""

from __future__ import annotations

import hashlib
import io
import re
from itertools import pairwise
from typing import Any

import cbor2

from .blocks import read_blocks
from .cbor import Refused, cose, encoded, item, need
from .frames import check_frame, read_frame, streams_of


def split_capture(data: bytes) -> tuple[list[Any], int, list[Any]]:
    """Return [time of arrival, frame] of each frame, how many torn bytes end the file, [offset, length] of damage."""
    head = encoded({1: "vitalwire-capture", 2: 1}, 0)
    if head.startswith(data):
        return [], len(data) % len(head), []
    need(data.startswith(head), "not a capture")
    frames: list[Any] = []
    damaged: list[Any] = []
    at, received = len(head), None
    while at < len(data):
        end, note = item_at(data, at)
        if not end:
            heads = (found.start() for found in re.finditer(rb"[\xd1\xd2]\x84\x43\xa1\x01", data[at + 1 :]))
            again = next((at + 1 + head for head in heads if item_at(data, at + 1 + head)[0]), -1)
            if again < 0:
                return frames, len(data) - at, damaged
            damaged.append([at, again - at])
            received, end = None, again
        elif note is None:
            frames.append([received, data[at:end]])
            received = None
        else:
            received = note.get(3, received)
        at = end
    return frames, 0, damaged


def item_at(data: bytes, at: int) -> tuple[int, dict[int, Any] | None]:
    """Return where the frame or note at a place ends, 0 if there is none, and the map of a note."""
    try:
        value = cbor2.load(io.BytesIO(data[at : at + 4032]))
        tagged = isinstance(value, cbor2.CBORTag)
        raw = bytes([0xC0 | value.tag]) + encoded(value.value, 0) if tagged else encoded(value, 0)
        if tagged:
            need(value.tag in (17, 18), "not a frame")
            parts = cose(raw, value.tag, 4032)
            need(value.tag == 18 or (parts[0] == b"\xa1\x01\x05" and len(parts[3]) == 32), "not a frame")
        if (tagged or type(value) is dict) and data[at : at + len(raw)] == raw:
            return at + len(raw), None if tagged else value
    except (Refused, cbor2.CBORDecodeError, RecursionError, ValueError):
        pass
    return 0, None


def read_capture(data: bytes, enrolled: set[bytes]) -> dict[str, Any]:
    """Return what a capture proves: frames by seq, samples by channel, ranges of missing numbers, broken links; and how
    many frames have MACs that no seal covers."""
    descriptors: dict[bytes, dict[int, Any]] = {}
    frames: dict[int, tuple[bytes, dict[int, Any]]] = {}
    maced: dict[bytes, tuple[bytes, dict[int, Any]]] = {}  # by digest
    for _, raw in split_capture(data)[0]:
        if raw[0] == 0xD1:
            keys = item(cose(raw, 17, 4032)[2])
            check_frame(keys)
            need(descriptors[keys[5]][21] == 2, "downgrade")
            maced[hashlib.sha256(raw).digest()[:16]] = raw, keys
            continue
        named = item(cose(raw, 18, 4032)[2])
        own = named.get(1) == 1
        need(own or named.get(5) in descriptors, "unknown descriptor")
        key = named[18] if own else descriptors[named[5]][18]
        need(hashlib.sha256(encoded(key, 0)).digest() in enrolled, "foreign")
        keys = read_frame(raw, (key[-2], key[-3]))
        if own:
            descriptors[hashlib.sha256(raw).digest()[:8]] = keys
        need(frames.get(keys[3], (raw,))[0] == raw, "the same seq with other bytes")
        frames[keys[3]] = raw, keys
    for raw, keys in list(frames.values()):
        while keys[4] in maced:
            raw, keys = maced.pop(keys[4])
            frames[keys[3]] = raw, keys
    in_order = [frames[seq] for seq in sorted(frames)]
    samples: dict[str, list[int]] = {}
    for _, keys in in_order:
        if keys[1] == 2:
            collect(samples, keys, descriptors[keys[5]])
    missing, broken = chain(in_order)
    return {"frames": frames, "samples": samples, "missing": missing, "broken": broken, "unsealed": len(maced)}


def collect(samples: dict[str, list[int]], keys: dict[int, Any], descriptor: dict[int, Any]) -> None:
    """Append the samples of a data frame to those of its channels."""
    readouts = read_blocks(keys[9], keys[6], streams_of(descriptor)) if 9 in keys else []
    counts: dict[int, int] = {}
    for stream, readout in enumerate(readouts):
        members = [channel for channel in descriptor[22] if channel.get(5) == stream]
        for channel, values in zip(members, readout[1] if readout else [], strict=bool(readout)):
            samples.setdefault(channel[1], []).extend(values)
            counts[channel[0]] = len(values)
    need(all(run[2] + run[3] <= counts.get(run[0], 0) for run in keys.get(10, [])), "a run past the samples")


def chain(frames: list[tuple[bytes, dict[int, Any]]]) -> tuple[list[Any], list[int]]:
    """Return [first, last] of what is missing and the numbers of frames whose link is broken."""
    events = [event for _, keys in frames if keys[1] == 3 for event in keys[12]]
    burned = {details[4]: details[5] for code, _, details in events if code == 1 and 4 in details}
    drops = {details[4]: details for code, _, details in events if code == 10}
    missing, broken = [], []
    for (before, earlier), (_, keys) in pairwise(frames):
        at, link = earlier[3] + 1, hashlib.sha256(before).digest()[:16]
        while at < keys[3]:
            if at in burned:
                at = burned[at] + 1
            elif at in drops and drops[at][13] == link:
                at, link = drops[at][5] + 1, drops[at][6]
            else:
                missing.append([at, keys[3] - 1])
                break
        else:
            if at != keys[3] or keys[4] != link:
                broken.append(keys[3])
    return missing, broken
