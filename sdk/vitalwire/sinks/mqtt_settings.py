"""How an MQTT broker is reached, whatever for."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vitalwire.settings import Secret, Settings, Tls


class BrokerSettings(Settings):
    """`client` is the client id, which a broker may bind to us; `tls = false` only where nobody else can listen."""

    host: str
    port: int = Field(8883, ge=1, le=65535)
    tls: Tls | Literal[False] = Tls()
    version: Literal["5", "3.1.1"] = "5"
    client: str = ""
    user: str | None = None
    password: Secret | None = None
    window: int = Field(128, ge=1, le=65535)  # messages under way at a time
