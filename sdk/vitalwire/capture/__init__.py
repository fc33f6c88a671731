"""Captures: files of frames as they came, in the order they came (SPEC.md section 12)."""

from __future__ import annotations

from .index import Index, select
from .reader import Damage, Record, parts, read
from .scan import Head, peek
from .splits import splits
from .writer import Writer

__all__ = ["Damage", "Head", "Index", "Record", "Writer", "parts", "peek", "read", "select", "splits"]
