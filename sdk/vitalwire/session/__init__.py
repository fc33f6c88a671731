"""The session: which frames are to be believed, in which order, what is missing, and what may be acknowledged."""

from vitalwire.session.limits import Limits
from vitalwire.session.outcomes import (
    Burned,
    ChainBreak,
    Disproved,
    Dropped,
    Duplicate,
    Gap,
    GapClosed,
    GapForgotten,
    Held,
    NeedDescriptor,
    Outcome,
    Quarantined,
    Reason,
    Refused,
    Sealed,
    SecurityEvent,
    Verified,
)
from vitalwire.session.replay_state import ReplayState
from vitalwire.session.session import Session
from vitalwire.session.waiting import May

__all__ = [
    "Burned",
    "ChainBreak",
    "Disproved",
    "Dropped",
    "Duplicate",
    "Gap",
    "GapClosed",
    "GapForgotten",
    "Held",
    "Limits",
    "May",
    "NeedDescriptor",
    "Outcome",
    "Quarantined",
    "Reason",
    "Refused",
    "ReplayState",
    "Sealed",
    "SecurityEvent",
    "Session",
    "Verified",
]
