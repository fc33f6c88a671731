"""Forms: what goes out for an entry, for every kind of frame and for those that cannot be told in JSON."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from tests.sinks.entries import UTC_US, entry_of, without_time

from vitalwire.frame import parse
from vitalwire.messages import Channel, Decimal10
from vitalwire.signals import decode
from vitalwire.sinks import Rejected
from vitalwire.sinks.forms import MAX_SAMPLES, Form, Former, Message, iso
from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Counter, Event, EventKey, Mark, Policy


def told(former: Former, device: FakeDevice, raw: bytes) -> dict[str, Any]:
    """Return the JSON that a frame becomes."""
    message = former(entry_of(device, raw))
    assert isinstance(message, Message)
    assert message.content_type == "application/json"
    body: dict[str, Any] = json.loads(message.body)
    return body


@pytest.fixture
def device() -> FakeDevice:
    """Return a device with the standard channels."""
    return FakeDevice("bed-4")


def test_the_frame_goes_out_as_it_is(device: FakeDevice) -> None:
    """By default the body is the signed frame, byte for byte, and properties say whose and which it is."""
    entry = entry_of(device, device.sampled())
    message = Former(Form.FRAME)(entry)
    assert isinstance(message, Message)
    assert message.body == entry.raw
    assert message.content_type == 'application/cose; cose-type="cose-sign1"'
    assert message.properties == {
        "device": "bed-4",
        "thumbprint": device.thumbprint.hex(),
        "kind": "data",
        "boot": "1",
        "seq": str(entry.seq),
        "digest": entry.digest.hex(),
        "trust": "signed",
        "iothub-creation-time-utc": iso(entry.time_us),
    }


def test_json_has_every_sample_in_its_unit(device: FakeDevice) -> None:
    """JSON holds the decoded values of every channel, with unit, code, period and the UTC of the first sample."""
    former = Former(Form.JSON)
    told(former, device, device.descriptor())
    raw = device.sampled(2.0)
    event = told(former, device, raw)
    assert event["SystemProperties"] == {"iothub-connection-device-id": "bed-4"}
    assert event["Properties"]["iothub-creation-time-utc"] == event["Body"]["time"] == "2026-01-01T00:00:03.000000Z"
    readings = {next(iter(each)): each for each in event["Body"]["readings"]}
    signals = decode(parse(raw), parse(device.descriptor()).body or pytest.fail("no descriptor"))
    assert readings.keys() == signals.keys()
    for name, signal in signals.items():
        steps = np.subtract(readings[name][name], signal.values) / float(signal.channel.scale)
        assert np.abs(steps).max() <= 0.01, name
    ecg = readings["ecg_lead_i"]
    assert (ecg["unit"], ecg["mdc"], ecg["device"], ecg["period_ms"]) == ("mV", 131329, "bed-4", 3.90625)
    assert ecg["time"] == iso(UTC_US + 3_000_000 - 511 * 1_000_000 // 256)
    temperature = readings["temperature_skin"]
    assert temperature["temperature_skin"] == 32.0
    assert temperature["time"] == "2026-01-01T00:00:03.000000Z"


def test_medtechs_templates_run_on_it(device: FakeDevice) -> None:
    """Device templates of both kinds find each reading, with device, time and value, an object a sample included."""
    pytest.importorskip("jsonpath", reason="needs python-jsonpath (vitalwire[fhir])")
    from vitalwire.templates import content_templates
    from vitalwire.templates.device import trials

    def measured(template: dict[str, Any], event: Any) -> list[tuple[str, int, str]]:
        (only,) = content_templates({"templateType": "CollectionContent", "template": [template]})
        found = [trial.measurement for trial in trials(only, event)]
        return [(each.device, each.time_us, each.values["v"]) for each in found if each is not None]

    by_event = {
        "templateType": "IotJsonPathContent",
        "template": {
            "typeName": "temperature",
            "typeMatchExpression": "$..[?(@temperature_skin)]",
            "values": [{"required": "true", "valueExpression": "$.temperature_skin", "valueName": "v"}],
        },
    }
    by_match = {
        "templateType": "CalculatedContent",
        "template": {
            "typeName": "ecg",
            "typeMatchExpression": "$..[?(@ecg_lead_i)]",
            "deviceIdExpression": "$.matchedToken.device",
            "timestampExpression": "$.matchedToken.time",
            "values": [{"required": "true", "valueExpression": "$.matchedToken.ecg_lead_i", "valueName": "v"}],
        },
    }
    former = Former(Form.JSON_SAMPLES)
    told(former, device, device.descriptor())
    event = told(former, device, device.sampled(0.25))
    now = UTC_US + device.ticks
    assert measured(by_event, event) == [("bed-4", now, "32")]
    samples = measured(by_match, event)
    assert len(samples) == 64
    assert {name for name, _, _ in samples} == {"bed-4"}
    assert samples[-1][1] == now
    assert samples[0][1] == now - 63 * 1_000_000 // 256


def test_what_is_no_measurement_is_null(device: FakeDevice) -> None:
    """Samples under a mark are null in arrays and absent among objects, so that none is taken for a measurement."""
    former, each = Former(Form.JSON, envelope=False), Former(Form.JSON_SAMPLES, envelope=False)
    raw = device.data({"ecg_lead_i": [5, 6, 7, 8]}, marks=[(0, Mark.LEAD_OFF, 1, 2)])
    for one in (former, each):
        told(one, device, device.descriptor())
    (reading,) = told(former, device, raw)["readings"]
    assert [value is None for value in reading["ecg_lead_i"]] == [False, True, True, False]
    assert reading["marks"] == [["lead_off", 1, 2]]
    first, last = told(each, device, raw)["readings"]
    assert first["ecg_lead_i"] == reading["ecg_lead_i"][0]
    assert last["time"] == iso(UTC_US + device.ticks)
    assert first["time"] == iso(UTC_US + device.ticks - 3 * 1_000_000 // 256)


def test_events_counters_and_descriptors_have_words(device: FakeDevice) -> None:
    """Every kind of frame has its JSON, with names instead of numbers, and unknown numbers kept."""
    former = Former(Form.JSON, envelope=False)
    description = told(former, device, device.descriptor())
    assert description["channels"][0]["name"] == "ecg_lead_i"
    boot = told(former, device, device.reboot(burn=2))["events"]
    assert boot[0]["event"] == "boot"
    assert boot[0]["cause"] == 1
    assert len(bytes.fromhex(boot[0]["digest"])) == 16
    strange = told(former, device, device.events((200, {EventKey.MILLIVOLT: 3700, 99: {2: b"\3"}}), (Event.BUTTON, {})))
    assert strange["events"][0] | {"time": 0} == {
        "event": "200",
        "time": 0,
        "millivolt": 3700,
        "99": {"2": "03"},
    }
    status = told(former, device, device.status({Counter.FRAMES: 7, 240: 1}))
    assert status["counters"] == {"frames": 7, "240": 1}


def test_a_frame_without_its_descriptor_goes_out_as_it_is(device: FakeDevice) -> None:
    """Not knowing what the channels mean loses nothing: the frame itself is sent until the descriptor is found."""
    raw = device.sampled()
    entry = entry_of(device, raw)
    unknown = Former(Form.JSON)(entry)
    assert isinstance(unknown, Message)
    assert (unknown.body, unknown.content_type[:16]) == (raw, "application/cose")
    asked: list[bytes] = []
    body = parse(device.descriptor()).body
    former = Former(Form.JSON, find=lambda digest: asked.append(digest) or body)  # type: ignore[func-returns-value]
    assert told(former, device, raw)["Body"]["readings"]
    assert told(former, device, device.sampled())["Body"]["readings"]
    assert asked == [parse(raw).descriptor]


def test_what_is_private_stays_so() -> None:
    """A frame whose samples are encrypted is never told as one without any: it goes out as it is."""
    device = FakeDevice("bed-4", policy=Policy.PRIVATE)
    former = Former(Form.JSON)
    told(former, device, device.descriptor())
    raw = device.sampled()
    message = former(entry_of(device, raw))
    assert isinstance(message, Message)
    assert message.body == raw


def test_a_frame_under_a_mac_says_so() -> None:
    """Between seals a frame is a COSE_Mac0, and its media type is that."""
    device = FakeDevice("bed-4", policy=Policy.SEAL)
    types = []
    for raw in (device.descriptor(), device.sampled(), device.sampled()):
        message = Former(Form.FRAME)(entry_of(device, raw))
        assert isinstance(message, Message)
        types.append(message.content_type)
    assert 'application/cose; cose-type="cose-mac0"' in types


def test_what_does_not_decode_goes_out_as_it_is(device: FakeDevice) -> None:
    """A signed frame whose blocks are not of its descriptor, or that is no frame, is passed on and nothing raised."""
    former = Former(Form.JSON)
    told(former, device, device.descriptor())
    other = FakeDevice("bed-5", channels=device.channels[:1])
    former(entry_of(other, other.descriptor()))
    wrong = device.make(2, {9: b"\xff\xff\xff"})
    message = former(entry_of(device, wrong))
    assert isinstance(message, Message)
    assert message.body == wrong


def test_json_of_too_many_samples_is_refused() -> None:
    """A few bytes that stand for a flood of samples are rejected with the reason, not spelt out."""
    channels = tuple(
        Channel(n, f"c{n}", None, "1", "none", 0, Fraction(100), 16, Decimal10(1, 0), Decimal10(0, 0)) for n in range(4)
    )
    device = FakeDevice("flood", channels=channels)
    former = Former(Form.JSON)
    former(entry_of(device, device.descriptor()))
    zeros = np.zeros(MAX_SAMPLES // 4, int)
    assert isinstance(former(entry_of(device, device.data({c.name: zeros for c in channels}))), Message)
    more = device.data({c.name: np.zeros(len(zeros) + 1, int) for c in channels})
    assert len(more) < 1000
    refused = former(entry_of(device, more, position=9))
    assert isinstance(refused, Rejected)
    assert refused.position == 9
    assert "samples" in refused.why


def test_unknown_time_is_not_made_up(device: FakeDevice) -> None:
    """Without a clock fit there is no creation time, and readings have null; a year that cannot be is none either."""
    former = Former(Form.JSON)
    former(entry_of(device, device.descriptor()))
    message = former(without_time(entry_of(device, device.sampled())))
    assert isinstance(message, Message)
    event = json.loads(message.body)
    assert "iothub-creation-time-utc" not in message.properties
    assert {each["time"] for each in event["Body"]["readings"]} == {None}
    assert iso(1 << 62) is None
