"""What Azure IoT Hub's MQTT topics say: names from values and values from names; sends nothing."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urlencode

from ..forms import JSON_TYPE, Message

MAX_MESSAGE = 256 * 1024  # bytes of body and properties
API_VERSION = "2021-04-12"
METHODS = "$iothub/methods/POST/#"
DESIRED = "$iothub/twin/PATCH/properties/desired/#"
TWIN_ANSWERS = "$iothub/twin/res/#"
DEVICE = re.compile(r"[A-Za-z0-9\-.%_*?!(),:=@$']{1,128}")  # the hub's own characters but + and #, which MQTT keeps

_METHOD = re.compile(r"\$iothub/methods/POST/([^/]+)/\?\$rid=(.+)")
_DESIRED = re.compile(r"\$iothub/twin/PATCH/properties/desired/")
_TWIN_ANSWER = re.compile(r"\$iothub/twin/res/(\d+)/\?\$rid=([^&]+)")


class Method(NamedTuple):
    """A direct method's name, and what its answer goes by."""

    name: str
    request: str


class TwinAnswer(NamedTuple):
    """How a request about the twin ended."""

    status: int
    request: str


def username(host: str, device: str) -> str:
    """Return the name a device connects with."""
    return f"{host}/{device}/?api-version={API_VERSION}"


def telemetry(device: str, message: Message) -> str:
    """Return the topic of a message, which carries its properties: the system's first, the others by name."""
    system = [("$.mid", message.properties["digest"])]
    if message.content_type == JSON_TYPE:
        # Routing by the body needs both, and asks for the character set where MQTT is spoken.
        system += [("$.ct", f"{JSON_TYPE};charset=utf-8"), ("$.ce", "utf-8")]
    else:
        system.append(("$.ct", message.content_type))
    properties = urlencode([*system, *sorted(message.properties.items())], quote_via=quote)
    return f"devices/{device}/messages/events/{properties}"


def method(topic: str) -> Method | None:
    """Return the direct method that a topic calls."""
    found = _METHOD.fullmatch(topic)
    return Method(unquote(found[1]), found[2]) if found else None


def method_answer(status: int, request: str) -> str:
    """Return where a direct method is answered."""
    return f"$iothub/methods/res/{status}/?$rid={request}"


def is_desired(topic: str) -> bool:
    """Return whether a topic brings changed desired properties."""
    return _DESIRED.match(topic) is not None


def twin_answer(topic: str) -> TwinAnswer | None:
    """Return which request about the twin a topic answers."""
    found = _TWIN_ANSWER.match(topic)
    return TwinAnswer(int(found[1]), found[2]) if found else None


def get_twin(request: str) -> str:
    """Return where the twin is asked for."""
    return f"$iothub/twin/GET/?$rid={request}"


def report(request: str) -> str:
    """Return where reported properties go."""
    return f"$iothub/twin/PATCH/properties/reported/?$rid={request}"
