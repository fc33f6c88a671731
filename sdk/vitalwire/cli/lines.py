"""What a device does, in words, and a line for each frame and event: for files, pipes and programs."""

from __future__ import annotations

import json
from contextlib import ExitStack

from vitalwire.client import Client, ClientEvent, Connected, Disconnected, VerifiedFrame
from vitalwire.errors import InputError
from vitalwire.export import details, event_name
from vitalwire.messages import Trust
from vitalwire.packet import LogLine
from vitalwire.session import (
    Burned,
    ChainBreak,
    Disproved,
    Dropped,
    Gap,
    GapClosed,
    Quarantined,
    Sealed,
    SecurityEvent,
)
from vitalwire_protocol import spec


def told(event: ClientEvent) -> str:
    """Return an event in words; empty if nobody needs to know."""
    match event:
        case Connected():
            return "connected"
        case Disconnected(why):
            return f"lost: {why}"
        case Gap(_, first, last):
            return f"not here so far: {first} to {last}"
        case GapClosed(_, first, last):
            return f"here now: {first} to {last}"
        case Burned(_, first, last):
            return f"never used, by the device's word: {first} to {last}"
        case Dropped(_, first, last):
            return f"dropped, by the device's word: {first} to {last}"
        case ChainBreak(_, seq, why):
            return f"the chain breaks at {seq}: {why}"
        case SecurityEvent(_, seq, what):
            return f"SECURITY: {what} at {seq}"
        case Sealed(_, first, last):
            return f"sealed: {first} to {last}"
        case Disproved(_, seq, _):
            return f"never made by the device, whatever its MAC: {seq}"
        case Quarantined(_, reason, frame):
            return f"set aside: {frame.seq}, {reason.value}"
        case LogLine(level, text):
            return f"log {level.name if isinstance(level, spec.LogLevel) else level}: {text}"
        case _:
            return ""


class Lines:
    """One line for each frame and event, for files, pipes and programs."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json

    def shown(self, client: Client) -> ExitStack:
        """Need no preparation."""
        del client
        return ExitStack()

    def refresh(self) -> None:
        """Do nothing: everything is written at once."""

    def hear(self, event: ClientEvent) -> None:
        """Write an event."""
        if text := told(event):
            print(json.dumps({"event": type(event).__name__, "text": text}) if self._json else text, flush=True)

    def take(self, frame: VerifiedFrame) -> None:
        """Write a frame."""
        try:
            signals = frame.signals
        except InputError as error:
            signals = {}
            self._write({"error": str(error)}, f"frame {frame.seq} does not decode: {error}")
        kind = frame.kind.name if isinstance(frame.kind, spec.Kind) else str(frame.kind)
        last = {name: float(signal.values[-1]) for name, signal in signals.items() if signal.valid[-1]}
        events = [{"event": event_name(event), **details(event)} for event in frame.events]
        said: dict[str, object] = {
            "frame": frame.seq,
            "device": frame.name,
            "boot": frame.boot,
            "kind": kind.lower(),
            "bytes": len(frame.raw),
            "trust": frame.trust.value,
            "private": frame.opaque,
            "time": None if frame.time != frame.time else frame.time,
            "samples": {name: len(signal) for name, signal in signals.items()},
            "valid": {name: int(signal.valid.sum()) for name, signal in signals.items()},
            "last": last,
            "events": events,
        }
        text = " ".join(f"{name}={value:.6g}" for name, value in last.items())
        text += " ".join(f"{each['event']}" for each in events)
        text += " (private)" * frame.opaque + " (authentic only)" * (frame.trust == Trust.AUTHENTIC)
        self._write(said, f"{frame.name} {frame.boot}/{frame.seq} {kind} {len(frame.raw)} bytes {text}".rstrip())

    def _write(self, said: dict[str, object], text: str) -> None:
        print(json.dumps(said) if self._json else text, flush=True)
