"""A revoked device is believed up to what its reader had accepted before, on the command line too."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from vitalwire import paths
from vitalwire.anchors import find_anchors
from vitalwire.capture import Writer
from vitalwire.cli import main
from vitalwire.errors import RevokedError
from vitalwire.offline import Reader
from vitalwire.registry import Registry
from vitalwire.session import ReplayState, Session
from vitalwire.testing import FakeDevice, remade
from vitalwire_protocol.spec import Key

NOW = 1_790_000_000_000_000
ACCEPTED = 8  # numbers up to which the reader has accepted
COUNT = 12


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a user's own files."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def device() -> FakeDevice:
    """Return a device."""
    return FakeDevice("stolen")


@pytest.fixture
def frames(device: FakeDevice) -> list[bytes]:
    """Return frames, the last of them made after the device was stolen."""
    return [device.descriptor(), *(device.data({"ecg_lead_i": [n] * 512}) for n in range(2, COUNT + 1))]


@pytest.fixture
def capture(tmp_path: Path, device: FakeDevice, frames: list[bytes]) -> Path:
    """Record them, the first few through a session that remembers, and revoke the device in the user's registry."""
    with Registry(paths.registry_file()) as registry, ReplayState(paths.state_file()) as state:
        registry.enrol(device.thumbprint, "stolen")
        session = Session(registry, state)
        for raw in frames[:ACCEPTED]:
            session.durable(session.receive(raw, NOW))
        registry.revoke(device.thumbprint)
    return written(tmp_path / "a.vwc", frames)


def written(path: Path, frames: list[bytes]) -> Path:
    """Write a capture."""
    with Writer(path) as writer:
        for raw in frames:
            writer.write(raw, NOW)
    return path


def test_verify_believes_what_was_accepted(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the user's own state, frames up to the last accepted one count, later ones are refused."""
    assert main(["verify", str(capture), "--json"]) == 4
    (verdict,) = json.loads(capsys.readouterr().out)["devices"]
    assert (verdict["verified"], verdict["first"], verdict["head"]) == (ACCEPTED, 1, ACCEPTED)
    assert verdict["refused"] == {"revoked": COUNT - ACCEPTED}


def test_a_capture_from_before_is_whole(tmp_path: Path, capture: Path, frames: list[bytes]) -> None:
    """What ends at or before the last accepted frame is verified to its end: exit code 0."""
    assert capture.exists()
    for count in (ACCEPTED, ACCEPTED - 2):
        assert main(["verify", str(written(tmp_path / f"{count}.vwc", frames[:count]))]) == 0


def test_without_that_state_nothing_is_believed(
    tmp_path: Path, capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another state, or none, gives no anchor; the commands say what to do; a missing one is named."""
    ReplayState(tmp_path / "other.db").close()
    assert main(["verify", str(capture), "--state", str(tmp_path / "other.db")]) == 4
    assert "--state FILE" in capsys.readouterr().err
    assert main(["export", str(capture), str(tmp_path / "out.csv"), "--state", str(tmp_path / "other.db")]) == 4
    assert "stolen is revoked" in capsys.readouterr().err
    assert main(["verify", str(capture), "--state", str(tmp_path / "none.db")]) == 2
    assert "no replay state" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists()
    moved = tmp_path / "moved.db"
    paths.state_file().rename(moved)
    assert main(["verify", str(capture), "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["verified"] == 0
    assert not paths.state_file().exists()
    assert main(["verify", str(capture), "--state", str(moved), "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["verified"] == ACCEPTED


def test_exports_hold_what_is_believed(tmp_path: Path, capture: Path) -> None:
    """An export and a plot of a revoked device hold the frames up to the anchor and none behind."""
    assert main(["export", str(capture), str(tmp_path / "out"), "--format", "csv"]) == 0
    with open(tmp_path / "out-ecg_lead_i.csv", newline="") as file:
        assert {int(row["seq"]) for row in csv.DictReader(file)} == set(range(2, ACCEPTED + 1))
    assert main(["plot", str(capture), str(tmp_path / "a.png")]) == 0


def test_a_thiefs_frame_among_them_is_not_exported(
    tmp_path: Path, capture: Path, device: FakeDevice, frames: list[bytes]
) -> None:
    """Where a number below the anchor stands for two signed frames, reading stops: a thief may have made one."""
    forked = remade(frames[4], device.private_key, {Key.TICKS: 5})
    path = written(tmp_path / "b.vwc", [*frames[:6], forked, *frames[6:]])
    with Registry(paths.registry_file()) as registry, ReplayState(paths.state_file()) as state:
        reader = Reader(path, registry, anchors=find_anchors([path], registry, state))
        assert reader.verdict.verified == ACCEPTED
        with pytest.raises(RevokedError, match=r"number 5 .* two frames"):
            list(reader.frames(device.thumbprint))
        assert list(reader.frames()) == []
    assert capture.exists()


def test_only_accepted_frames_are_anchors(tmp_path: Path, capture: Path, frames: list[bytes]) -> None:
    """The anchor is the highest accepted frame that is in the files; a capture of others has none."""
    with Registry(paths.registry_file()) as registry, ReplayState(paths.state_file()) as state:
        ((number, digest),) = find_anchors([capture], registry, state).values()
        assert (number, len(digest)) == (ACCEPTED, 16)
        assert find_anchors([written(tmp_path / "b.vwc", frames[ACCEPTED:])], registry, state) == {}
        ((number, _),) = find_anchors([written(tmp_path / "c.vwc", frames[:3])], registry, state).values()
        assert number == 3
