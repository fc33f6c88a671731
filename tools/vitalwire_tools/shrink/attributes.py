"""Shortens attributes and methods. A private one is reached only from its own classes."""

from __future__ import annotations

import array
import ast
import binascii
import builtins
import gc
import hashlib
import io
import itertools
import json
import os
import select
import struct
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator

from .names import BUILT_IN, is_private, short_names

_FOREIGN = (
    *(int, float, str, bytes, bytearray, memoryview, list, tuple, dict, set, range, property, type, object),
    *(BaseException, OSError, StopIteration, io.FileIO, io.BytesIO, array.array, type(_ for _ in ""), type(print)),
    *(builtins, struct, hashlib, hashlib.sha256(), binascii, gc, json, sys, os, time, select, array),
)
_ABSENT = {"closed", "denominator", "encoder", "link", "numerator"}  # no MicroPython's have these
FOREIGN = {name for thing in _FOREIGN for name in dir(thing)} - _ABSENT  # attributes of what is not ours

Class = tuple[str, str]  # module, name


def _families(program: dict[str, ast.Module], classes: dict[Class, ast.ClassDef]) -> dict[Class, Class]:
    """Return for each class one that stands for all that inherit from each other."""
    parent = {c: c for c in classes}

    def top(c: Class) -> Class:
        while parent[c] != c:
            c = parent[c]
        return c

    for (module, name), definition in classes.items():
        imported = {
            alias.asname or alias.name: (s.module or "", alias.name)
            for s in program[module].body
            if isinstance(s, ast.ImportFrom)
            for alias in s.names
        }
        for base in definition.bases:
            if isinstance(base, ast.Name):
                ancestor = imported.get(base.id, (module, base.id))
                if ancestor in parent:
                    parent[top(ancestor)] = top((module, name))
    return {c: top(c) for c in classes}


def _private_members(definition: ast.ClassDef) -> Iterator[str]:
    """Yield each private name a class uses, as often as it does."""
    for node in ast.walk(definition):
        match node:
            case ast.Attribute(attr=name) if is_private(name):
                yield name
    yield from (name for name in _methods(definition) | _class_data(definition) if is_private(name))


def _methods(definition: ast.ClassDef) -> set[str]:
    return {s.name for s in definition.body if isinstance(s, ast.FunctionDef)}


def _class_data(definition: ast.ClassDef) -> set[str]:
    assigned = [t for s in definition.body if isinstance(s, ast.Assign) for t in s.targets]
    return {t.id for t in assigned if isinstance(t, ast.Name)}


def _words(trees: Iterator[ast.Module]) -> set[str]:
    """Return every identifier and every string in these modules."""
    found: set[str] = set()
    for node in (n for tree in trees for n in ast.walk(tree)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(name=name):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.keyword(arg=str(name)):
                found.add(name)
            case ast.Constant(value=str(text)):
                found.add(text)
    return found


def _public(program: dict[str, ast.Module], outside: Collection[str]) -> Counter[str]:
    """Return the public attributes and methods of our own objects that are seen nowhere else, with their uses."""
    inside = [tree for module, tree in program.items() if module not in outside]
    nodes = [node for tree in inside for node in ast.walk(tree)]
    definitions = [node for node in nodes if isinstance(node, ast.ClassDef)]
    found = {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    found = found.union(*map(_class_data, definitions), *map(_methods, definitions))
    found -= FOREIGN | _words(tree for module, tree in program.items() if module in outside)
    found -= {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    found -= {n.arg for n in nodes if isinstance(n, ast.keyword) and n.arg}
    for definition in definitions:
        found -= {n.id for s in definition.body for n in _outer(s) if isinstance(n, ast.Name) and _loads(n)}
    for tree in inside:
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                found.discard(statement.name)
            else:
                found -= {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
    uses = Counter(n.attr for n in nodes if isinstance(n, ast.Attribute))
    return Counter({name: uses[name] for name in found if not name.startswith("_")})


def _loads(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _outer(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield what of a class's statement runs in the class itself."""
    if isinstance(statement, ast.FunctionDef):
        yield from (n for part in (*statement.args.defaults, *statement.decorator_list) for n in ast.walk(part))
    else:
        yield from ast.walk(statement)


def _rename_members(definition: ast.ClassDef, new: dict[str, str]) -> None:
    own = _methods(definition) | _class_data(definition)
    for node in ast.walk(definition):
        if isinstance(node, ast.Attribute):
            node.attr = new.get(node.attr, node.attr)
    for statement in definition.body:
        match statement:
            case ast.FunctionDef():
                statement.name = new.get(statement.name, statement.name)
            case ast.Assign():
                for node in ast.walk(statement):
                    if isinstance(node, ast.Name) and node.id in own:
                        node.id = new.get(node.id, node.id)


def _shorten_private(program: dict[str, ast.Module], free: list[str]) -> dict[str, str]:
    """Shorten private attributes; they take the names of `free` first, which no object has in public."""
    for module, tree in program.items():
        for statement in tree.body:
            if not isinstance(statement, ast.ClassDef):
                for node in ast.walk(statement):
                    if isinstance(node, ast.Attribute) and is_private(node.attr):
                        raise ValueError(f"{module}: {node.attr} is another's private attribute")
    classes = {(m, s.name): s for m, tree in program.items() for s in tree.body if isinstance(s, ast.ClassDef)}
    families = _families(program, classes)
    used: dict[Class, Counter[str]] = {family: Counter() for family in families.values()}
    for c, definition in classes.items():
        used[families[c]].update(_private_members(definition))
    new: dict[Class, dict[str, str]] = {}
    for family, count in used.items():
        names = (n for n, _ in count.most_common())
        new[family] = dict(zip(names, itertools.chain(free, short_names("_")), strict=False))
    for c, definition in classes.items():
        _rename_members(definition, new[families[c]])
    return {f"{m}.{c}.{name}": old for m, c in classes for old, name in new[families[m, c]].items()}


def shorten_attributes(program: dict[str, ast.Module], outside: Collection[str] = ()) -> dict[str, str]:
    """Shorten attributes and methods; returns `*.new` -> old, or `module.class.new` -> old for private ones.

    `outside` are the modules that meet objects which are not ours, beyond those that all Pythons have: their words are
    left alone everywhere. Raises ValueError for a private attribute that is used outside its classes.
    """
    public = _public(program, outside)
    taken = {n.attr for tree in program.values() for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    taken |= _words(tree for module, tree in program.items() if module in outside)
    free = [name for name in BUILT_IN if name not in taken]
    new = dict(zip((name for name, _ in public.most_common()), free, strict=False))
    for node in (n for tree in program.values() for n in ast.walk(tree)):
        match node:
            case ast.ClassDef():
                _rename_members(node, new)
            case ast.Attribute(attr=name) if name in public:
                node.attr = new.get(name, name)
    names = _shorten_private(program, free[len(new) :])
    return {f"*.{name}": old for old, name in new.items()} | names
