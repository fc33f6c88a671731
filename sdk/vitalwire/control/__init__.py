"""The conversation with a device: commands, replies, acknowledgements, time (SPEC.md section 10). Sans-IO."""

from .command import Identity, Reply, closed_command, open_command, parse_identity, parse_reply
from .controller import Controller
from .events import (
    Acknowledged,
    AcknowledgeRefused,
    Answered,
    Confirmed,
    ControlEvent,
    ControllerCounters,
    Hint,
    Identified,
    Refused,
    TimeMeasured,
    TimeTold,
    Unanswered,
)
from .refusals import refusal
from .talk import PAUSE, Question, Talk, go_on
from .timesync import TimeFix, TimeSync

__all__ = [
    "PAUSE",
    "AcknowledgeRefused",
    "Acknowledged",
    "Answered",
    "Confirmed",
    "ControlEvent",
    "Controller",
    "ControllerCounters",
    "Hint",
    "Identified",
    "Identity",
    "Question",
    "Refused",
    "Reply",
    "Talk",
    "TimeFix",
    "TimeMeasured",
    "TimeSync",
    "TimeTold",
    "Unanswered",
    "closed_command",
    "go_on",
    "open_command",
    "parse_identity",
    "parse_reply",
    "refusal",
]
