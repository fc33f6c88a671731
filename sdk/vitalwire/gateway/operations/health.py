"""Whether a gateway lives and whether it does its work, for whoever restarts it or sends it devices."""

from __future__ import annotations

from ..events import GatewayEvent, SinkChanged, SinkState, SpoolChanged


class Health:
    """Follows a gateway's events. A gateway whose sinks are away is ready all the same: its spool keeps what comes."""

    def __init__(self) -> None:
        self.is_running = False
        self._refusal = ""
        self._sinks: dict[str, SinkState] = {}

    def __call__(self, event: GatewayEvent) -> None:
        """Take note of an event."""
        match event:
            case SpoolChanged(takes, _, why):
                self._refusal = "" if takes else why
            case SinkChanged(sink, state):
                self._sinks[sink] = state
            case _:
                pass

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Return whether frames are taken, and what an operator wants to know about it."""
        told: dict[str, object] = {"running": self.is_running, "sinks": {n: s.value for n, s in self._sinks.items()}}
        if self._refusal:
            told["spool"] = self._refusal
        return self.is_running and not self._refusal, told
