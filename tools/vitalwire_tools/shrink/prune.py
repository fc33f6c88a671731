"""Leaves out of some modules the functions and classes that nothing in the program uses."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                yield name


def prune(program: dict[str, ast.Module], members: list[str]) -> list[str]:
    """Take out what is named at most in its own definition; returns it as `module.name`.

    A module that nobody imports from is there to be found at run time, and keeps all it has.
    """
    imported = {n.module for t in program.values() for n in ast.walk(t) if isinstance(n, ast.ImportFrom)}
    within = [module for module in members if module in imported]
    gone: list[str] = []
    while True:
        uses = Counter(name for tree in program.values() for name in _names(tree))
        before = len(gone)
        for module in within:
            body = program[module].body
            for s in [s for s in body if isinstance(s, ast.FunctionDef | ast.ClassDef)]:
                if uses[s.name] == list(_names(s)).count(s.name):
                    body.remove(s)
                    gone.append(f"{module}.{s.name}")
        if len(gone) == before:
            return gone
