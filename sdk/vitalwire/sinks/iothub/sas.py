"""Shared access signatures of Azure IoT: pure text from keys and times, kept nowhere."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from urllib.parse import quote

from vitalwire.errors import UsageError


def token(resource: str, key: str, expires: int, policy: str = "") -> str:
    """Return the password for a resource until `expires` (seconds since 1970); `key` is base64.

    Raises UsageError for a key that is not.
    """
    encoded = quote(resource, safe="")
    signature = quote(_sign(key, f"{encoded}\n{expires}"), safe="")
    return f"SharedAccessSignature sr={encoded}&sig={signature}&se={expires}{f'&skn={policy}' if policy else ''}"


def derived(group_key: str, device: str) -> str:
    """Return the key of one device in an enrolment group, base64."""
    return _sign(group_key, device)


def _sign(key: str, text: str) -> str:
    try:
        secret = base64.b64decode(key, validate=True)
    except binascii.Error:
        raise UsageError("a symmetric key is base64") from None
    return base64.b64encode(hmac.new(secret, text.encode(), hashlib.sha256).digest()).decode()
