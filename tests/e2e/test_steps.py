"""The commands of the READMEs, word for word on the virtual board, as a newcomer types them."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.test_cli_board import running
from tests.sinks.servers import free_port
from tests.waiting import FAR

from vitalwire import paths
from vitalwire.cli import main
from vitalwire.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
RUN = ["vitalwire", "board", "run", "virtual"]
GATEWAY = ["vitalwire", "gateway", "run"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start with nothing, in a folder of one's own."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def follow(readme: str, change: Callable[[str], str] = lambda word: word) -> None:
    """Do the steps of a README; each ends well. The board's terminal is the first one, as the text has it.

    `change` gets each word; a gateway is ended once it has delivered frames.
    """
    block = re.search(r"<!-- steps -->(.*?)<!-- end -->", (ROOT / readme).read_text(), re.DOTALL)
    assert block
    steps = [line[2:].split() for line in block[1].splitlines() if line.startswith("$ ")]
    (start,) = [number for number, words in enumerate(steps) if words[:4] == RUN]
    for words in steps[:start]:
        if words[0] == "vitalwire":
            assert main(words[1:]) == 0, words
        else:
            subprocess.run(words, check=True)
    with running(*steps[start][4:]) as ready:
        for words in steps[start + 1 :]:
            if words[:3] == GATEWAY:
                deliver([sys.executable, "-m", "vitalwire.cli", *words[1:]])
            else:
                assert main([change(word.replace("PORT", ready["port"])) for word in words[1:]]) == 0, words


def deliver(command: list[str]) -> None:
    """Run a gateway until its archive has a file, then end it as a service manager does."""
    with subprocess.Popen(command) as process:
        end = time.monotonic() + FAR
        while not list(Path("vitals").rglob("*.parquet")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(FAR) == 0


def test_a_newcomer_can_follow_the_readme(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each documented step ends well: in the end the board's frames are verified, complete, and tell that settings and
    update, signed by the keys it was provisioned with, are in force."""
    follow("boards/README.md")
    assert "virtual 0.2.0, an update with counter 1" in capsys.readouterr().out
    with Registry(paths.registry_file()) as registry:
        assert [device.name for device in registry] == ["strap-1"]
    assert main(["export", "walk.vwc", "walk", "--format", "csv"]) == 0
    with open("walk-events.csv", newline="") as file:
        assert {"CONFIGURED", "UPDATE_CONFIRMED"} <= {row["event"] for row in csv.DictReader(file)}
    assert (tmp_path / "labels").is_dir()


def test_a_newcomer_can_configure(capsys: pytest.CaptureFixture[str]) -> None:
    """What firmware/README.md says of configurations: the board reports the settings that were signed."""
    follow("firmware/README.md")
    said = capsys.readouterr().out
    assert re.search(r"status_s\W+10\b", said)
    assert re.search(r"log_level\W+warning\b", said)


def test_a_newcomer_can_connect_over_tls(tmp_path: Path) -> None:
    """What firmware/links/README.md says: a board that was provisioned for it brings its frames to a gateway by TLS."""
    port = str(free_port())
    text = (ROOT / "firmware" / "links" / "README.md").read_text()
    table = re.search(r"with this `gateway.toml`:\n\n```toml\n(.*?)```", text, re.DOTALL)
    assert table
    (tmp_path / "gateway.toml").write_text(table[1].replace("7443", port) + '[status]\nlisten = "off"\n')
    follow("firmware/links/README.md", lambda word: word.replace("7443", port))
    assert [path.parent.name for path in Path("vitals").rglob("*.parquet")] == ["device=strap-1"]
