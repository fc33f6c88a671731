"""How a hub, its provisioning service and the devices' credentials are configured."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vitalwire import settings as base
from vitalwire.settings import Existing, Secret, Tls

from ..settings import SinkSettings

Port = Annotated[int, Field(ge=1, le=65535)]


class Provisioning(base.Settings):
    """The device provisioning service, which says for each device which hub is its own."""

    id_scope: Annotated[str, Field(min_length=1, pattern=r"^[^/+#\s]+$")]
    host: str = "global.azure-devices-provisioning.net"
    port: Port = 8883


class Settings(SinkSettings):
    """One of `host` and `provisioning`, and one of the credentials; devices are called as in the registry."""

    kind: Literal["iothub"]
    host: str | None = None
    port: Port = 8883
    provisioning: Provisioning | None = None
    group_key: Secret | None = None  # of an enrolment group (base64): each device's key is derived from it
    keys: Existing | None = None  # a folder; the file DEVICE holds that device's key (base64)
    certificates: Existing | None = None  # a folder; DEVICE.pem and DEVICE.key are that device's
    tls: Tls = Tls()  # `ca` only: what the hub's certificate is signed by
    commands: bool = False  # whether direct methods and desired properties may command the devices
    token_seconds: Annotated[float, Field(ge=1, le=86400)] = 3600.0  # renewed when a fifth of it is left
    connections: Annotated[int, Field(ge=1, le=10000)] = 1000  # those used longest ago are closed
    seconds: Annotated[float, Field(gt=0)] = 10.0  # to connect, to wait for an acknowledgement

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.host is None) == (self.provisioning is None):
            raise ValueError("one of host and provisioning")
        if sum(each is not None for each in (self.group_key, self.keys, self.certificates)) != 1:
            raise ValueError("one of group_key, keys and certificates")
        if self.tls.certificate is not None:
            raise ValueError("tls has no certificate here: certificates names the folder of the devices'")
        return self
