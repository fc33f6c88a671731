"""`python -m vitalwire_tools.fuzz [TARGET]`: list the targets, or run one for so many seconds or inputs.

The exit code is 0 if nothing was found. Otherwise the error is on stderr and the input in the folder of findings;
`--input FILE` tries one again. Host targets need atheris, the device's the `micropython` there is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import device, engine

SECONDS = 60


def _list() -> int:
    from . import host

    for name, target in host.TARGETS.items():
        print(f"{name:16} {target.what}")
    for name, (what, _) in device.TARGETS.items():
        print(f"{name:16} {what}, on the device")
    return 0


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m vitalwire_tools.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?")
    parser.add_argument("--seconds", type=int, help=f"how long ({SECONDS}, unless --runs is given)")
    parser.add_argument("--runs", type=int, help="how many inputs")
    parser.add_argument("--seed", type=int, default=1, help="of chance: the same seed and runs give the same inputs")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="where inputs that break it go")
    parser.add_argument("--input", type=Path, help="try this file and nothing else")
    given = parser.parse_args()
    if given.target is None:
        return _list()
    run = device.run if given.target in device.TARGETS else engine.run
    return run(
        given.target,
        seconds=given.seconds if given.seconds or given.runs else SECONDS,
        runs=given.runs,
        seed=given.seed,
        findings=given.findings,
        only=given.input.read_bytes() if given.input else None,
    )


if __name__ == "__main__":
    sys.exit(main())
