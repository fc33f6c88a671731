"""Where the gateway delivers to: one file a kind of peer, each an extra; a sink knows entries and its peer only."""

from .sink import Rejected, Sink

__all__ = ["Rejected", "Sink"]
