"""Who changed what, and what tried to pass: a log of security events whose lines fix each other.

It shows that no line was altered, moved, inserted or removed before a signed head. It cannot show that the lines after
the last head that somebody else keeps were not cut off; so heads are exported.
"""

from .chain import MAX_TEXT, Checked, Detail, Record, check, parse
from .head import Head, sign_head, verify_head
from .log import AuditLog, audited

__all__ = [
    "MAX_TEXT",
    "AuditLog",
    "Checked",
    "Detail",
    "Head",
    "Record",
    "audited",
    "check",
    "parse",
    "sign_head",
    "verify_head",
]
