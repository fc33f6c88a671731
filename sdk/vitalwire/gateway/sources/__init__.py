"""Where frames come from: one file a kind. A source moves bytes between its peers and the intake, and judges nothing.

To add one: a file with a model `Settings` (a `SourceSettings` whose `kind` is a Literal) and
`from_settings(Settings) -> Source`, and a line in KINDS.
"""

from __future__ import annotations

from vitalwire.settings import Kind, Kinds

from .door import Door, Source, SourceSettings

__all__ = ["KINDS", "Door", "Source", "SourceSettings", "make"]

KINDS = Kinds(
    "source",
    {
        "serial": Kind("vitalwire.gateway.sources.serial", "serial"),
        "ble": Kind("vitalwire.gateway.sources.ble", "ble"),
        "tcp": Kind("vitalwire.gateway.sources.tcp", "gateway"),
        "listen": Kind("vitalwire.gateway.sources.listen", "gateway"),
        "http": Kind("vitalwire.gateway.sources.http", "http"),
        "mqtt": Kind("vitalwire.gateway.sources.mqtt", "mqtt"),
        "replay": Kind("vitalwire.gateway.sources.replay", "gateway"),
    },
)


def make(settings: SourceSettings) -> Source:
    """Return the source of these settings."""
    source: Source = KINDS.module(settings.kind).from_settings(settings)
    return source
