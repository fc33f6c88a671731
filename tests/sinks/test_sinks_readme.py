"""The sinks' README: every configuration in it is one, and every kind of sink is in it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from vitalwire.gateway.config import load
from vitalwire.sinks import KINDS

README = Path(__file__).parents[2] / "sdk/vitalwire/sinks/README.md"
ROOT = README.parents[3]


def blocks(language: str, readme: Path = README) -> list[str]:
    """Return a README's blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", readme.read_text(), re.DOTALL)


def test_every_configuration_is_one(tmp_path: Path) -> None:
    """Each block is accepted as it stands, and together they show every kind."""
    shown = set()
    for block in blocks("toml"):
        file = tmp_path / "gateway.toml"
        file.write_text(f'[spool]\npath = "spool"\n{block}')
        shown |= {settings.kind for settings in load(file).sinks.values()}
    assert shown >= set(KINDS)


def test_one_thing_changes(tmp_path: Path) -> None:
    """The README's first configuration is one, and so is it with each of the sinks shown after it in its place."""
    file = tmp_path / "gateway.toml"
    whole, *others = [block for block in blocks("toml", ROOT / "README.md") if "[sink.cloud]" in block]
    kinds = []
    for sink in (whole[whole.index("[sink.cloud]") :], *others):
        file.write_text(whole[: whole.index("[sink.cloud]")] + sink)
        kinds.append(load(file).sinks["cloud"].kind)
    assert kinds == ["mqtt", "iothub", "kafka"]


def test_the_table_has_every_kind_and_its_extra() -> None:
    """Kinds and extras in the first table are those of the code and of pyproject.toml."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]*) \|", README.read_text(), re.MULTILINE)
    assert {kind for kind, _ in rows} >= set(KINDS)
    for _, named in rows:
        assert set(re.findall(r"`(\w+)`", named)) <= set(extras)


def test_the_event_is_json() -> None:
    """The example of an event can be read."""
    (event,) = blocks("json")
    assert json.loads(event)["Body"]["readings"][1]["temperature_skin"] == 32.0
