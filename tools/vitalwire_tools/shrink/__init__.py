"""Makes the device's sources small without changing what they do: constants folded, modules joined, names short, errors
without words.

A name costs a device 10 to 30 bytes of heap, a module 400, an import of a name 16 in each importing module. A program
is its modules by dotted name, as syntax trees; a package's `__init__` goes by the package's name.
"""

from __future__ import annotations

import ast
from collections.abc import Collection

from .attributes import shorten_attributes
from .constants import fold
from .globals import frequent_first, shorten_globals
from .join import join, reach
from .names import shorten_locals
from .prune import prune, prune_imports
from .words import mute

Program = dict[str, ast.Module]
__all__ = ["Program", "reach", "shrink"]


def shrink(program: Program, members: list[str], name: str, outside: Collection[str] = ()) -> dict[str, str]:
    """Shrink a program and join `members`, in an order that imports allow, into the module `name`.

    `outside` are the modules that meet objects which are not ours, beyond those that all Pythons have. Returns what the
    new names stand for. Raises ValueError for what cannot be shrunk without changing its meaning.
    """
    mute(program)
    prune(program)
    fold(program, members)
    prune_imports(program)
    shorten_locals(program)
    names = shorten_attributes(program, outside)
    joined = join(program, members, name)
    names |= {new: joined.get(old, old) for new, old in shorten_globals(program, name).items()}
    frequent_first(program[name])
    return names
