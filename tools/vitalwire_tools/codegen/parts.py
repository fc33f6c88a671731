"""Which sensor parts a board may name: those with a driver. A driver's constructor says how its chip is wired.

Its parameters are `(spi, select, irq)`, `(i2c, address, irq)` or `(adc, plus, minus, source)`; with `source`
in place of `irq` an interrupt brings each sample. Reads sources, runs none.
"""

from __future__ import annotations

import ast
from functools import cache

from ..folders import FIRMWARE

NO_PART = {"__init__", "battery", "sampled"}  # the battery has a table of its own; the others are what drivers share


def constants(source: str) -> dict[str, object]:
    """Return the literals a source assigns, `const(...)` or bare, in its module or in a class."""
    found: dict[str, object] = {}
    for statement in ast.walk(ast.parse(source)):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            value = statement.value
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "const":
                value = value.args[0]
            try:
                found.setdefault(statement.targets[0].id, ast.literal_eval(value))
            except ValueError:
                continue
    return found


def driver(part: str) -> dict[str, object]:
    """Return what a driver's source says of its chip: PART, CHANNELS, BITS, RATE, SCALE and whatever else."""
    return constants((FIRMWARE / "sensors" / f"{part}.py").read_text())


@cache
def wired(part: str) -> tuple[str, ...]:
    """Return the parameters of a driver's constructor, without `self`."""
    tree = ast.parse((FIRMWARE / "sensors" / f"{part}.py").read_text())
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == part.upper()]
    (start,) = [s for s in body if isinstance(s, ast.FunctionDef) and s.name == "__init__"]
    return tuple(argument.arg for argument in start.args.args[1:])


@cache
def parts() -> dict[str, str]:
    """Return each part's kind of wiring: spi, i2c or adc."""
    stems = sorted(path.stem for path in (FIRMWARE / "sensors").glob("*.py"))
    return {part: wired(part)[0] for part in stems if part not in NO_PART}


def sampled(part: str) -> bool:
    """Return whether every sample is taken as it comes: the part's interrupt must be wired, and its bus be its own."""
    return "source" in wired(part)
