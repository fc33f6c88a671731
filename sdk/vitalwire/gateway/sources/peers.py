"""Who is at the other end of a connection, by what was proven of it."""

from __future__ import annotations

from collections.abc import Mapping


def common_name(certificate: Mapping[str, object] | None) -> str | None:
    """Return the common name of a certificate that was verified, as `ssl.SSLSocket.getpeercert` tells it."""
    subject = (certificate or {}).get("subject", ())
    assert isinstance(subject, tuple)
    for part in subject:
        for key, value in part:
            if key == "commonName":
                return str(value)
    return None if certificate is None or not certificate else ""
