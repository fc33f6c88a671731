"""The tables of gateway.toml that concern its operator: `[status]`, `[audit]`, `[objectives]`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from vitalwire import paths
from vitalwire.settings import Address, Existing, Secret, ServerTls, Settings


class StatusSettings(Settings):
    """The web server with the page, /metrics, /healthz and /readyz; health needs no token."""

    listen: str = "127.0.0.1:9464"  # host:port; port 0: any that is free; "off": none
    token: Secret | None = None  # by default one that is made at each start and put beside the registry
    open: bool = False  # no token at all
    tls: ServerTls | None = None
    plain: bool = False  # without tls where others reach it, for instance behind a proxy that brings its own

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        try:
            address = Address.parse(self.listen)
        except ValueError:
            return self  # "off", or none: told when it is to be listened at
        if self.tls is None and not self.plain and not address.is_local:
            raise ValueError("others reach this address: it wants tls, or plain = true must be said")
        return self


class AuditSettings(Settings):
    """Where security events are written down; see `vitalwire audit`."""

    file: Existing = Field(default_factory=paths.audit_file)
    key: Existing | None = None  # signs the log's head, which goes to `head`
    head: Existing | None = None
    every: float = Field(300.0, gt=0)  # seconds between signed heads, where there is something new


class ObjectiveSettings(Settings):
    """What is promised, over the last `days`; `file` keeps hourly counts."""

    file: Existing | None = None  # by default beside the spool
    days: int = Field(30, ge=1, le=366)
    latency_s: float = Field(60.0, gt=0)  # from a frame's newest sample to its acknowledgement by a sink
    in_time: float = Field(0.99, gt=0, lt=1)  # of all frames
    not_lost: float = Field(0.9999, gt=0, lt=1)
    verified: float = Field(0.999, gt=0, lt=1)
