"""Shortens globals, and puts the names a module uses most in front, where bytecode refers to them by one byte."""

from __future__ import annotations

import ast
import builtins
import itertools
from collections import Counter

from .attributes import FOREIGN
from .names import BUILT_IN, defined, is_private, rename, short_names

_NEAR = 126  # names that one byte tells apart, besides the file's own


def _is_heard_of(statement: ast.stmt) -> bool:
    """Whether others see the name of what a statement defines: an exception's stands in its message."""
    match statement:
        case ast.ClassDef(bases=bases):
            return any(isinstance(b, ast.Name) and b.id in FOREIGN for b in bases)
    return not isinstance(statement, ast.FunctionDef | ast.Assign)


def shorten_globals(program: dict[str, ast.Module], joined: str) -> dict[str, str]:
    """Shorten every module's private names, and in `joined` nearly all; returns `new` -> old of it.

    Modules that import from `joined` use the new names too, unless they are stubs, which do nothing else.
    """
    nodes = [n for tree in program.values() for n in ast.walk(tree)]
    used = {n.id for n in nodes if isinstance(n, ast.Name)} | {n.name for n in nodes if isinstance(n, ast.FunctionDef)}
    used = used.union({"const", "micropython", "super"}, *(defined(tree.body) for tree in program.values()))
    new: dict[str, str] = {}
    for module in sorted(program, key=lambda module: module != joined):
        body = program[module].body
        seen = {n for s in body if module != joined or _is_heard_of(s) for n in defined([s])}
        free = (name for name in itertools.chain(BUILT_IN, short_names("_")) if name not in used)
        names = {old: next(free) for old in sorted(defined(body)) if is_private(old) or old not in seen}
        for statement in body:
            rename(statement, names)
        if module == joined:
            new = names
            used |= set(new.values())
    for tree in program.values():
        stub = all(isinstance(s, ast.ImportFrom) for s in tree.body)
        names = {}
        for node in (n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == joined):
            for alias in node.names:
                old, alias.name = alias.name, new.get(alias.name, alias.name)
                if alias.asname is None and alias.name != old:
                    if stub:
                        alias.asname = old
                    else:
                        names[old] = alias.name
        for statement in tree.body:
            rename(statement, names)
    return {name: old for old, name in new.items()}


def frequent_first(tree: ast.Module) -> None:
    """Let a module begin with a list of the names that its functions use most: MicroPython numbers names as they come.

    Locals, which have no names on the device unless they are parameters, must have been shortened before.
    """
    known = defined(tree.body) | set(dir(builtins))
    uses: Counter[str] = Counter()
    in_tuples = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Tuple) for part in node.elts}
    for node in ast.walk(tree):
        match node:
            case ast.Constant() if id(node) in in_tuples:
                pass  # part of an object, not of the bytecode
            case ast.Name(id=name) if name in known:
                uses[name] += 1
            case ast.Attribute(attr=name) | ast.arg(arg=name) | ast.Constant(value=str(name)):
                uses[name] += 1
    near: list[ast.expr] = [ast.Constant(name) for name, _ in uses.most_common() if name.isidentifier()]
    tree.body.insert(0, ast.Expr(ast.List(near[:_NEAR], ast.Load())))
