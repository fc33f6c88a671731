"""What a board says of a link that connects out, in plain words: the first thing that keeps it from its peer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509

from vitalwire import crypto

SOON = timedelta(days=30)
EARLIEST = 1_735_689_600  # 2025-01-01: a board that says less has no date


def reached(said: Mapping[str, Any], thumbprint: str) -> tuple[bool, str]:
    """Return whether all is well with a link, and the words; `thumbprint` is of the board's key."""
    if not said["certificate"] or not said["authority"]:
        missing = "certificate" if not said["certificate"] else "authority to believe"
        return False, f"the board has no {missing}: `vitalwire board provision --link` puts it there"
    try:
        certificate = x509.load_der_x509_certificate(bytes.fromhex(said["certificate"]))
        key = certificate.public_key()
    except ValueError:
        return False, "the board's certificate is damaged: provision it again"
    if not isinstance(key, crypto.PublicKey) or crypto.thumbprint(crypto.public_point(key)).hex() != thumbprint:
        return False, "the board's certificate is for another key: provision it again"
    end = certificate.not_valid_after_utc
    if end < datetime.now(UTC):
        return False, f"the board's certificate ended {end:%Y-%m-%d}: provision it again"
    if not said["network"]:
        return False, "the board knows no network: `vitalwire board provision --wifi` tells it"
    if not said["online"]:
        return False, "the board does not get into its network: is it in the air, is the password right?"
    if said["up"]:
        if end - datetime.now(UTC) < SOON:
            return False, f"connected, each side proven; but the board's certificate ends {end:%Y-%m-%d}"
        return True, "connected, each side proven"
    if said["date"] < EARLIEST:
        return False, "the board has no date to judge certificates by: does its `ntp` server answer?"
    return False, f"not connected: {said['why'] or 'no answer'}"
