"""A real FHIR R4 server on loopback, for the demo and the benchmarks: medplum's router over its repository in memory.

It runs under Node, from npm packages that `package-lock.json` beside this file names; it forgets all when it ends.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from vitalwire.errors import UsageError

HERE = Path(__file__).parent
LISTS = ("package.json", "package-lock.json")
INSTALLED = Path("node_modules", ".package-lock.json")  # npm writes it last


def install(folder: Path | None = None) -> Path:
    """Install the server's packages unless they are there; return the folder. Raises UsageError without Node or npm."""
    folder = folder or user_cache_path("vitalwire") / "fhirserver"
    if not (shutil.which("node") and shutil.which("npm")):
        raise UsageError("a FHIR server needs Node.js and npm", advice="install the Debian packages nodejs and npm")
    lists = {name: (HERE / name).read_bytes() for name in LISTS}
    there = {name: (folder / name).read_bytes() for name in LISTS if (folder / name).exists()}
    if there != lists or not (folder / INSTALLED).exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in lists.items():
            (folder / name).write_bytes(text)
        done = subprocess.run(
            ["npm", "ci", "--prefix", str(folder), "--silent", "--no-audit", "--no-fund"], check=False
        )  # fmt: skip
        if done.returncode:
            raise UsageError("npm could not install the FHIR server", advice="it needs the npm registry once")
    return folder


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run the server with the packages in a folder; yield where it listens: any name behind that is a server's base."""
    process = subprocess.Popen(
        ["node", str(HERE / "server.mjs"), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        assert process.stdout is not None
        port = process.stdout.readline()
        if not port:
            raise UsageError("the FHIR server does not start")
        yield f"http://127.0.0.1:{int(port)}"
    finally:
        process.kill()
        process.communicate()
