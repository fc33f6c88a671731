"""One frame explained field by field, down to the bytes."""

from .explain import Row, explain

__all__ = ["Row", "explain"]
