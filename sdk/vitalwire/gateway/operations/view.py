"""What the page shows: devices, sources and sinks as they are now, and the newest waveforms of a device; no I/O."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vitalwire.errors import VitalwireError
from vitalwire.frame import parse
from vitalwire.messages import Descriptor
from vitalwire.session import Gap, GapClosed, Quarantined, Reason, Refused, SecurityEvent
from vitalwire.signals import decode
from vitalwire.spool import Entry, State
from vitalwire_protocol.spec import Counter, Event, Kind

from ..events import Concluded, Delivered, GatewayEvent, SinkChanged, SourceChanged, Spooled

MOST_DEVICES = 1000  # those seen last
RECENT = 6  # data frames kept of each
POINTS = 1500  # of one waveform
JOIN = 0.25  # seconds, and one and a half periods, that samples may be later than their number says
TROUBLES = 20  # newest ones shown
RESTS: dict[int, bool] = {Event.PAUSE_BEGUN: True, Event.PAUSE_ENDED: False, Event.BOOT: False}


@dataclass(slots=True)
class _Device:
    name: str
    thumbprint: bytes
    frames: int = 0
    boot: int = 0
    seq: int = 0
    arrived_us: int = 0
    missing: int = 0
    trust: str = ""
    battery_mv: int | None = None
    resting: bool = False  # in a pause of its sensors, as far as its events can be read
    recent: deque[Entry] = field(default_factory=lambda: deque(maxlen=RECENT))


class View:
    """Follows a gateway's events; `find` returns a descriptor by digest (8 bytes) where this has not seen it itself."""

    def __init__(self, find: Callable[[bytes], Descriptor | None] = lambda digest: None) -> None:
        self._find = find
        self._started = time.time()
        self._devices: OrderedDict[bytes, _Device] = OrderedDict()
        self._sinks: dict[str, dict[str, Any]] = {}
        self._sources: dict[str, set[str]] = {}
        self._down: dict[str, str] = {}  # sources, and what is wrong as far as was told last
        self._troubles: deque[dict[str, Any]] = deque(maxlen=TROUBLES)

    def __call__(self, event: GatewayEvent) -> None:
        """Take note of an event."""
        match event:
            case Spooled(entries):
                for entry in entries:
                    self._spooled(entry)
            case Delivered(sink, entries, _, delivered_us) if entries:
                told = self._sinks.setdefault(sink, {"state": "up", "why": "", "delivered": 0})
                told["delivered"] += len(entries)
                told["lag_s"] = (delivered_us - entries[-1].arrived_us) / 1e6
            case SinkChanged(sink, state, why):
                told = self._sinks.setdefault(sink, {"delivered": 0})
                told |= {"state": state.value, "why": why}
            case SourceChanged(source, peer, up, why):
                peers = self._sources.setdefault(source, set())
                if peer:
                    (peers.add if up else peers.discard)(peer)
                if up:
                    self._down.pop(source, None)
                elif why:
                    self._down[source] = f"{peer}: {why}" if peer else why
            case Concluded(source, _, outcome):
                self._concluded(source, outcome)
            case _:
                pass

    def _spooled(self, entry: Entry) -> None:
        device = self._devices.get(entry.thumbprint)
        if device is None:
            device = self._devices[entry.thumbprint] = _Device(entry.device, entry.thumbprint)
            if len(self._devices) > MOST_DEVICES:
                self._devices.popitem(last=False)
        self._devices.move_to_end(entry.thumbprint)
        device.name, device.frames, device.trust = entry.device, device.frames + 1, entry.trust.value
        device.arrived_us = max(device.arrived_us, entry.arrived_us)
        if entry.seq >= device.seq:
            device.boot, device.seq = entry.boot, entry.seq
            if entry.kind == Kind.EVENT:
                for event in parse(entry.raw).events:
                    if event.code in RESTS:
                        device.resting = RESTS[event.code]
        if entry.kind == Kind.DATA:
            device.recent.append(entry)
        elif entry.kind == Kind.STATUS:
            device.battery_mv = parse(entry.raw).counters.get(Counter.BATTERY_MV, device.battery_mv)

    def _concluded(self, source: str | None, outcome: object) -> None:
        now = time.time()
        match outcome:
            case Gap(device, first, last) | GapClosed(device, first, last):
                if (found := self._devices.get(device)) is not None:
                    count = last - first + 1
                    found.missing = max(0, found.missing + (count if isinstance(outcome, Gap) else -count))
            case Refused(reason, _, _, device) if reason != Reason.BUSY:
                self._troubles.append(
                    {"time": now, "what": reason.value, "source": source, "device": self._name(device)}
                )
            case Quarantined(device, reason):
                self._troubles.append(
                    {"time": now, "what": reason.value, "source": source, "device": self._name(device)}
                )
            case SecurityEvent(device, seq, what):
                trouble = {"what": f"{what} at {seq}", "source": source, "device": self._name(device)}
                self._troubles.append({"time": now, **trouble})
            case _:
                pass

    def _name(self, device: bytes | None) -> str | None:
        found = None if device is None else self._devices.get(device)
        return found.name if found else device.hex()[:8] if device else None

    # ------------------------------------------------------------ for the page

    def status(self, state: State | None) -> dict[str, Any]:
        """Return everything but waveforms, ready for JSON."""
        sinks = {name: dict(told) for name, told in self._sinks.items()}
        spool = None
        if state is not None:
            spool = {"used": state.used, "size": state.size, "entries": state.entries, "alarm": state.alarm}
            spool["suspects"] = sum(state.suspects.values())
            for name, waiting in state.waiting.items():
                sinks.setdefault(name, {"state": "opening", "why": "", "delivered": 0})
                sinks[name] |= {"waiting": waiting, "dead": state.dead.get(name, 0)}
        return {
            "now": time.time(),
            "started": self._started,
            "devices": [self._shown(device) for device in sorted(self._devices.values(), key=lambda d: d.name)],
            "sources": {name: sorted(peers) for name, peers in self._sources.items()},
            "down": dict(self._down),
            "sinks": sinks,
            "spool": spool,
            "troubles": list(self._troubles)[::-1],
        }

    def _shown(self, device: _Device) -> dict[str, Any]:
        return {
            "name": device.name,
            "thumbprint": device.thumbprint.hex(),
            "frames": device.frames,
            "boot": device.boot,
            "seq": device.seq,
            "missing": device.missing,
            "trust": device.trust,
            "battery_mv": device.battery_mv,
            "seen": device.arrived_us / 1e6,
            "resting": device.resting,
        }

    def waves(self, thumbprint: bytes) -> list[dict[str, Any]]:
        """Return the newest seconds of each waveform of a device: name, unit, first and last time, values (null: none).

        Empty for a device that is not known, or whose samples nobody here can read.
        """
        device = self._devices.get(thumbprint)
        found: dict[str, dict[str, Any]] = {}
        for entry in () if device is None else sorted(device.recent, key=lambda each: (each.boot, each.seq)):
            try:
                frame = parse(entry.raw)
                descriptor = None if frame.descriptor is None else self._find(frame.descriptor)
                signals = {} if descriptor is None else decode(frame, descriptor)
            except VitalwireError:
                continue
            for name, signal in signals.items():
                if signal.rate is None or not len(signal):
                    continue
                values = np.where(signal.valid, signal.values, np.nan)
                rate = float(signal.rate)
                wave = found.setdefault(name, {"unit": signal.unit, "rate": rate, "parts": [], "end": None})
                end, wave["end"] = wave["end"], (entry.boot, signal.ticks)
                late = 0.0 if end is None else (signal.ticks - end[1]) / 1e6 - len(signal) / rate
                if end is not None and (end[0] != entry.boot or late > JOIN + 1.5 / rate):
                    wave["parts"].append([np.nan])  # a line over a pause or missing frames would be a signal
                wave["parts"].append(values)
        return [
            {"name": name, "unit": wave["unit"], "rate": wave["rate"], "values": _thinned(wave["parts"])}
            for name, wave in found.items()
        ]


def _thinned(parts: list[Any]) -> list[float | None]:
    """Return at most POINTS values: of each stretch its least and its greatest, so that no peak is lost."""
    values = np.concatenate(parts)
    size = -(-len(values) * 2 // POINTS)
    if size > 2:
        padded = np.pad(values, (0, -len(values) % size), constant_values=np.nan).reshape(-1, size)
        blank = np.isnan(padded)
        least = np.where(blank, np.inf, padded).min(1)
        most = np.where(blank, -np.inf, padded).max(1)
        values = np.column_stack((least, most)).ravel()
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]
