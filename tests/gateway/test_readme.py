"""The README's configurations are ones that the gateway begins with."""

from __future__ import annotations

import re
from pathlib import Path

from vitalwire.gateway import load

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_readme_changes_one_thing(tmp_path: Path) -> None:
    """The first configuration loads whole; for each cloud it loads with nothing but the sink's table replaced."""
    whole, *sinks = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    head = whole[: whole.index("[sink.cloud]")]
    file = tmp_path / "gateway.toml"
    kinds = []
    for text in (whole, *(head + sink for sink in sinks)):
        file.write_text(text)
        kinds.append(load(file).sinks["cloud"].kind)
    assert kinds == ["mqtt", "iothub", "kafka"]
