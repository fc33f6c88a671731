"""Folds constants: every use of one becomes a literal, in every module, and its definition goes."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection

_LARGEST = 1 << 64  # larger integers are worth a name
_LONGEST = 64  # and longer strings
Value = int | str | bytes
_BINARY: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_UNARY: dict[type, Callable[[int], int]] = {ast.USub: operator.neg, ast.Invert: operator.invert, ast.UAdd: operator.pos}


def evaluate(node: ast.expr, known: dict[str, Value]) -> int | None:
    """Return the integer that an expression of literals and known names amounts to, None if it is no such."""
    match node:
        case ast.Constant(value=int(number)) if type(number) is int:
            return number
        case ast.Name(id=name):
            value = known.get(name)
            return value if isinstance(value, int) else None
        case ast.Call(func=ast.Name(id="const"), args=[inner]):
            return evaluate(inner, known)
        case ast.UnaryOp(op=op, operand=inner) if type(op) in _UNARY:
            a = evaluate(inner, known)
            return None if a is None else _UNARY[type(op)](a)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            a, b = evaluate(left, known), evaluate(right, known)
            return None if a is None or b is None else _BINARY[type(op)](a, b)
    return None


def _is_constant(name: str) -> bool:
    return name.strip("_").replace("_", "").isalnum() and name.isupper()


class _Literals(ast.NodeTransformer):
    """Puts the literals where the names are."""

    def __init__(self, module: str, names: dict[str, Value], modules: dict[str, dict[str, Value]]) -> None:
        self.module, self.names, self.modules = module, names, modules

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.names:
            return node
        if not isinstance(node.ctx, ast.Load):
            raise ValueError(f"{self.module}: the constant {node.id} is assigned to twice")
        return ast.Constant(self.names[node.id])

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name):
            value = self.modules.get(node.value.id, {}).get(node.attr)
            if value is not None:
                return ast.Constant(value)
        self.generic_visit(node)
        return node


def _text(node: ast.expr) -> str | bytes | None:
    match node:
        case ast.Constant(value=str() | bytes() as text) if len(text) <= _LONGEST:
            return text
    return None


def fold(program: dict[str, ast.Module], members: Collection[str] = ()) -> None:
    """Fold every module-level `NAME = <integer>`, upper case, with or without const(); in `members` also short strings.

    Raises ValueError for one that is assigned to twice.
    """
    found: dict[str, dict[str, Value]] = {}

    def gather(module: str) -> dict[str, Value]:
        """Take the constants out of a module, after those of the modules it imports from."""
        if module in found:
            return found[module]
        known = found[module] = {}
        body: list[ast.stmt] = []
        for statement in program[module].body:
            match statement:
                case ast.ImportFrom(module=str(source), names=names) if source in program:
                    there = gather(source)
                    known.update({a.asname or a.name: there[a.name] for a in names if a.name in there})
                    statement.names = [a for a in names if a.name not in there]
                    if not statement.names:
                        continue
                case ast.Assign(targets=[ast.Name(id=name)], value=expression) if _is_constant(name):
                    value: Value | None = evaluate(expression, known)
                    if isinstance(value, int) and abs(value) >= _LARGEST:
                        value = None
                    if value is None and module in members:
                        value = _text(expression)
                    if value is not None:
                        if name in known:
                            raise ValueError(f"{module}: the constant {name} is assigned to twice")
                        known[name] = value
                        continue
            body.append(statement)
        program[module].body = body
        return known

    for module in program:
        gather(module)
    for module, tree in program.items():
        imported = {
            alias.asname or alias.name: found[alias.name]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
            if alias.name in found
        }
        literals = _Literals(module, found[module], imported)
        tree.body = [literals.visit(statement) for statement in tree.body]
