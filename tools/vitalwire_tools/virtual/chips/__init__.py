"""Register-level models of sensor chips, a file each. They know virtual time, registers, a recording; never a driver.

A model is stricter than the chip: an access the data sheet does not allow is refused loudly instead of ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any


def models(parts: Iterable[str]) -> dict[str, Any]:
    """Return each part's model: the class of its name, in the module of its name."""
    return {part: getattr(import_module(f"{__name__}.{part}"), part.capitalize()) for part in parts}
