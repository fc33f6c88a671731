"""Leaves out the functions, classes, methods and imports that nothing in the program uses."""

from __future__ import annotations

import ast
import itertools
from collections import Counter
from collections.abc import Iterator


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                yield name


def _members(tree: ast.AST) -> Iterator[str]:
    """Yield what may be a member of a class: a local of a function is none."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                yield name
            case ast.ClassDef(body=body):
                own = [n for s in body if not isinstance(s, ast.FunctionDef) for n in ast.walk(s)]
                yield from (n.id for n in own if isinstance(n, ast.Name))


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
        members = Counter(name for tree in program.values() for name in _members(tree))
        before = len(gone)
        for module, tree in program.items():
            bodies = [(tree.body, uses, _names)] if module in imported else []
            bodies += [(s.body, members, _members) for s in tree.body if isinstance(s, ast.ClassDef)]
            for body, used, names in bodies:
                for s in [s for s in body if isinstance(s, ast.FunctionDef | ast.ClassDef)]:
                    if not s.name.startswith("__") and used[s.name] == list(names(s)).count(s.name):
                        body[body.index(s)] = ast.Pass()
                        gone.append(f"{module}.{s.name}")
        if len(gone) == before:
            return gone


def prune_imports(program: dict[str, ast.Module]) -> None:
    """Take out the imports of what is not ours and is not used; `@micropython.viper` needs none on a device."""
    nodes = [n for tree in program.values() for n in ast.walk(tree)]
    asked = {(s.module, a.name) for s in nodes if isinstance(s, ast.ImportFrom) for a in s.names}
    decorators = {id(n) for f in nodes if isinstance(f, ast.FunctionDef) for d in f.decorator_list for n in ast.walk(d)}
    for module, tree in program.items():
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in decorators}
        for s in tree.body[:]:
            if isinstance(s, ast.Import) or (isinstance(s, ast.ImportFrom) and s.module not in program):
                names = [(a.asname or a.name).split(".")[0] for a in s.names]
                ours = [isinstance(s, ast.Import) and a.name in program for a in s.names]
                kept = [n in used or (module, n) in asked or our for n, our in zip(names, ours, strict=True)]
                s.names = list(itertools.compress(s.names, kept))
                if not s.names:
                    tree.body.remove(s)
