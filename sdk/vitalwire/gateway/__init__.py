"""The gateway: frames in from every transport, verified, kept durably, delivered to where the data platform is.

Needs the extra `vitalwire[gateway]`; each kind of source and sink has one of its own.
"""

from .config import Config, load, prove
from .events import (
    Buried,
    Concluded,
    Delivered,
    GatewayEvent,
    JobChanged,
    Observer,
    QuarantineChanged,
    RoomLost,
    SinkChanged,
    SinkState,
    SourceChanged,
    SpoolChanged,
    Spooled,
)
from .gateway import Gateway
from .jobs import Content, Job, JobKind, Jobs, JobStage
from .operate import log_as_lines, objectives_file, operate
from .operations import Report, report

__all__ = [
    "Buried",
    "Concluded",
    "Config",
    "Content",
    "Delivered",
    "Gateway",
    "GatewayEvent",
    "Job",
    "JobChanged",
    "JobKind",
    "JobStage",
    "Jobs",
    "Observer",
    "QuarantineChanged",
    "Report",
    "RoomLost",
    "SinkChanged",
    "SinkState",
    "SourceChanged",
    "SpoolChanged",
    "Spooled",
    "load",
    "log_as_lines",
    "objectives_file",
    "operate",
    "prove",
    "report",
]
