"""Joins modules into one, so that they share names, tables and imports; a stub takes the place of each."""

from __future__ import annotations

import ast
import builtins
from graphlib import TopologicalSorter

from .names import defined, is_private, rename


def reach(program: dict[str, ast.Module], roots: list[str]) -> list[str]:
    """Return the modules that `roots` need as soon as they are imported, each after those it needs itself."""
    graph: dict[str, list[str]] = {}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in graph:
            body = program[module].body
            graph[module] = [s.module for s in body if isinstance(s, ast.ImportFrom) and s.module in program]
            waiting += graph[module]
    return list(TopologicalSorter(graph).static_order())


def _imports(program: dict[str, ast.Module], members: list[str]) -> dict[str, ast.stmt]:
    """Return the import statement of each foreign name the members use; one name must mean one thing to all."""
    found: dict[str, ast.stmt] = {}
    for module in members:
        for s in program[module].body:
            if isinstance(s, ast.Import) and any(a.name in program for a in s.names):
                raise ValueError(f"{module}: a joined module must be imported from, not imported")
            if isinstance(s, ast.Import) or (isinstance(s, ast.ImportFrom) and s.module not in program):
                for a in s.names:
                    name = a.asname or a.name
                    new = ast.Import([a]) if isinstance(s, ast.Import) else ast.ImportFrom(s.module, [a], 0)
                    if ast.dump(found.setdefault(name, new)) != ast.dump(new):
                        raise ValueError(f"{module}: {name} is something else in another module")
    return found


def join(program: dict[str, ast.Module], members: list[str], name: str) -> dict[str, str]:
    """Join `members`, given in an order that their imports allow, into the new module `name`.

    Locals must have been shortened before (names.py): no local may hide a module's name. What other modules import from
    a member is imported from `name` then, and each member stays as a stub for imports at run time. Returns the names
    that had to change: `new` -> `module.old`. Raises ValueError for what it cannot join.
    """
    imports = _imports(program, members)
    taken = set(imports) | set(dir(builtins))
    final: dict[tuple[str, str], str] = {}
    for module in members:
        for old in sorted(defined(program[module].body)):
            new = f"{old}_{module.replace('.', '_')}" if old in taken else old
            taken.add(new)
            final[module, old] = new
    body = list(imports.values())
    for module in members:
        names = {old: new for (owner, old), new in final.items() if owner == module}
        for s in program[module].body:
            if isinstance(s, ast.ImportFrom) and s.module in program:
                if s.module not in members:
                    raise ValueError(f"{module}: {s.module} is not joined")
                names |= {a.asname or a.name: final[s.module, a.name] for a in s.names}
        for s in program[module].body:
            if not isinstance(s, ast.Import | ast.ImportFrom):
                rename(s, names)
                body.append(s)
        public = [(o, new) for (owner, o), new in final.items() if owner == module and not is_private(o)]
        aliases = [ast.alias(new, o if o != new else None) for o, new in public]
        program[module] = ast.Module([ast.ImportFrom(name, aliases, 0)] if aliases else [], [])
    for tree in program.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in members:
                for alias in node.names:
                    old = alias.name
                    if (node.module, old) not in final:
                        raise ValueError(f"{node.module} defines no {old}")
                    alias.name = final[node.module, old]
                    alias.asname = alias.asname or (old if old != alias.name else None)
                node.module = name
    program[name] = ast.Module(body, [])
    return {new: f"{module}.{old}" for (module, old), new in final.items() if new != old}
