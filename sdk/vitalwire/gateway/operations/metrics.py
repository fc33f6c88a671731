"""What a gateway counts, for Prometheus. Labels are names from the configuration and words of ours, never a peer's."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from vitalwire.session import ChainBreak, Duplicate, Gap, GapClosed, Quarantined, Refused, SecurityEvent
from vitalwire.spool import State

from ..events import (
    Buried,
    Concluded,
    Delivered,
    GatewayEvent,
    QuarantineChanged,
    RoomLost,
    SinkChanged,
    SinkState,
    SourceChanged,
    Spooled,
)

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)
_SECOND = 1e6  # microseconds


class Metrics:
    """Counts events; `text` adds the spool's state and writes all of it."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"vitalwire_{name}", what, labels, registry=registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"vitalwire_{name}", what, labels, registry=registry)

        self._frames = counter("frames_spooled", "Verified frames made durable")
        self._bytes = counter("bytes_spooled", "Their bytes")
        self._refused = counter("frames_refused", "Frames that were not believed", "reason")
        self._quarantined = counter("frames_quarantined", "Frames of enrolled devices that were not believed", "reason")
        self._duplicates = counter("frames_duplicate", "Frames that came again")
        self._security = counter("security_events", "Contradictions somebody should look at", "what")
        self._missing = gauge("frames_missing", "Numbers missing and unexplained, of all devices")
        self._lost = counter("entries_lost", "Entries given up because the spool was full", "sink")
        self._delivered = counter("frames_delivered", "Frames that a sink's peer has", "sink")
        self._buried = counter("frames_buried", "Frames that became dead letters", "sink")
        self._sink_up = gauge("sink_up", "1 while a sink delivers or waits for something to deliver", "sink")
        self._sink_failures = counter("sink_failures", "Deliveries that failed", "sink")
        self._here: dict[str, set[str]] = {}
        self._peers = gauge("source_peers", "Peers connected", "source")
        self._stage = Histogram(
            "vitalwire_stage_seconds", "Time of each stage", ("stage",), buckets=_FAST, registry=registry
        )
        self._acknowledged = Histogram(
            "vitalwire_arrival_to_sink_seconds", "From arrival to the peer's acknowledgement", ("sink",), buckets=_FAST,
            registry=registry,
        )  # fmt: skip
        self._sample = Histogram(
            "vitalwire_sample_to_sink_seconds", "From a frame's newest sample to the peer's acknowledgement", ("sink",),
            buckets=_SLOW, registry=registry,
        )  # fmt: skip
        self._spool = {
            "used": gauge("spool_bytes", "Bytes in the spool"),
            "size": gauge("spool_limit_bytes", "Bytes it may have"),
            "entries": gauge("spool_entries", "Entries in it"),
            "alarm": gauge("spool_alarm", "1 while it is nearly full"),
        }
        self._waiting = gauge("sink_waiting_entries", "Entries that a sink has not delivered", "sink")
        self._oldest = gauge("sink_oldest_seconds", "Age of the oldest of them", "sink")
        self._suspects = gauge("quarantine_frames", "Frames in quarantine", "reason")
        self._keeps = gauge("quarantine_keeps", "0 while there is no more room in quarantine")
        self._keeps.set(1)
        self._dead = gauge("sink_dead_letters", "Dead letters of a sink", "sink")

    def __call__(self, event: GatewayEvent) -> None:
        """Count an event."""
        match event:
            case Spooled(entries, verified_us, spooled_us):
                self._frames.inc(len(entries))
                self._bytes.inc(sum(len(entry.raw) for entry in entries))
                for entry, verified in zip(entries, verified_us, strict=True):
                    self._stage.labels("verify").observe(max(0, verified - entry.arrived_us) / _SECOND)
                    self._stage.labels("spool").observe(max(0, spooled_us - verified) / _SECOND)
            case Delivered(sink, entries, sent_us, delivered_us):
                self._delivered.labels(sink).inc(len(entries))
                self._stage.labels("deliver").observe(max(0, delivered_us - sent_us) / _SECOND)
                for entry in entries:
                    self._acknowledged.labels(sink).observe(max(0, delivered_us - entry.arrived_us) / _SECOND)
                    if entry.time_us is not None:
                        self._sample.labels(sink).observe(max(0, delivered_us - entry.time_us) / _SECOND)
            case Concluded(outcome=outcome):
                self._conclude(outcome)
            case SinkChanged(sink, state):
                self._sink_up.labels(sink).set(state in (SinkState.READY, SinkState.UP))
                if state in (SinkState.WAITING, SinkState.BROKEN):
                    self._sink_failures.labels(sink).inc()
            case SourceChanged(source, peer, up):
                here = self._here.setdefault(source, set())
                if peer:
                    (here.add if up else here.discard)(peer)
                self._peers.labels(source).set(len(here))
            case QuarantineChanged(keeps):
                self._keeps.set(keeps)
            case Buried(sink):
                self._buried.labels(sink).inc()
            case RoomLost(lost):
                self._lost.labels(lost.sink).inc(lost.last - lost.first + 1)
            case _:
                pass

    def _conclude(self, outcome: object) -> None:
        match outcome:
            case Refused(reason):
                self._refused.labels(reason.value).inc()
            case Quarantined(_, reason):
                self._quarantined.labels(reason.value).inc()
            case Duplicate():
                self._duplicates.inc()
            case SecurityEvent() | ChainBreak():
                self._security.labels(outcome.what if isinstance(outcome, SecurityEvent) else "chain").inc()
            case Gap(_, first, last):
                self._missing.inc(last - first + 1)
            case GapClosed(_, first, last):
                self._missing.dec(last - first + 1)
            case _:
                pass

    def text(self, state: State | None, now_us: int) -> bytes:
        """Return everything in Prometheus's text format; without a state the spool's figures stay as they were."""
        if state is not None:
            for name, gauge in self._spool.items():
                gauge.set(getattr(state, name))
            for sink, waiting in state.waiting.items():
                self._waiting.labels(sink).set(waiting)
                oldest = state.oldest_us.get(sink)
                self._oldest.labels(sink).set(0 if oldest is None else max(0, now_us - oldest) / _SECOND)
                self._dead.labels(sink).set(state.dead.get(sink, 0))
            self._suspects.clear()
            for why, count in state.suspects.items():
                self._suspects.labels(why).set(count)
        text: bytes = generate_latest(self.registry)
        return text
