"""The demo says yes when all is well, and no when a chip is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitalwire.fhir import read
from vitalwire_tools import demo, demo_fhir


def test_the_demo_ends_well_with_every_sample_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without faults the demo ends with 0 and leaves a capture, a picture and a Bundle that is proven."""
    monkeypatch.chdir(tmp_path)
    assert demo.run() == 0
    assert demo.CAPTURE.stat().st_size > 10_000
    assert demo.PLOT.read_bytes().startswith(b"\x89PNG")
    observations = [each for each in read(demo_fhir.BUNDLE) if each["resourceType"] == "Observation"]
    assert {"Heart rate", "ECG lead I"} <= {each["code"]["text"] for each in observations}


@pytest.mark.parametrize("fault", [{"chip": "max30003", "fault": "missing"}, {"chip": "max30003", "fault": "lead_off"}])
def test_the_demo_fails_without_an_ecg(fault: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that was never decoded, or never valid, makes the demo end with 1."""
    monkeypatch.chdir(tmp_path)
    assert demo.run([fault]) == 1


def test_without_node_the_demo_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--fhir` without Node ends at once, with one line that names the packages."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", ["demo", "--fhir"])
    assert demo.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nodejs and npm" in line
