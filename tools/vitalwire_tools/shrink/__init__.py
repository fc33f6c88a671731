"""Makes the device's sources small without changing what they do: constants folded, modules joined, names short.

A name costs a device 10 to 30 bytes of heap, a module 400, an import of a name 16 in each importing module. A
program is its modules by dotted name, as syntax trees; a package's `__init__` goes by the package's name.
"""

from __future__ import annotations

import ast

from .constants import fold
from .join import join, reach
from .names import shorten

Program = dict[str, ast.Module]
__all__ = ["Program", "fold", "join", "reach", "shorten"]
