"""One stream over TLS under MicroPython with no board around it: the device's files, and what opens the stream."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.papers import Authority

from vitalwire_tools.provision import Identity, new_identity

Run = Callable[..., "subprocess.CompletedProcess[str]"]
WINDOW = 3

# argv: folder, key, peer, name; `link` is the module that makes the stream
OPEN = f"""
import json, os, sys, time
class Hal:
    def files(self):
        return sys.argv[1]
    def random(self, n):
        return os.urandom(n)
    def station(self):
        return None
    def date(self):
        return int(time.time())
class Config:
    ntp = ""
    key = bytes.fromhex(sys.argv[2])
    device = sys.argv[4]
    window = {WINDOW}
stream = link.make(Hal(), Config(), sys.argv[3])
"""


class Desk:
    """A device's files in `folder`, signed by `authority`, and a way to run a stream with them."""

    def __init__(self, folder: Path, link: str, micropython: Run) -> None:
        self.folder, self._link, self._micropython = folder, link, micropython
        self.authority = Authority(folder / "tls")
        self.identity: Identity = new_identity("virtual")
        self.put(self.authority.device(self.identity))

    def put(self, files: dict[str, bytes]) -> None:
        """Write files of the device."""
        for name, content in files.items():
            (self.folder / name).write_bytes(content)

    def run(self, script: str, port: int, name: str = "strap 1") -> list[object]:
        """Open `stream` to a server on this computer, run a script, and return what it said by one line of JSON."""
        code = f"from links import {self._link} as link\n{OPEN}{script}"
        done = self._micropython(code, str(self.folder), self.identity.key.hex(), f"localhost:{port}", name)
        told = json.loads(done.stdout)
        assert isinstance(told, list)
        return told
