"""Captures: files of frames as they came, in the order they came (SPEC.md section 12)."""

from __future__ import annotations

from .index import Index, select
from .reader import Damage, Record, parts, read
from .writer import Writer

__all__ = ["Damage", "Index", "Record", "Writer", "parts", "read", "select"]
