"""`vitalwire device`: whom to trust, shown before it is trusted."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakeboard import Board
from tests.sdk.cli.running import SECRET, Run, steady

from vitalwire import crypto
from vitalwire.capture import Writer
from vitalwire.registry import Registry
from vitalwire.testing import FakeDevice

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The inplace keyword")


def test_devices_come_and_go(vitalwire: Callable[..., Run]) -> None:
    """Enrolled by fingerprint in any spelling, listed, revoked for good; the secret is never shown."""
    thumbprint = bytes(range(100, 132))
    spelled = ":".join(f"{byte:02X}" for byte in thumbprint)
    Path("secret").write_text(SECRET.hex() + "\n")
    done = vitalwire("device", "enrol", spelled, "--name", "wrist", "--secret-file", "secret")
    assert done.code == 0
    (listed,) = vitalwire("device", "list", "--json").json
    assert (listed["name"], listed["fingerprint"], listed["secret"], listed["revoked"]) == (
        "wrist", thumbprint.hex(), True, None,
    )  # fmt: skip
    shown = vitalwire("device", "list")
    assert thumbprint.hex() in shown.out
    assert SECRET.hex() not in shown.out + done.out + done.err
    typed = vitalwire("device", "passkey", "wrist").out
    assert typed == f"{crypto.passkey(SECRET, thumbprint):06}\n"
    assert vitalwire("device", "revoke", "wrist", "--yes").code == 0
    assert vitalwire("device", "passkey", "wrist").code == 2  # the secret is forgotten
    assert vitalwire("device", "list", "--json").json[0]["revoked"] is not None
    again = vitalwire("device", "enrol", spelled, "--name", "wrist")
    assert (again.code, "revoked" in again.err) == (4, True)


def test_a_secret_may_come_on_stdin(vitalwire: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """32 raw bytes on stdin are stored as the device's secret."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SECRET)))
    assert vitalwire("device", "enrol", "11" * 32, "--secret-file", "-", "--registry", "r.db").code == 0
    with Registry("r.db") as registry:
        assert registry.secret(b"\x11" * 32) == SECRET


def test_enrol_from_a_capture_shows_what_it_trusts(vitalwire: Callable[..., Run]) -> None:
    """The fingerprint, name and channels are shown before anything is trusted; another fingerprint is refused."""
    device = steady(Path("a.vwc"), name="wrist")
    refused = vitalwire("device", "enrol", "--from", "a.vwc")
    grouped = " ".join(re.findall("." * 8, device.thumbprint.hex()))
    assert refused.code == 2
    assert all(word in refused.err for word in (grouped, "wrist", "ecg_lead_i"))
    assert vitalwire("device", "list", "--json").json == []
    other = vitalwire("device", "enrol", "00" * 32, "--from", "a.vwc")
    assert (other.code, "another device" in other.err) == (2, True)
    assert vitalwire("device", "enrol", device.thumbprint.hex(), "--from", "a.vwc").code == 0
    assert vitalwire("verify", "a.vwc").code == 0


def test_enrol_from_a_capture_of_two_needs_a_choice(vitalwire: Callable[..., Run]) -> None:
    """A capture of two devices enrols none of them until a fingerprint says which."""
    devices = [FakeDevice(name) for name in ("left", "right")]
    with Writer("two.vwc") as writer:
        for device in devices:
            writer.write(device.descriptor())
    refused = vitalwire("device", "enrol", "--from", "two.vwc", "--yes")
    assert refused.code == 2
    assert all(device.thumbprint.hex() in refused.err for device in devices)


def test_enrol_from_a_board(board: Board, vitalwire: Callable[..., Run]) -> None:
    """A board is asked who it is, shown and trusted; nothing it holds is acknowledged by that."""
    held = dict(board.journal)
    done = vitalwire("device", "enrol", "--from", board.url, "--yes")
    assert done.code == 0
    assert board.journal == held
    (listed,) = vitalwire("device", "list", "--json").json
    assert (listed["name"], listed["fingerprint"]) == ("fake", board.device.thumbprint.hex())


def test_enrol_from_a_liar(vitalwire: Callable[..., Run]) -> None:
    """A descriptor under another key's signature is not even shown."""
    from vitalwire.testing import forged

    device = FakeDevice()
    with Writer("a.vwc") as writer:
        writer.write(forged(device.descriptor()))
    done = vitalwire("device", "enrol", "--from", "a.vwc", "--yes")
    assert (done.code, "no devices" in done.err) == (2, True)
    assert device.thumbprint.hex() not in done.err
