"""The commands of the READMEs, word for word on the virtual board, as a newcomer types them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.e2e.test_cli_board import running

from vitalwire import paths
from vitalwire.cli import main
from vitalwire.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
RUN = ["vitalwire", "board", "run", "virtual"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start with nothing, in a folder of one's own."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def follow(readme: str) -> None:
    """Do the steps of a README; each ends well. The board's terminal is the first one, as the text has it."""
    block = re.search(r"<!-- steps -->(.*?)<!-- end -->", (ROOT / readme).read_text(), re.DOTALL)
    assert block
    steps = [line[2:].split() for line in block[1].splitlines() if line.startswith("$ ")]
    (start,) = [number for number, words in enumerate(steps) if words[:4] == RUN]
    for words in steps[:start]:
        subprocess.run(words, check=True)
    with running(*steps[start][4:]) as ready:
        for words in steps[start + 1 :]:
            assert main([word.replace("PORT", ready["port"]) for word in words[1:]]) == 0, words


def test_a_newcomer_can_follow_the_readme(tmp_path: Path) -> None:
    """Each documented step ends well, and after the last one the board's own frames are verified and complete."""
    follow("boards/README.md")
    with Registry(paths.registry_file()) as registry:
        assert [device.name for device in registry] == ["strap-1"]
    assert (tmp_path / "labels").is_dir()


def test_a_newcomer_can_configure(capsys: pytest.CaptureFixture[str]) -> None:
    """What firmware/README.md says of configurations: the board reports the settings that were signed."""
    follow("firmware/README.md")
    said = capsys.readouterr().out
    assert re.search(r"status_s\W+10\b", said)
    assert re.search(r"log_level\W+warning\b", said)
