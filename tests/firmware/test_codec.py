"""The device's encoder: the same bytes as the host's, whatever the words' width, and no allocation."""

from __future__ import annotations

import ast
import json
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests.blocks import edges, excerpts

from vitalwire.codec import encode_block
from vitalwire_protocol import spec

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
CASES = edges((1, 2, 3, 4, 9, 16, 17, 33, 130, 300), (1, 2, 11, 16, 23, 24))
CASES += [
    (x[i : i + n], bits) for x, bits in excerpts().values() for i, n in ((0, 100), (100, 200), (200, 512)) if len(x) > i
]
LARGE = edges((spec.Limit.MAX_BLOCK_SAMPLES,), (16, 24))

SCRIPT = """
import json
from array import array
from codec import Encoder
encoder = Encoder({most})
out = bytearray({most} * 3 + 16)
with open({path!r}) as file:
    for line in file:
        bits, samples = json.loads(line)
        end = encoder.encode(array("i", samples), 0, len(samples), bits, out, 7)
        if bits <= 16:
            ring = array("h", samples)  # the same of samples of two bytes
            first = bytes(out[7:end])
            assert encoder.encode(ring, 0, len(samples), bits, out, 7, True) == end and bytes(out[7:end]) == first
        print(bytes(out[7:end]).hex())
"""


def written(cases: list[tuple[Any, int]], folder: Path) -> Path:
    """Return a file of the cases, a JSON line each."""
    path = folder / "cases.json"
    path.write_text("".join(json.dumps([bits, x.tolist()]) + "\n" for x, bits in cases))
    return path


def expected(cases: list[tuple[Any, int]]) -> list[str]:
    """Return the host's blocks, heads included, in hex."""
    blocks = (encode_block(x, bits) for x, bits in cases)
    heads = [{"head": len(body) << spec.CODING_BITS | coding, "body": body} for coding, body in blocks]
    return [spec.Block.build(head).hex() for head in heads]


def check(lines: list[str], cases: list[tuple[Any, int]]) -> None:
    """Compare block by block, so that a failure names the first one."""
    assert len(lines) == len(cases)
    for (x, bits), line, block in zip(cases, lines, expected(cases), strict=True):
        assert line == block, (len(x), bits, x[:20].tolist())


def test_viper_writes_the_hosts_bytes(micropython: Callable, tmp_path: Path) -> None:
    """Compiled by viper with 64-bit words, every edge case, excerpt and block of the largest count is the host's."""
    cases = CASES + LARGE
    script = SCRIPT.format(path=str(written(cases, tmp_path)), most=spec.Limit.MAX_BLOCK_SAMPLES)
    check(micropython(script, heap="2m").stdout.split(), cases)


def test_bytecode_writes_the_hosts_bytes(micropython: Callable, tmp_path: Path) -> None:
    """As plain bytecode the same source gives the same bytes."""
    for name in ("codec.py", "lift.py", "rice.py", "wire.py"):
        (tmp_path / name).write_text((FIRMWARE / name).read_text().replace("@micropython.viper\n", ""))
    script = SCRIPT.format(path=str(written(CASES, tmp_path)), most=512)
    check(micropython(script, path=tmp_path).stdout.split(), CASES)


def test_31_bit_integers_write_the_hosts_bytes(micropython32: Callable, tmp_path: Path) -> None:
    """Under MicroPython with 32-bit words and 31-bit small integers the bytes are the same."""
    cases = CASES[::3]
    script = SCRIPT.format(path="/cases.json", most=512)
    check(micropython32(script, written(cases, tmp_path)).stdout.split(), cases)


class Wrap(ast.NodeTransformer):
    """Makes viper's functions compute as viper does with 32-bit words: every result wraps."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Transform viper functions alone, and take their decorators off."""
        if not node.decorator_list:
            return node
        node.decorator_list = []
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Wrap a result; a shift by 32 or more is undefined in C and must not happen."""
        self.generic_visit(node)
        name = "shift" if isinstance(node.op, (ast.LShift, ast.RShift)) else "plain"
        empty = ast.arguments([], [], None, [], [], None, [])
        late = [ast.Lambda(empty, node), node.right]
        return ast.Call(ast.Name(f"wrap_{name}", ast.Load()), late, [])

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """Spell `a += b` as `a = a + b`."""
        assert isinstance(node.target, ast.Name)
        value = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        return self.visit(ast.Assign([node.target], value))


def wrap_plain(result: Callable[[], int], _right: int) -> int:
    """Return a result in 32 signed bits."""
    return (result() + (1 << 31)) % (1 << 32) - (1 << 31)


def wrap_shift(result: Callable[[], int], right: int) -> int:
    """Return a shift's result in 32 signed bits."""
    assert 0 <= right < 32
    return wrap_plain(result, right)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the device's encoder as CPython runs it with the arithmetic of 32-bit viper."""
    micropython = ModuleType("micropython")
    micropython.const = lambda value: value  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "micropython", micropython)
    for name in ("wire", "lift", "rice", "codec"):
        module = ModuleType(name)
        module.__dict__.update(wrap_plain=wrap_plain, wrap_shift=wrap_shift)
        monkeypatch.setitem(sys.modules, name, module)
        tree = ast.fix_missing_locations(Wrap().visit(ast.parse((FIRMWARE / f"{name}.py").read_text())))
        exec(compile(tree, name, "exec"), module.__dict__)
    return sys.modules["codec"]


def test_32_bit_viper_arithmetic_writes_the_hosts_bytes(narrow: Any) -> None:
    """With words that wrap at 32 bits nothing overflows on the way: the largest residuals give the same bytes."""
    largest = [(x, bits) for x, bits in LARGE if bits == 24][3:6]  # alternations of both extremes, and noise
    cases = CASES[::2] + [(x[:1100], bits) for x, bits in largest]
    encoder, out, lines = narrow.Encoder(1100), bytearray(4000), []
    for x, bits in cases:
        end = encoder.encode(array("i", x.tolist()), 0, len(x), bits, out, 0)
        lines.append(out[:end].hex())
    check(lines, cases)


def test_a_ring_may_wrap_inside_a_block(micropython: Callable) -> None:
    """Samples that run over a ring's end give the block of the same samples in one piece."""
    x, bits = excerpts()["ecg, MIT-BIH 208"]
    script = f"""
from array import array
from codec import Encoder
encoder, ring = Encoder(512), array("i", {np.roll(x[:600], 250).tolist()})
out = bytearray(2000)
print(bytes(out[: encoder.encode(ring, 250, 512, {bits}, out, 0)]).hex())
"""
    assert micropython(script).stdout.split() == expected([(x[:512], bits)])


def test_encoding_allocates_nothing(micropython: Callable, tmp_path: Path) -> None:
    """With the heap locked, blocks of every kind are still written."""
    cases = [(x, bits) for x, bits in CASES if len(x) in {1, 100, 200, 512}][::4]
    script = f"""
import json, micropython
from array import array
from codec import Encoder
encoder, out, end = Encoder(512), bytearray(2000), 0
with open({str(written(cases, tmp_path))!r}) as file:
    cases = [(bits, array("i", samples)) for bits, samples in (json.loads(line) for line in file)]
for bits, samples in cases:
    n = len(samples)
    micropython.heap_lock()
    end = encoder.encode(samples, 0, n, bits, out, 0)
    micropython.heap_unlock()
    print(bytes(out[:end]).hex())
"""
    check(micropython(script).stdout.split(), cases)


BAD = {
    "a sample above": ("[0] * 9 + [128]", 0, 10, 8, 0),
    "a sample below": ("[-129] + [0] * 9", 0, 10, 8, 0),
    "a sample far above": ("[0] * 9 + [2147483647]", 0, 10, 24, 0),
    "a sample far below": ("[0] * 9 + [-2147483648]", 0, 10, 1, 0),
    "no samples": ("[0] * 9", 0, 0, 8, 0),
    "more than the scratch": ("[0] * 20", 0, 17, 8, 0),
    "more than the ring": ("[0] * 9", 0, 10, 8, 0),
    "a start outside": ("[0] * 9", 9, 3, 8, 0),
    "no bits": ("[0] * 9", 0, 9, 0, 0),
    "too many bits": ("[0] * 9", 0, 9, 25, 0),
    "too little room": ("[0] * 16", 0, 16, 16, 66),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_out_of_range_is_refused(micropython: Callable, name: str) -> None:
    """Arguments out of range raise ValueError and write nothing."""
    samples, start, count, bits, position = BAD[name]
    script = f"""
from array import array
from codec import Encoder
out = bytearray(b"x" * 100)
try:
    Encoder(16).encode(array("i", {samples}), {start}, {count}, {bits}, out, {position})
except ValueError as error:
    print(error, out == b"x" * 100)
"""
    assert micropython(script).stdout.split()[-1:] == ["True"]
