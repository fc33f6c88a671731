"""Shrinking device sources: what a program does stays, what it cannot see goes."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from tests.protocol.test_vectors import DEVICE, DEVICES, FILES, RUNNER, on_device, results

from vitalwire_tools.compile import NAMES, RESIDENT, compile_firmware, shrink_firmware
from vitalwire_tools.folders import FIRMWARE
from vitalwire_tools.shrink import reach, shrink
from vitalwire_tools.shrink.attributes import shorten_attributes
from vitalwire_tools.shrink.words import mute

MODULES = {
    "limits": """
        from micropython import const
        MOST = const(3 << 2)
        _STEP = const(2)
        LEAST = MOST - 4 * _STEP
        MAKER = "maker"
        WORDS = ("one", "two")
    """,
    "base": """
        import sys
        from limits import LEAST, MOST
        _count = 0
        def count():
            global _count
            _count += 1
            return _count
        class Base:
            _KIND = "base"
            def __init__(self, size):
                self._size = size
                self.extent = size + MOST
                self.append = self.temperature = self.named = 0
            def look(self):
                return getattr(self, "named")
            def lonely(self):
                return self.lonely()
            def _name(self):
                return self._KIND
            def kind(self):
                return self._WAYS["name"](self)
            _WAYS = {"name": _name}
    """,
    "parts.wheel": """
        from base import Base, count
        from limits import MAKER, MOST
        _count = 100
        def idle():
            return nobody() or idle()
        def nobody():
            return 1
        def make(size, *rest, scale=MOST):
            values = [_count + size * scale for size in range(size) if size]
            key = lambda value: -value
            return sorted(values + list(rest), key=key)
        class Wheel(Base):
            _KIND = MAKER + "wheel"
            def __init__(self, size):
                super().__init__(size)
                self._spokes = [self._size + i for i in range(2)]
            def turn(self, by=1):
                def turned(spoke):
                    return spoke + by
                try:
                    return [turned(spoke) for spoke in self._spokes] + [self._name()]
                except ValueError as error:
                    return error
    """,
    "parts": "",
    "outside": """
        class Chip:
            def __init__(self):
                self.temperature = 1
    """,
    "start": """
        import limits
        from base import Base, count
        from limits import WORDS
        from parts.wheel import Wheel, make
        count()
        wheel = __import__("parts.wheel", None, None, ("Wheel",)).Wheel
        import parts.wheel
        base = Base(1)
        turned = Wheel(5).turn(by=2)
        print([count(), base.extent, limits.LEAST, base.kind(), base.look(), Wheel is wheel, turned, WORDS])
        print([make(4, 7, scale=2), make(2), parts.wheel.make(0, 1)])
    """,
}


def program(modules: dict[str, str]) -> dict[str, ast.Module]:
    """Return modules given as indented source."""
    return {name: ast.parse(dedent(text)) for name, text in modules.items()}


def output(modules: dict[str, ast.Module], folder: Path, micropython: Callable[..., Any]) -> str:
    """Run a program's `start` under MicroPython."""
    for name, tree in modules.items():
        path = folder / ("parts/__init__.py" if name == "parts" else name.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ast.unparse(ast.fix_missing_locations(tree)))
    text = micropython("import start", path=folder).stdout
    assert isinstance(text, str)
    return text


def test_a_shrunk_program_does_the_same(tmp_path: Path, micropython: Callable[..., Any]) -> None:
    """Constants, globals, closures, keywords, inheritance and imports at run time behave as before."""
    before = output(program(MODULES), tmp_path / "before", micropython)
    small = program(MODULES)
    members = reach(small, ["parts.wheel"])
    assert members.index("base") < members.index("parts.wheel")
    shrink(small, [*members, "parts"], "all", ["outside"])
    assert before == output(small, tmp_path / "after", micropython)
    assert before.startswith("[2, 13, 4, 'base', 0, True, [7, 8, 'makerwheel'], ('one', 'two')]")


def test_what_nobody_sees_is_gone() -> None:
    """No constant, no local, no attribute, function or class of ours keeps its name."""
    small = program(MODULES)
    names = shrink(small, ["limits", "base", "parts.wheel", "parts"], "all", ["outside"])
    text = set(re.findall(r"\w+", ast.unparse(small["all"])))
    for word in ("MOST", "LEAST", "MAKER", "_STEP", "_count", "_KIND", "_name", "_WAYS", "_spokes", "values", "error"):
        assert word not in text
    public = ("extent", "Base", "Wheel", "WORDS", "turn", "kind", "count", "make")
    for word in public:
        assert word not in text
        (new,) = [new for new, old in names.items() if old == word]
        assert new.removeprefix("*.") in text
    for word in ("idle", "nobody", "lonely"):
        assert word not in text
    for word in ("scale", "append", "temperature", "named"):
        assert word in text
    assert sorted(old for old in names.values() if "_count" in old) == ["_count", "parts.wheel._count"]
    functions = [new for new, old in names.items() if old in ("turn", "kind", "count", "make")]
    assert len({new.split(".")[-1] for new in functions}) == 4  # so that a traceback says which


def test_private_names_are_shared() -> None:
    """Two families of classes give their attributes the same names; a family never gives one name twice."""
    small = program(
        {
            "a": "class A:\n def f(self): self._i = self._j = 1\nclass C(A):\n def g(self): self._k = self._i",
            "b": "class B:\n def f(self): self._x = self._y = 1",
        }
    )
    shorten_attributes(small)
    names = {module: {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)} for module, tree in small.items()}
    assert len(names["a"]) == 3
    assert len(names["b"]) == 2
    assert names["b"] < names["a"]


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ({"a": "X = 1\nX = 2"}, "X is assigned to twice"),
        ({"a": "X = 1\ndef f():\n global X\n X = 2\nf()"}, "X is assigned to twice"),
        ({"a": "class A:\n def f(self): self._x = 1", "b": "def f(a): return a._x\nf(1)"}, "_x is another's"),
        ({"a": "from b import f", "b": "from c import g\ndef f(): pass", "c": "def g(): pass"}, "c is not joined"),
        ({"a": "import b", "b": "def f(): pass"}, "imported from"),
        (
            {"a": "from time import sleep\nsleep(1)", "b": "from machine import sleep\nsleep()"},
            "sleep is something else",
        ),
        ({"a": "from b import g", "b": "def f(): pass"}, "defines no g"),
    ],
)
def test_what_cannot_be_shrunk_is_refused(modules: dict[str, str], words: str) -> None:
    """What would change the meaning is an error that names the place."""
    small = program(modules)
    members = [module for module in ("b", "a") if module in modules]
    with pytest.raises(ValueError, match=words):
        shrink(small, members[:1] if "defines" in words else members, "all")


def test_the_firmware_joins() -> None:
    """One module holds what runs all the time, with the drivers the board has; what starts the board stays apart."""
    sources = {p.relative_to(FIRMWARE): p.read_text() for p in FIRMWARE.rglob("*.py")}
    sources[Path("board.py")] = "def sensors():\n from sensors.max30003 import MAX30003\n return ((MAX30003, 1),)\n"
    small, names = shrink_firmware(sources)
    resident = ast.parse(small[Path(RESIDENT + ".py")])
    classes = {names.get(s.name, s.name) for s in resident.body if isinstance(s, ast.ClassDef)}
    assert {"App", "Journal", "Link", "MAX30003", "SensorError"} <= classes
    assert "MAX30102" not in classes
    (new,) = [new for new, old in names.items() if old == "MAX30003"]
    assert small[Path("sensors/max30003.py")] == f"from {RESIDENT} import {new} as MAX30003"
    assert "class MAX30102" in small[Path("sensors/max30102.py")]
    assert "def open_sign1" not in ast.unparse(resident)
    assert f"from {RESIDENT} import" in small[Path("recover.py")]
    assert not any(isinstance(s, ast.Import | ast.ImportFrom) and s.names[0].name == "machine" for s in resident.body)
    assert "journal.Journal._unacked" in {
        f"{name.rsplit('.', 1)[0]}.{old}" for name, old in names.items() if old.startswith("_")
    }


def test_errors_keep_the_words_that_are_looked_at() -> None:
    """A word goes where nothing else in the program has it; one that a handler compares, or another's, stays."""
    source = """
        def check(n):
            if n > 9:
                raise ValueError("oversized")
            if n < 0:
                raise ValueError("mac")
            if not n:
                raise OSError("nothing")
        def ask(n):
            try:
                check(n)
            except ValueError as e:
                return "mac" in e.args
    """
    program = {"one": ast.parse(dedent(source))}
    mute(program)
    left = ast.unparse(program["one"])
    assert "raise ValueError\n" in left
    assert "oversized" not in left
    assert "raise ValueError('mac')" in left
    assert "raise OSError('nothing')" in left


@pytest.mark.parametrize("architecture", ["x64", "xtensawin"])
def test_it_compiles_for_each_chip(architecture: str, tmp_path: Path) -> None:
    """The image has every module once and says what its short names mean; a source that does not compile is named."""
    image = compile_firmware(tmp_path / "image", architecture)
    modules = {p.relative_to(FIRMWARE).with_suffix(".mpy") for p in FIRMWARE.rglob("*.py")}
    found = {p.relative_to(image) for p in image.rglob("*.mpy")}
    joined = modules - found
    assert {Path(f"{name}.mpy") for name in ("app", "journal", "wire")} < joined
    assert found - modules == {Path(f"{RESIDENT}.mpy")}
    assert not any(path.parts[0] in {"hal", "sensors", "main.mpy", "boot.mpy", "ota.mpy"} for path in joined)
    assert json.loads((image / NAMES).read_text())
    with pytest.raises(subprocess.CalledProcessError, match="mpy-cross"):
        compile_firmware(tmp_path / "bad", architecture, {"bad.py": "def f():\n yield\n nonlocal x"})


def test_the_image_keeps_the_vectors(tmp_path: Path, micropython: Callable[..., Any]) -> None:
    """Compiled and joined, the firmware reads, writes and refuses every locked vector as its sources do."""
    extra = {path.name: path.read_text() for path in (RUNNER, DEVICE)}
    image = compile_firmware(tmp_path / "image", "x64", extra)
    done = micropython(on_device(list(map(str, FILES))), heap="8m", path=image)
    assert results(done.stdout)[1] == DEVICES
