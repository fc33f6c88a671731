"""The commands of the READMEs, word for word on the virtual board, as a newcomer types them."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
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


class Said(StringIO):
    """What is printed in the block, on both streams, and passed on."""

    def __enter__(self) -> Said:
        self._streams = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = self
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout, sys.stderr = self._streams
        self._streams[0].write(self.getvalue())

    @property
    def text(self) -> str:
        """It, with one space where there are several."""
        return "\n".join(" ".join(line.split()) for line in self.getvalue().splitlines())


def follow(readme: str, change: Callable[[str], str] = lambda word: word) -> None:
    """Do the steps of a README; each ends well and says the lines below it, where `...` stands for anything.

    The board's terminal is the first one, as the text has it.

    `change` gets each word; a gateway is ended once it has delivered frames.
    """
    block = re.search(r"<!-- steps -->\s+```\n(.*?)```\s+<!-- end -->", (ROOT / readme).read_text(), re.DOTALL)
    assert block
    texts = [text.splitlines() for text in re.split(r"^\$ ", block[1], flags=re.MULTILINE)[1:]]
    steps = [command.split() for command, *_ in texts]
    (start,) = [number for number, words in enumerate(steps) if words[:4] == RUN]
    for words in steps[:start]:
        if words[0] == "vitalwire":
            assert main(words[1:]) == 0, words
        else:
            subprocess.run(words, check=True)
    with running(*steps[start][4:]) as ready:
        for words, (_, *shown) in list(zip(steps, texts, strict=True))[start + 1 :]:
            words = [change(word.replace("PORT", ready["port"])) for word in words]
            with Said() as said:
                if words[:3] == GATEWAY:
                    deliver([sys.executable, "-m", "vitalwire.cli", *words[1:]])
                elif words[0] == "vitalwire":
                    assert main(words[1:]) == 0, words
                else:
                    subprocess.run(" ".join(words), shell=True, check=True)
            for line in shown:
                pattern = re.escape(" ".join(line.split())).replace(r"\.\.\.", ".*")
                assert re.search(f"^{pattern}$", said.text, re.MULTILINE), (words, line, said.text)


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
