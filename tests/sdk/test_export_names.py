"""What an export names its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitalwire import CaptureWriter, Registry
from vitalwire.errors import UsageError
from vitalwire.export import export
from vitalwire.offline import Reader
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Event


def test_one_name_serves_several_formats(tmp_path: Path) -> None:
    """A capture goes under one name into CSV and then into EDF, readings, events and manifest of both beside it."""
    device = FakeDevice()
    with CaptureWriter(tmp_path / "a.vwc") as writer:
        for raw in (device.descriptor(), device.events((Event.BUTTON, {})), device.sampled(), device.sampled()):
            writer.write(raw)
    with Registry() as registry:
        registry.enrol(device.thumbprint, "worn")
        for form in ("csv", "edf"):
            done = export(Reader(tmp_path / "a.vwc", registry), tmp_path / f"out.{form}", form)
            assert tmp_path / f"out.{form}.json" in done.files
        with pytest.raises(UsageError, match="there already"):
            export(Reader(tmp_path / "a.vwc", registry), tmp_path / "out.csv", "csv")
    names = {path.name for path in tmp_path.iterdir()}
    assert {"out-events.csv", "out.edf-events.csv", "out-readings.csv", "out.edf-readings.csv"} <= names
    assert {"out.csv.json", "out.edf.json", "out-ecg_lead_i.csv", "out-ppg-0001.bdf"} <= names
