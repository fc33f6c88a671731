"""`python -m vitalwire_tools.codegen [--check]`: write the generated files, or fail when one is stale."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from . import p256_table, tables, wire

ROOT = Path(__file__).resolve().parents[3]
GENERATED: dict[str, Callable[[str], str]] = {
    "firmware/wire.py": lambda _: wire.render(),
    "firmware/signals.py": lambda _: wire.render_signals(),
    "firmware/p256_table.py": lambda _: p256_table.render(),
    "protocol/SPEC.md": tables.render,
}


def main(arguments: list[str]) -> int:
    """Write or check; the exit code is the number of stale files under `--check`."""
    check = arguments == ["--check"]
    if arguments and not check:
        print("usage: python -m vitalwire_tools.codegen [--check]", file=sys.stderr)
        return 2
    stale = 0
    for name, render in GENERATED.items():
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
