"""Says which extra is missing, not only which module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vitalwire.errors import UsageError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Turn a missing module into one line of advice."""
    try:
        yield
    except ImportError as error:
        raise UsageError(f"this needs {error.name}", advice=f'pip install "vitalwire[{extra}]"') from None
