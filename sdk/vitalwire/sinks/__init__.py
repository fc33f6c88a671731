"""Where the gateway delivers to: one file a kind of peer, each an extra; a sink knows entries and its peer only.

To add one: a file with a model `Settings` (a `SinkSettings` whose `kind` is a Literal) and
`from_settings(Settings, FindDescriptor) -> Sink`, and a line in KINDS.
"""

from __future__ import annotations

from vitalwire.settings import Kind, Kinds

from .control import Asked, Control, Controlling
from .descriptors import FindDescriptor
from .forms import Form
from .settings import SinkSettings
from .sink import Keeping, Rejected, Sink

__all__ = [
    "KINDS",
    "Asked",
    "Control",
    "Controlling",
    "FindDescriptor",
    "Form",
    "Keeping",
    "Rejected",
    "Sink",
    "SinkSettings",
    "make",
]

KINDS = Kinds(
    "sink",
    {
        "fhir": Kind("vitalwire.sinks.fhir", "fhir"),
        "http": Kind("vitalwire.sinks.http", "http"),
        "iothub": Kind("vitalwire.sinks.iothub", "iothub"),
        "kafka": Kind("vitalwire.sinks.kafka", "kafka"),
        "mqtt": Kind("vitalwire.sinks.mqtt", "mqtt"),
        "nats": Kind("vitalwire.sinks.nats", "nats"),
        "parquet": Kind("vitalwire.sinks.parquet", "parquet"),
        "postgres": Kind("vitalwire.sinks.postgres", "postgres"),
    },
)


def make(settings: SinkSettings, find: FindDescriptor) -> Sink:
    """Return the sink of these settings, not yet open; `find` knows descriptors that came long before."""
    sink: Sink = KINDS.module(settings.kind).from_settings(settings, find)
    return sink
