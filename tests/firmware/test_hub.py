"""The stream to an IoT hub under MicroPython: what it makes of a twin and of methods, and that no answer does harm."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.firmware.desk import Run
from tests.firmware.test_mqtts import CONNACK, BrokerDesk, fields, published

from vitalwire import cbor
from vitalwire_protocol.spec import ReportedKey, Result, Setting

SUBACK = b"\x90\x06\0\x01\x01\x01\x01\x01"
GET = "$iothub/twin/GET/?$rid=g"
REPORTED = "$iothub/twin/PATCH/properties/reported/?$rid=r"
ANSWER = "$iothub/twin/res/200/?$rid=g"
PATCH = "$iothub/twin/PATCH/properties/desired/?$version=6"
DOCUMENT = bytes(range(1, 201))

# What a Hub knows of its board, and a board that takes what it is given with a result.
BOARD = """
class Recorder:
    step = None
class App:
    recorder = Recorder()
    taken = []
    reported = bytes.fromhex("{before}")
class Twin:
    def take(self, app, document, now):
        app.taken.append(document.hex())
        app.reported = bytes.fromhex("{after}")
        app.recorder.step = None
sys.modules["twin"] = Twin()
app = stream.app = App()
for _ in range(3):
    work(lambda: False, 100)
    if app.recorder.step:
        app.recorder.step(0)
work(lambda: False, 200)
say(app.taken, stream.why, came.hex())
"""


def reported(outcome: Result | None = None, setting: int = 0) -> bytes:
    """Return what a board reports, after a configuration was looked at if an outcome is given."""
    said: dict[int, Any] = {
        ReportedKey.IN_FORCE: 3,
        ReportedKey.NEWEST: 4,
        ReportedKey.SETTINGS: {Setting.STATUS_S: 60, Setting.WHEN_FULL: 2},
    }
    if outcome is not None:
        said |= {ReportedKey.OUTCOME: outcome, ReportedKey.SETTING: setting}
    return cbor.encode(said)


def message(topic: str, body: bytes) -> bytes:
    """Return a message of quality of service 0."""
    data = len(topic).to_bytes(2) + topic.encode() + body
    n, length = len(data), b""
    while n > 127:
        length += bytes([n & 127 | 128])
        n >>= 7
    return b"\x30" + length + bytes([n]) + data


def twin(desired: object, **more: object) -> bytes:
    """Return a hub's answer to who asks for the twin."""
    return message(ANSWER, json.dumps({"desired": desired, "reported": {"$version": 9}, **more}).encode())


def document(data: bytes = DOCUMENT, version: int = 5) -> dict[str, object]:
    """Return desired properties with a configuration."""
    return {"configuration": base64.b64encode(data).decode(), "$version": version}


@pytest.fixture
def desk(tmp_path: Path, micropython: Run) -> BrokerDesk:
    """A desk of the test's own."""
    return BrokerDesk(tmp_path, "hub", micropython)


def meet(
    desk: BrokerDesk, *answers: bytes, result: Result = Result.OK, setting: int = 0
) -> tuple[list[object], list[tuple[str, bytes]]]:
    """Return what the board was given, why the connection ended and what came for it; and what it published."""
    script = BOARD.format(before=reported().hex(), after=reported(result, setting).hex())
    told, broker = desk.speak(script, CONNACK, SUBACK, *answers)
    return told, [published(data)[:2] for data in broker.got[2:]]


def acknowledged(published: list[tuple[str, bytes]]) -> Any:
    """Return what was reported last of the configuration."""
    return [json.loads(body) for topic, body in published if topic == REPORTED][-1].get("configuration")


def test_it_asks_for_its_twin_and_says_what_is_in_force(desk: BrokerDesk) -> None:
    """It subscribes to the hub's topics as well, asks for the twin, and reports versions and settings in words."""
    script = BOARD.format(before=reported().hex(), after="")
    told, broker = desk.speak(script, CONNACK, SUBACK, twin({"$version": 1}))
    assert told == [[], "", ""]
    kind, body = fields(broker.got[1])
    assert (kind, body.count(b"$iothub/methods/POST/#\1"), body.count(b"$iothub/twin/")) == (0x82, 1, 2)
    sent = [published(data) for data in broker.got[2:]]
    assert sent[0] == (GET, b"", b"")
    assert sent[-1][0] == REPORTED
    settings = {"status_s": 60, "when_full": "stop"}
    assert json.loads(sent[-1][1]) == {"inForce": 3, "lastTaken": 4, "settings": settings}


@pytest.mark.parametrize("way", ["when it asks", "when it changes"])
def test_what_an_operator_signed_is_taken(desk: BrokerDesk, way: str) -> None:
    """A configuration reaches the board byte for byte, once, and the hub hears how it ended for which version."""
    desired = document(version=6)
    changed = message(PATCH, json.dumps(desired).encode())
    answers = (twin(desired), changed) if way == "when it asks" else (twin({"$version": 5}), changed)
    told, sent = meet(desk, *answers)
    assert told == [[DOCUMENT.hex()], "", ""]
    assert acknowledged(sent) == {"ac": 200, "av": 6, "ad": ""}


REFUSALS = [
    (Result.NOT_PROVISIONED, 0, 403, "no operator's key"),
    (Result.CONFIGURATION_FORGED, 0, 403, "not signed"),
    (Result.CONFIGURATION_FOREIGN, 0, 403, "another device"),
    (Result.CONFIGURATION_OLD, 0, 409, "no newer"),
    (Result.CONFIGURATION_UNKNOWN, 99, 400, "no such setting: 99"),
    (Result.CONFIGURATION_RANGE, Setting.STATUS_S, 400, ": status_s"),
    (Result.CONFIGURATION_FAILED, 0, 507, "no room"),
]


def test_every_refusal_has_words() -> None:
    """No result that a configuration may end with is missing above, and so in what the hub is told."""
    named = {result for result in Result if result.name.startswith("CONFIGURATION")} | {Result.NOT_PROVISIONED}
    assert {row[0] for row in REFUSALS} == named


@pytest.mark.parametrize(("result", "setting", "status", "words"), REFUSALS)
def test_a_refusal_is_told(desk: BrokerDesk, result: Result, setting: int, status: int, words: str) -> None:
    """What the board refuses is reported with the reason."""
    told, sent = meet(desk, twin(document()), result=result, setting=setting)
    assert told == [[DOCUMENT.hex()], "", ""]
    said = acknowledged(sent)
    assert (said["ac"], said["av"]) == (status, 5)
    assert words in said["ad"]


WRONG: dict[str, tuple[bytes, int]] = {
    "no text": (twin({"configuration": 7, "$version": 5}), 400),
    "no base64": (twin({"configuration": "a", "$version": 5}), 400),
    "nothing": (twin({"configuration": "", "$version": 5}), 400),
    "longer than any": (twin(document(b"x" * 513)), 400),
    "a twin that is too long": (twin(document(), reported={"x": "y" * 60_000}), 413),
    "no JSON": (message(ANSWER, b"{"), 400),
    "a list": (message(ANSWER, b"[]"), 400),
    "desired that are none": (twin([1]), 400),
    "deep": (message(PATCH, b"[" * 4000), 400),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_configuration_changes_nothing(desk: BrokerDesk, what: str) -> None:
    """It never reaches the board, and the hub is told; the connection stays."""
    answer, status = WRONG[what]
    told, sent = meet(desk, answer)
    assert told == [[], "", ""]
    assert acknowledged(sent)["ac"] == status


def test_what_others_desire_is_left_alone(desk: BrokerDesk) -> None:
    """Properties that are not ours, answers to nothing and topics that nobody knows change nothing, and say nothing."""
    told, sent = meet(
        desk,
        twin({"fan": {"speed": 3}, "$version": 2}) + message("$iothub/twin/res/204/?$rid=r&$version=3", b"")
        + message("$iothub/new/things", b"{}") + message("$iothub/methods/POST/" + "x" * 300 + "/?$rid=1", b"{}")
        + message("$iothub/methods/POST/no id/", b""),
    )  # fmt: skip
    assert told == [[], "", ""]
    assert acknowledged(sent) is None


def test_a_hub_alone_commands_nothing(desk: BrokerDesk) -> None:
    """Each direct method is answered with a refusal, by its own id; of many at once no more than a few wait."""
    asked = [message(f"$iothub/methods/POST/reboot/?$rid={n}", b"{}") for n in range(20)]
    told, sent = meet(desk, twin({"$version": 1}), b"".join(asked))
    assert told == [[], "", ""]
    answers = [(topic, body) for topic, body in sent if "methods" in topic]
    assert answers[0][0] == "$iothub/methods/res/501/?$rid=0"
    assert all("secret" in json.loads(body)["error"] for _, body in answers)


def test_a_twin_that_is_not_given_is_asked_for_again(desk: BrokerDesk) -> None:
    """A hub that is busy is asked again after a minute."""
    time = "".join(f"later = {s} * 1000000\nwork(lambda: False, 100)\n" for s in (20, 40, 61))
    script = BOARD.format(before=reported().hex(), after="").replace("say(", f"{time}say(", 1)
    busy = message("$iothub/twin/res/429/?$rid=g", b"")
    told, broker = desk.speak(script, CONNACK, SUBACK, busy, *[b"\xd0\0"] * 6)
    assert told == [[], "", ""]
    assert [published(data)[0] for data in broker.got[2:] if data[0] == 0x30].count(GET) == 2


def test_what_is_for_the_device_passes(desk: BrokerDesk) -> None:
    """Messages to the device are the stream's, whatever else the hub sends between them."""
    down = message("devices/s/messages/devicebound/" + "x" * 300, b"one")
    told, _ = meet(desk, down + twin({"$version": 1}) + message("devices/s/messages/devicebound/", b"two"))
    assert told == [[], "", b"onetwo".hex()]


def test_without_room_it_asks_again_later(desk: BrokerDesk) -> None:
    """A heap that is full for a moment ends nothing: what could not be looked at or told waits for another minute."""
    script = "def full(*_):\n    raise MemoryError\nstream._look = stream._report = full\n" + BOARD.format(
        before=reported().hex(), after=""
    ).replace("say(", "again = stream._again\nsay(again > 0, ")
    told, _ = desk.speak(script, CONNACK, SUBACK, twin(document()))
    assert told == [True, [], "", ""]
