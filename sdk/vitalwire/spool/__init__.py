"""Where verified frames wait, durably, until every sink has them."""

from vitalwire.messages import Trust

from .entry import Entry
from .spool import Bound, Full, Lost, Spool, State
from .store import DeadLetter, Store

__all__ = ["Bound", "DeadLetter", "Entry", "Full", "Lost", "Spool", "State", "Store", "Trust"]
