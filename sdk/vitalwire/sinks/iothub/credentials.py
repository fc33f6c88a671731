"""How one device proves who it is to a hub: a token that expires, or its own certificate. Read anew at each use."""

from __future__ import annotations

import math
import ssl
from pathlib import Path
from typing import Protocol

from vitalwire.settings import Secret, Tls

from . import sas
from .settings import Settings


class Credential(Protocol):
    """What a connection needs to know."""

    def tls(self) -> ssl.SSLContext:
        """Return the context to connect with. Raises UsageError for files that cannot be used."""
        ...

    def password(self, resource: str, expires: float, policy: str = "") -> str | None:
        """Return the token for a resource, or None where the certificate is enough. Raises UsageError."""
        ...


class Key:
    """A symmetric key, in a file of its own or derived from the group's."""

    def __init__(self, device: str, secret: Secret, tls: Tls, *, group: bool) -> None:
        self._device = device
        self._secret = secret
        self._tls = tls
        self._group = group

    def tls(self) -> ssl.SSLContext:
        """Return the context to connect with."""
        return self._tls.context()

    def password(self, resource: str, expires: float, policy: str = "") -> str | None:
        """Return the token."""
        key = self._secret.read()
        return sas.token(resource, sas.derived(key, self._device) if self._group else key, math.ceil(expires), policy)


class Certificate:
    """A certificate and its key."""

    def __init__(self, device: str, folder: Path, tls: Tls) -> None:
        self._tls = tls.model_copy(update={"certificate": folder / f"{device}.pem", "key": folder / f"{device}.key"})

    def tls(self) -> ssl.SSLContext:
        """Return the context to connect with."""
        return self._tls.context()

    def password(self, resource: str, expires: float, policy: str = "") -> str | None:
        """Return None."""
        return None


def credential(settings: Settings, device: str) -> Credential:
    """Return how this device proves who it is."""
    if settings.certificates is not None:
        return Certificate(device, settings.certificates, settings.tls)
    if settings.group_key is not None:
        return Key(device, settings.group_key, settings.tls, group=True)
    assert settings.keys is not None
    return Key(device, Secret(file=settings.keys / device), settings.tls, group=False)
