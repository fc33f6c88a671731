"""`python -m vitalwire_tools.codegen [--check]`: write the generated files, or fail when one is stale."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from . import listing, p256_table, tables, wire, wiring
from .board import Board
from .boardfile import boards

ROOT = Path(__file__).resolve().parents[3]
GENERATED: dict[str, Callable[[str], str]] = {
    "firmware/wire.py": lambda _: wire.render(),
    "firmware/signals.py": lambda _: wire.render_signals(),
    "firmware/settings.py": lambda _: wire.render_settings(),
    "firmware/p256_table.py": lambda _: p256_table.render(),
    "protocol/SPEC.md": tables.render,
    "boards/README.md": listing.render,
}


def _diagram(of: Board) -> Callable[[str], str]:
    return lambda _: wiring.render(of)


def main(arguments: list[str]) -> int:
    """Write or check; the exit code is the number of stale files under `--check`."""
    check = arguments == ["--check"]
    if arguments and not check:
        print("usage: python -m vitalwire_tools.codegen [--check]", file=sys.stderr)
        return 2
    stale = 0
    diagrams = {f"boards/{one.name}/wiring.svg": _diagram(one) for one in boards(ROOT / "boards")}
    for name, render in (GENERATED | diagrams).items():
        path = ROOT / name
        old = path.read_text() if path.exists() else ""
        new = render(old)
        if new != old and check:
            print(f"{name} is stale: run python -m vitalwire_tools.codegen", file=sys.stderr)
            stale += 1
        elif new != old:
            path.write_text(new)
            print(f"wrote {name}")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
