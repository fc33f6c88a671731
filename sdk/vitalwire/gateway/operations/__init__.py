"""What an operator sees of a gateway: figures, health, a log, an audit log, objectives, a page. It changes nothing."""

from .objectives import Objectives, Report, report
from .records import Auditor, Logger
from .settings import AuditSettings, ObjectiveSettings, StatusSettings
from .view import View

__all__ = [
    "AuditSettings",
    "Auditor",
    "Logger",
    "ObjectiveSettings",
    "Objectives",
    "Report",
    "StatusSettings",
    "View",
    "report",
]
