"""From the virtual board's chips to FHIR and back: what the firmware signed is what the Observations say."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tests.e2e.conftest import Bench
from tests.fhirserver import TESTS, ready
from tests.waiting import FAR

from vitalwire import jws
from vitalwire.capture import Writer
from vitalwire.charts import Charted, chart, judge
from vitalwire.client import Client
from vitalwire.fhir import Gateway, counts_of
from vitalwire.offline import Reader
from vitalwire_tools import demo_fhir, demo_server

pytest.importorskip("sleepecg", reason="needs sleepecg (vitalwire[readings])")

SECONDS = 75
SPEED = 20.0  # so the board knows no UTC: that is what arrivals say
OPTIONS: dict[str, Any] = {"auto_acknowledge": False, "set_time": False, "settle": 0.0}


def test_a_boards_minute_is_proven(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute of the board becomes Observations with its heart rate and all its ECG counts, each proven by frames.

    Delivered twice to a FHIR server, as the demo does it, they are there once and proven again.
    """
    running = bench(speed=SPEED)
    capture = tmp_path / "minute.vwc"
    counts, frames = [], []
    until = time.monotonic() + FAR
    with (
        Client(running.board.url, registry=running.registry, state=tmp_path / "state", **OPTIONS) as client,
        Writer(capture) as writer,
    ):
        ticks = 0
        while ticks < SECONDS * 1_000_000 and time.monotonic() < until:
            frame = client.receive(timeout=1.0)
            if frame is None:
                continue
            writer.write(frame.raw, time.time_ns() // 1000)
            writer.sync()
            client.durable([frame])
            frames.append(frame)
            ticks = frame.frame.ticks
            if "ecg_lead_i" in frame.signals:
                counts.append(frame.signals["ecg_lead_i"].counts)
    jws.create_key(tmp_path / "key.pem")
    key = jws.load_key(tmp_path / "key.pem")
    charted = Charted()
    reader = Reader(capture, running.registry)
    resources = list(chart(reader, Gateway(key), lambda *_: "Patient/p", charted=charted, within=SECONDS))
    assert not charted.held
    observations = [each for each in resources if each["resourceType"] == "Observation"]
    (heart, *_) = (each for each in observations if each["code"]["text"] == "Heart rate")
    assert heart["valueQuantity"]["value"] == pytest.approx(Decimal(70), abs=Decimal(2))
    ecg = [each for each in observations if each["code"]["text"] == "ECG lead I"]
    ecg.sort(key=lambda each: each["effectivePeriod"]["start"])
    written = [counts_of(each["valueSampledData"]) for each in ecg]
    assert np.array_equal(np.concatenate([c for c, _ in written]), np.concatenate(counts))
    assert not any(words.astype(bool).any() for _, words in written)
    found = judge(Reader(capture, running.registry), resources, key.public_key(), within=SECONDS)
    assert found.ok, found.findings
    assert found.proven == len(observations)
    assert found.absent == 0
    monkeypatch.chdir(tmp_path)
    console = Console(quiet=True)
    assert demo_fhir.show(capture, running.registry, key, console, SECONDS)
    if not ready():
        pytest.skip("needs node and, in tests/, the npm packages of the FHIR server (npm ci)")
    assert demo_server.show(TESTS, frames, capture, running.registry, tmp_path / "key.pem", console, SECONDS)
