"""What `board doctor` says of links: the first thing that keeps a board from its peer, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.papers import Authority

from vitalwire import crypto
from vitalwire_tools.provision import new_identity
from vitalwire_tools.reach import reached

IDENTITY, OTHER = new_identity("bed-4"), new_identity("bed-5")


@pytest.mark.parametrize(
    ("change", "days", "ok", "words"),
    [
        ({}, 365, True, "connected, each side proven"),
        ({}, 7, False, "certificate ends"),
        ({}, -1, False, "certificate ended"),
        ({"certificate": ""}, 365, False, "no certificate"),
        ({"authority": ""}, 365, False, "no authority"),
        ({"certificate": "00"}, 365, False, "damaged"),
        ({"network": False, "online": False, "up": False}, 365, False, "knows no network"),
        ({"online": False, "up": False}, 365, False, "does not get into its network"),
        ({"up": False, "date": 0}, 365, False, "no date"),
        ({"up": False, "why": "host: 111"}, 365, False, "not connected: host: 111"),
        ({"up": False}, 365, False, "no answer"),
    ],
)
def test_the_first_thing_that_is_wrong_is_said(
    tmp_path: Path, change: dict[str, Any], days: int, ok: bool, words: str
) -> None:
    """Papers before network, network before date, date before the peer."""
    made = Authority(tmp_path).device(IDENTITY, days=days)
    said = {
        "certificate": made["client.der"].hex(), "authority": made["ca.der"].hex(), "network": True, "online": True,
        "date": 1_800_000_000, "up": True, "why": "",
    }  # fmt: skip
    found = reached(said | change, crypto.thumbprint(IDENTITY.public_key).hex())
    assert found[0] is ok
    assert words in found[1]


def test_a_certificate_for_another_key_is_found(tmp_path: Path) -> None:
    """A certificate that was made for another board's key proves nothing of this one."""
    made = Authority(tmp_path).device(OTHER)
    said = {"certificate": made["client.der"].hex(), "authority": "00", "network": True, "online": True, "up": True}
    ok, words = reached(said, crypto.thumbprint(IDENTITY.public_key).hex())
    assert not ok
    assert "another key" in words
