"""Leaves out the words of errors that nothing in the program looks at: each is a name that a device keeps for ever."""

from __future__ import annotations

import ast
from collections import Counter


def mute(program: dict[str, ast.Module]) -> None:
    """Have `raise ValueError("word")` raise without it, unless the word stands anywhere else in the program too."""
    nodes = [node for tree in program.values() for node in ast.walk(tree)]
    uses = Counter(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    said: list[tuple[ast.Raise, ast.expr, str]] = []
    for node in nodes:
        match node:
            case ast.Raise(exc=ast.Call(func=ast.Name(id="ValueError") as kind, args=[ast.Constant(value=str(word))])):
                said.append((node, kind, word))
    own = Counter(word for _, _, word in said)
    for node, kind, word in said:
        if uses[word] == own[word]:
            node.exc = kind
