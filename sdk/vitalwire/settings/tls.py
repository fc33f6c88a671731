"""TLS contexts from certificates in files: version 1.2 or newer, peers always verified, mutual where asked for."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

from cryptography import x509
from pydantic import model_validator

from vitalwire.errors import UsageError

from .model import Existing, Settings
from .secret import Secret

T = TypeVar("T")


class Tls(Settings):
    """How a peer is trusted and how it shall trust us; the system's authorities where no `ca` is given."""

    ca: Existing | None = None
    certificate: Existing | None = None  # ours, with its chain
    key: Existing | None = None
    password: Secret | None = None  # of the key

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key are given together")
        return self

    def context(self) -> ssl.SSLContext:
        """Return a client's context with the files as they are now. Raises UsageError if they cannot be used."""
        context = _guarded(self, lambda: ssl.create_default_context(cafile=self.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load(self, context)
        return context


class ServerTls(Tls):
    """The same for a server; with `ca`, only peers with a certificate of that authority are let in."""

    certificate: Existing
    key: Existing

    def context(self) -> ssl.SSLContext:
        """Return a server's context with the files as they are now. Raises UsageError if they cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _load(self, context)
        if self.ca is not None:
            _guarded(self, lambda: context.load_verify_locations(self.ca))
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _load(tls: Tls, context: ssl.SSLContext) -> None:
    if tls.certificate is not None and tls.key is not None:
        certificate, key = tls.certificate, tls.key
        # Without a password OpenSSL would ask for one at the terminal.
        password = tls.password.read if tls.password is not None else str
        _guarded(tls, lambda: context.load_cert_chain(certificate, key, password))
        _check_dates(certificate)


def _check_dates(certificate: Path) -> None:
    """Say here that ours is over: a peer would only close the connection, if it says anything at all."""
    found, now = x509.load_pem_x509_certificate(certificate.read_bytes()), datetime.now(UTC)
    if now > found.not_valid_after_utc:
        raise UsageError(f"{certificate} expired on {found.not_valid_after_utc:%Y-%m-%d}", advice="replace the file")
    if now < found.not_valid_before_utc:
        begins = f"{found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise UsageError(f"{certificate} is not valid before {begins}", advice="is this computer's clock right?")


def _guarded(tls: Tls, load: Callable[[], T]) -> T:
    try:
        return load()
    except OSError as error:  # ssl's errors are some of these
        files = ", ".join(str(path) for path in (tls.ca, tls.certificate, tls.key) if path is not None)
        raise UsageError(f"cannot use the certificates {files}: {error.strerror or error}") from None
