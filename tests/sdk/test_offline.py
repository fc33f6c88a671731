"""Whole captures read in the order of their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.walk import LOST, RATES, walk

from vitalwire.capture import Writer
from vitalwire.errors import ForeignError, TransportError, UsageError
from vitalwire.offline import Reader
from vitalwire.registry import Registry
from vitalwire.session import Duplicate
from vitalwire.testing import FakeDevice, flipped
from vitalwire_protocol.spec import Kind


def test_frames_come_in_order_and_once(tmp_path: Path) -> None:
    """Frames that stand late or twice in the file come by number, each once, with samples and times."""
    made = walk(tmp_path / "a.vwc")
    heard: list[object] = []
    reader = Reader(made.path, made.registry())
    frames = list(reader.frames(tell=heard.append))
    assert [frame.seq for frame in frames] == sorted({frame.seq for frame in frames})
    assert sum(frame.kind == Kind.DATA for frame in frames) == len(made.raws) - len(LOST)
    assert any(isinstance(each, Duplicate) for each in heard)
    assert {frame.name for frame in frames} == {"walker"}
    ecg = [frame.signals["ecg_lead_i"] for frame in frames if frame.kind == Kind.DATA]
    assert np.array_equal(np.concatenate([s.counts for s in ecg]), np.concatenate(made.stretches["ecg_lead_i"]))
    times = np.concatenate([signal.time for signal in ecg])
    assert (np.diff(times) > 0).all()
    assert reader.read == reader.total


def test_verdict_is_made_on_the_way(tmp_path: Path) -> None:
    """The verdict knows what is missing, and frames are counted."""
    made = walk(tmp_path / "a.vwc")
    reader = Reader(made.path, made.registry())
    (device,) = reader.verdict.devices
    assert not device.complete
    assert sum(last - first + 1 for first, last in device.missing) == len(LOST)
    assert (device.burned, device.duplicates) == (2, 1)


def test_nothing_forged_is_read(tmp_path: Path) -> None:
    """A frame with one changed bit is left out and told, and so are frames of devices nobody enrolled."""
    device, stranger = FakeDevice(), FakeDevice()
    frames = [device.descriptor(), *(device.sampled() for _ in range(5))]
    frames[3] = flipped(frames[3], 8 * len(frames[3]) // 2)
    with Writer(tmp_path / "a.vwc") as writer:
        for raw in (*frames, stranger.descriptor(), stranger.sampled()):
            writer.write(raw)
    with Registry() as registry:
        registry.enrol(device.thumbprint, "one")
        heard: list[object] = []
        read = [frame.raw for frame in Reader(tmp_path / "a.vwc", registry).frames(tell=heard.append)]
    assert read == [*frames[:3], *frames[4:]]
    assert {type(each).__name__ for each in heard} >= {"Refused"}


def test_devices_are_told_apart(tmp_path: Path) -> None:
    """Of a capture of several devices one is chosen by name; none, an unknown one or an unclear choice is an error."""
    devices = [FakeDevice(name) for name in ("a", "b")]
    with Writer(tmp_path / "a.vwc") as writer:
        for device in devices:
            for raw in (device.descriptor(), device.sampled(), device.sampled()):
                writer.write(raw)
    with Registry() as registry:
        with pytest.raises(ForeignError, match="nothing that an enrolled device signed") as refused:
            Reader(tmp_path / "a.vwc", registry).device()
        assert devices[0].thumbprint.hex() in refused.value.advice
        for device in devices:
            registry.enrol(device.thumbprint, device.name)
        registry.enrol(bytes(32), "elsewhere")
        reader = Reader(tmp_path / "a.vwc", registry)
        with pytest.raises(UsageError, match="2 devices: a, b"):
            reader.device()
        with pytest.raises(UsageError, match="nothing of elsewhere"):
            reader.device("elsewhere")
        chosen = reader.device("b")
        assert chosen.thumbprint == devices[1].thumbprint
        assert {frame.device for frame in reader.frames(chosen.thumbprint)} == {chosen.thumbprint}


def test_without_notes_of_arrival_nothing_is_from_the_future(tmp_path: Path) -> None:
    """A capture without notes is read whole: frames that tell UTC are not held against a clock nobody noted."""
    device = FakeDevice()
    device.utc_us = 1_760_000_000_000_000
    with Writer(tmp_path / "a.vwc") as writer:
        for raw in (device.descriptor(), device.sampled(), device.sampled()):
            writer.write(raw)
    with Registry() as registry:
        registry.enrol(device.thumbprint, "one")
        frames = list(Reader(tmp_path / "a.vwc", registry).frames())
    assert len(frames) == 3
    assert abs(frames[1].signals["ecg_lead_i"].time[-1] - frames[1].frame.utc_us / 1e6) < 0.1  # type: ignore[index, operator]


def test_rotated_captures_are_one(tmp_path: Path) -> None:
    """The files of a rotated capture are read as one, also where a late frame stands in a later file."""
    device = FakeDevice()
    frames = [device.descriptor(), *(device.sampled() for _ in range(20))]
    late = [*frames[:4], *frames[5:], frames[4]]
    with Writer(tmp_path / "a.vwc", max_bytes=8000) as writer:
        for raw in late:
            writer.write(raw)
    with Registry() as registry:
        registry.enrol(device.thumbprint, "one")
        reader = Reader(tmp_path / "a.vwc", registry)
        assert len(reader.files) > 2
        assert [frame.raw for frame in reader.frames()] == frames
        assert reader.verdict.ok


def test_no_capture(tmp_path: Path) -> None:
    """A file that is not there is said to be so."""
    with Registry() as registry, pytest.raises(TransportError, match="no such file"):
        Reader(tmp_path / "none.vwc", registry)


def test_rates_are_those_of_the_fixture() -> None:
    """The fixture's rates are those of the device it stands on: a wrong one would make the tests above say nothing."""
    assert {c.name: c.rate for c in FakeDevice().channels if c.rate} == RATES
