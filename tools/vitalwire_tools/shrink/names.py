"""Shortens names that nothing outside can see: local variables, parameters that are no keywords, private attributes.

Names are shared as far as they can be, because a device keeps one copy of each: parameters begin anew in every
function, private attributes in every family of classes. A private attribute is reached only from the classes that
define it.
"""

from __future__ import annotations

import ast
import itertools
import keyword
import string
from collections import Counter
from collections.abc import Iterator


def short_names(prefix: str = "") -> Iterator[str]:
    """Yield a, b, ..., z, aa, ab, ... behind the prefix, without Python's keywords."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            name = prefix + "".join(letters)
            if not keyword.iskeyword(name):
                yield name


def is_private(name: str) -> bool:
    """Whether a name is one module's or one class's own."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    rest = [a for a in (arguments.vararg, arguments.kwarg) if a]
    return arguments.posonlyargs + arguments.args + rest + arguments.kwonlyargs


def _locals(function: ast.FunctionDef) -> list[str]:
    """Return the names a function and what it holds bind, parameters first, without globals and imports."""
    names = [a.arg for a in _parameters(function.args)]
    foreign: set[str] = set()
    for node in (n for statement in function.body for n in ast.walk(statement)):
        match node:
            case ast.FunctionDef():
                names += [node.name, *(a.arg for a in _parameters(node.args))]
            case ast.Lambda():
                names += [a.arg for a in _parameters(node.args)]
            case ast.Name(ctx=ast.Store() | ast.Del()):
                names.append(node.id)
            case ast.ExceptHandler(name=str(name)):
                names.append(name)
            case ast.Global() | ast.Nonlocal():
                foreign.update(node.names)
            case ast.Import() | ast.ImportFrom():
                foreign.update((a.asname or a.name).split(".")[0] for a in node.names)
    return [name for name in dict.fromkeys(names) if name not in foreign]


def _shorten_function(function: ast.FunctionDef, keywords: set[str]) -> None:
    own = [name for name in _locals(function) if name not in keywords]
    nodes = [n for statement in function.body for n in ast.walk(statement)]
    taken = {n.id for n in nodes if isinstance(n, ast.Name)} - set(own) | keywords
    new = dict(zip(own, (name for name in short_names() if name not in taken), strict=False))
    for node in itertools.chain(nodes, _parameters(function.args)):
        match node:
            case ast.Name():
                node.id = new.get(node.id, node.id)
            case ast.arg():
                node.arg = new.get(node.arg, node.arg)
            case ast.FunctionDef():
                node.name = new.get(node.name, node.name)
            case ast.ExceptHandler(name=str(name)):
                node.name = new.get(name, name)


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
            case ast.FunctionDef(name=name) if is_private(name) and node in definition.body:
                yield name
    for statement in definition.body:
        if isinstance(statement, ast.Assign):
            yield from (t.id for t in statement.targets if isinstance(t, ast.Name) and is_private(t.id))


def _rename_members(definition: ast.ClassDef, new: dict[str, str]) -> None:
    for node in ast.walk(definition):
        if isinstance(node, ast.Attribute):
            node.attr = new.get(node.attr, node.attr)
    for statement in definition.body:
        match statement:
            case ast.FunctionDef():
                statement.name = new.get(statement.name, statement.name)
            case ast.Assign(targets=targets):
                for target in targets:
                    if isinstance(target, ast.Name):
                        target.id = new.get(target.id, target.id)


def shorten(program: dict[str, ast.Module]) -> dict[str, str]:
    """Shorten locals, parameters and private attributes; returns the attributes: `module.class.new` -> old.

    Raises ValueError for a private attribute that is used outside its classes.
    """
    keywords = {n.arg for tree in program.values() for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg}
    for module, tree in program.items():
        for statement in tree.body:
            members = statement.body if isinstance(statement, ast.ClassDef) else [statement]
            for member in members:
                if isinstance(member, ast.FunctionDef):
                    _shorten_function(member, keywords)
            if not isinstance(statement, ast.ClassDef):
                for node in ast.walk(statement):
                    if isinstance(node, ast.Attribute) and is_private(node.attr):
                        raise ValueError(f"{module}: {node.attr} is another's private attribute")
    classes = {(m, s.name): s for m, tree in program.items() for s in tree.body if isinstance(s, ast.ClassDef)}
    families = _families(program, classes)
    used: dict[Class, Counter[str]] = {family: Counter() for family in families.values()}
    for c, definition in classes.items():
        used[families[c]].update(_private_members(definition))
    new = {
        family: dict(zip((name for name, _ in count.most_common()), short_names("_"), strict=False))
        for family, count in used.items()
    }
    for c, definition in classes.items():
        _rename_members(definition, new[families[c]])
    return {f"{m}.{c}.{name}": old for m, c in classes for old, name in new[families[m, c]].items()}
