"""Where verified frames wait, durably, until every sink has them."""

from .entry import Entry, Trust

__all__ = ["Entry", "Trust"]
