"""Where verified frames wait, durably, until every sink has them, and where what is not believed is kept."""

from vitalwire.messages import Trust

from .bound import Bound, Full, Lost, State
from .entry import Entry
from .quarantine import Choice, Quarantine, Suspect
from .spool import Spool
from .store import DeadLetter, Store

__all__ = [
    "Bound",
    "Choice",
    "DeadLetter",
    "Entry",
    "Full",
    "Lost",
    "Quarantine",
    "Spool",
    "State",
    "Store",
    "Suspect",
    "Trust",
]
