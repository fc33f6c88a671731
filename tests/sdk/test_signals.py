"""Frames become the integers that went in, in physical units, with what is not valid masked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitalwire import frame, signals
from vitalwire.errors import BlockError, FrameError, InputError
from vitalwire.messages import Decimal10, Descriptor, Frame
from vitalwire.testing import FakeDevice, remade
from vitalwire.testing.device import STANDARD
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Key

RNG = np.random.default_rng(7)


def device_and_body(**options: object) -> tuple[FakeDevice, Descriptor]:
    """Return a device and its descriptor."""
    device = FakeDevice(**options)  # type: ignore[arg-type]
    body = frame.parse(device.descriptor()).body
    assert body is not None
    return device, body


def test_the_integers_come_back_exact() -> None:
    """Every stream of a frame, from constant to full scale, has the counts that went in, and their ticks."""
    device, body = device_and_body()
    samples = {
        "ecg_lead_i": RNG.integers(-(1 << 17), 1 << 17, 512),
        "ppg_red": np.zeros(200, np.int64),
        "ppg_ir": np.arange(200) - 100,
        "accel_x": np.array([-32768, 32767] * 52),
        "accel_y": RNG.integers(-5, 5, 104),
        "accel_z": np.full(104, -1),
    }
    decoded = signals.decode(frame.parse(device.data(samples)), body)
    assert decoded.keys() == samples.keys()
    for name, expected in samples.items():
        assert decoded[name].counts.dtype == np.int32
        np.testing.assert_array_equal(decoded[name].counts, expected)
        assert decoded[name].ticks == device.ticks
        assert decoded[name].valid.all()
        assert decoded[name].at is None


def test_values_are_offset_plus_counts_times_scale() -> None:
    """Values are floats in the channel's unit."""
    channels = (replace(STANDARD[0], scale=Decimal10(-25, -1), offset=Decimal10(3, 1)), *STANDARD[1:])
    device, body = device_and_body(channels=channels)
    signal = signals.decode(frame.parse(device.data({"ecg_lead_i": [0, 4, -2]})), body)["ecg_lead_i"]
    assert signal.values.dtype == np.float64
    np.testing.assert_allclose(signal.values, [30.0, 20.0, 35.0], rtol=1e-15)
    assert (signal.unit, signal.rate, signal.name, len(signal)) == ("mV", 256, "ecg_lead_i", 3)


def test_samples_under_any_mark_are_not_valid() -> None:
    """Marks mask their own channel only, unknown marks too; overlapping marks of two kinds are fine."""
    device, body = device_and_body()
    raw = device.data(
        {"ppg_red": range(6), "ppg_ir": range(6)},
        marks=[(1, spec.Mark.SATURATED, 0, 2), (1, 200, 1, 2), (1, spec.Mark.SATURATED, 5, 1)],
    )
    decoded = signals.decode(frame.parse(raw), body)
    assert decoded["ppg_red"].valid.tolist() == [False, False, False, True, True, False]
    assert decoded["ppg_ir"].valid.all()
    assert [run.mark for run in decoded["ppg_red"].marks] == [spec.Mark.SATURATED, 200, spec.Mark.SATURATED]


def test_scalars_have_ticks_of_their_own() -> None:
    """Readings of a scalar channel come in order with the ticks of each."""
    device, body = device_and_body()
    decoded = signals.decode(frame.parse(device.data({}, scalars=[(6, -1_000_000, 8000), (6, 0, -3)])), body)
    skin = decoded["temperature_skin"]
    assert skin.counts.tolist() == [8000, -3]
    assert skin.at is not None
    assert skin.at.tolist() == [device.ticks - 1_000_000, device.ticks]
    np.testing.assert_allclose(skin.values, [31.25, -3 * 0.00390625])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({Key.BLOCKS: b"\x01"}, "truncated"),
        ({Key.BLOCKS: b"\x01\x0e\xff\x00\x00"}, "block-coding"),
        ({Key.MARKS: [[0, 1, 2, 2]]}, "marks"),
        ({Key.MARKS: [[1, 1, 0, 1]]}, "marks"),
        ({Key.MARKS: [[31, 1, 0, 1]]}, "marks"),
        ({Key.SCALARS: [[0, 0, 0]]}, "channels"),
        ({Key.SCALARS: [[7, 0, 0]]}, "channels"),
        ({Key.SCALARS: [[6, 0, 32768]]}, "range"),
        ({Key.SCALARS: [[6, 0, -32769]]}, "range"),
    ],
)
def test_what_does_not_fit_the_descriptor_is_an_error(changes: dict[int, object], reason: str) -> None:
    """Blocks, marks and scalars that contradict the descriptor are typed errors."""
    device, body = device_and_body()
    raw = remade(device.data({"ecg_lead_i": [1, 2, 3]}), device.private_key, changes)
    with pytest.raises((BlockError, FrameError)) as caught:
        signals.decode(frame.parse(raw), body)
    assert caught.value.reason == reason


def test_one_bad_frame_costs_the_others_nothing() -> None:
    """In a long batch of two devices, exactly the damaged frames are errors and every other is exact."""
    devices = [device_and_body(seed=n) for n in range(2)]
    expected: list[np.ndarray | None] = []
    pairs: list[tuple[Frame, Descriptor]] = []
    for n in range(300):
        device, body = devices[n % 2]
        samples = RNG.integers(-1000, 1000, 1 + n % 40)
        raw = device.data({"ecg_lead_i": samples, "ppg_red": samples, "ppg_ir": -samples})
        bad = n % 17 == 3
        if bad:
            raw = remade(raw, device.private_key, {Key.BLOCKS: b"\x05" if n % 2 else b"\x01\x0e\xff\x00\x00"})
        expected.append(None if bad else samples)
        pairs.append((frame.parse(raw), body))
    decoded = list(signals.decode_many(iter(pairs)))
    assert len(decoded) == 300
    for result, samples in zip(decoded, expected, strict=True):
        if samples is None:
            assert isinstance(result, InputError)
        else:
            assert not isinstance(result, InputError)
            np.testing.assert_array_equal(result["ecg_lead_i"].counts, samples)
            np.testing.assert_array_equal(result["ppg_ir"].counts, -samples)


def test_frames_without_samples_have_no_signals() -> None:
    """Descriptors, events and empty data frames decode to nothing."""
    device, body = device_and_body()
    for raw in (device.descriptor(), device.status(), device.data({})):
        assert signals.decode(frame.parse(raw), body) == {}
