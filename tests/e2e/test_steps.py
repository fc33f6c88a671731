"""The commands of boards/README.md, word for word on the virtual board, as a newcomer types them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.e2e.test_cli_board import running

from vitalwire import paths
from vitalwire.cli import main
from vitalwire.registry import Registry

README = Path(__file__).resolve().parents[2] / "boards" / "README.md"


def test_a_newcomer_can_follow_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each documented step ends well, and after the last one the board's own frames are verified and complete."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    block = re.search(r"<!-- steps -->(.*?)<!-- end -->", README.read_text(), re.DOTALL)
    assert block
    first, *rest = [line[2:].split() for line in block[1].splitlines() if line.startswith("$ ")]
    assert first[:4] == ["vitalwire", "board", "run", "virtual"]
    with running(*first[4:]) as ready:
        for words in rest:
            assert main([word.replace("PORT", ready["port"]) for word in words[1:]]) == 0, words
    with Registry(paths.registry_file()) as registry:
        assert [device.name for device in registry] == ["strap-1"]
    assert (tmp_path / "labels").is_dir()
