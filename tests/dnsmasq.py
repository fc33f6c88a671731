"""A real name server for a test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.sinks.servers import Server


class Dnsmasq(Server):
    """Answers on a port of loopback by its `lines` of configuration alone, over UDP and TCP."""

    def __init__(self, folder: Path, port: int, lines: Sequence[str]) -> None:
        program = shutil.which("dnsmasq", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            pytest.skip("needs dnsmasq (Debian: dnsmasq-base)")
        folder.mkdir(exist_ok=True)
        settings = [
            f"port={port}",
            "listen-address=127.0.0.1",
            "bind-interfaces",
            "no-resolv",
            "no-hosts",
            "no-daemon",
            f"pid-file={folder}/dnsmasq.pid",
            *(["user=root"] if os.geteuid() == 0 else []),
            *lines,
        ]
        (folder / "dnsmasq.conf").write_text("\n".join(settings) + "\n")
        super().__init__([program, f"--conf-file={folder}/dnsmasq.conf"], port, folder / "dnsmasq.log")
