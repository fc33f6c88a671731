"""Leaves out the functions, classes and methods that nothing in the program uses."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                yield name


def _imported(program: dict[str, ast.Module]) -> set[str]:
    found: set[str] = set()
    for node in (n for tree in program.values() for n in ast.walk(tree)):
        match node:
            case ast.ImportFrom(module=str(name)):
                found.add(name)
            case ast.Import(names=names):
                found.update(alias.name for alias in names)
    return found & set(program)


def prune(program: dict[str, ast.Module]) -> list[str]:
    """Take out what is named at most in its own definition; returns it as `module.name`.

    A module that nobody imports by name is there to be found at run time, and keeps its functions and classes.
    """
    imported = _imported(program)
    gone: list[str] = []
    while True:
        uses = Counter(name for tree in program.values() for name in _names(tree))
        before = len(gone)
        for module, tree in program.items():
            classes = [s for s in tree.body if isinstance(s, ast.ClassDef)]
            for body in [tree.body] * (module in imported) + [c.body for c in classes]:
                for s in [s for s in body if isinstance(s, ast.FunctionDef | ast.ClassDef)]:
                    if not s.name.startswith("__") and uses[s.name] == list(_names(s)).count(s.name):
                        body[body.index(s)] = ast.Pass()
                        gone.append(f"{module}.{s.name}")
        if len(gone) == before:
            return gone
