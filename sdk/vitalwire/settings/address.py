"""host:port as a value of the configuration."""

from __future__ import annotations

import ipaddress
from typing import Any, NamedTuple

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Address(NamedTuple):
    """A host, by name or number (`[::1]` in brackets), and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this computer can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `host:port`; raises ValueError."""
        host, _, port = text.rpartition(":")
        if not host or not (port.isdecimal() and int(port) < 1 << 16):
            raise ValueError("must be host:port")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema())
