"""Puts a host target to atheris: coverage-guided, from the target's own seeds, repeatable by its seed of chance."""

from __future__ import annotations

import tempfile
from pathlib import Path

# whose coverage guides
READERS = ["vitalwire", "vitalwire_tools.codegen", "vitalwire_tools.virtual.faults"]


def run(name: str, *, seconds: int | None, runs: int | None, seed: int, findings: Path, only: bytes | None) -> int:
    """Fuzz one target and end this process: with code 0, or another once an input broke something.

    That input is then in the folder `findings`. With `only`, try this input and no other, and return 0 or raise what
    comes out. Raises ModuleNotFoundError without atheris.
    """
    if only is not None:
        from . import host

        host.TARGETS[name].attempt(only)
        return 0
    import atheris

    with atheris.instrument_imports(include=READERS, enable_loader_override=False):
        from . import host
    target = host.TARGETS[name]
    findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(target.seeds()):
            Path(folder, f"{number:04}").write_bytes(data)
        options = [f"-seed={seed}", f"-max_len={target.longest}", f"-artifact_prefix={findings}/{name}-"]
        options += [f"-runs={runs}"] if runs else []
        options += [f"-max_total_time={seconds}"] if seconds else []
        atheris.Setup([name, *options, folder], target.attempt)
        atheris.Fuzz()
    return 0
