"""`vitalwire replay`, `inspect`, `plot` and `export`: what is made of captures; `ports`: where boards are."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sdk.cli.running import Run, steady
from tests.waiting import FAR
from tests.walk import Walk, walk

from vitalwire.capture import Record, Writer, read
from vitalwire.testing import flipped

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The inplace keyword")


def test_replay_judges_with_seeded_faults(vitalwire: Callable[..., Run]) -> None:
    """Without faults all is verified; with them the same seed gives the same counts and another seed others."""
    device = steady(Path("a.vwc"), frames=60)
    options = ("replay", "a.vwc", "--speed", "0", "--fingerprint", device.thumbprint.hex(), "--json")
    whole = vitalwire(*options).json
    assert (whole["frames"], whole["missing"], whole["refused"]) == (61, 0, {})
    faults = ("--loss", "0.1", "--duplicate", "0.1", "--flip", "0.1", "--reorder", "0.2")
    one, again, other = (vitalwire(*options, *faults, "--seed", seed).json for seed in (1, 1, 2))
    assert {**one, "url": ""} == {**again, "url": ""}
    assert one != other
    assert one["frames"] < 61
    assert one["missing"] > 0
    assert one["duplicates"] > 0
    assert sum(one["refused"].values()) > 0


def test_replay_serves_on_tcp(vitalwire: Callable[..., Run]) -> None:
    """What is served is what was captured: recorded again from the port, it is the same frames; then it ends."""
    device = steady(Path("a.vwc"), frames=20)
    served: list[int] = []
    command = [
        sys.executable,
        "-m",
        "vitalwire.cli",
        "replay",
        "a.vwc",
        "--speed",
        "0",
        "--listen",
        "127.0.0.1:0",
        "--once",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[-1]
        watcher = threading.Thread(target=lambda: served.append(process.wait(FAR)))
        watcher.start()
        done = vitalwire("record", url, "b.vwc", "--frames", "21", "--fingerprint", device.thumbprint.hex(), "--json")
        watcher.join()
        assert "had 21 frames" in process.stderr.read()
    assert (done.code, served) == (0, [0])
    frames = [[item.raw for item in read(name) if isinstance(item, Record)] for name in ("a.vwc", "b.vwc")]
    assert frames[0] == frames[1]


def test_inspect_explains_any_frame(vitalwire: Callable[..., Run]) -> None:
    """The frame asked for is explained, its trust is said, a frame alone in a file too; JSON has every byte."""
    device = steady(Path("a.vwc"))
    vitalwire("device", "enrol", device.thumbprint.hex(), "--name", "wrist")
    done = vitalwire("inspect", "a.vwc", "--seq", "3")
    assert done.code == 0
    assert all(word in done.out for word in ("SEQ = 3", "block of", "the signature verifies: wrist, enrolled"))
    said = vitalwire("inspect", "a.vwc", "--seq", "3", "--json").json
    raw = [item.raw for item in read("a.vwc") if isinstance(item, Record)][2]
    assert "".join(field["hex"] for field in said["fields"]) == raw.hex()
    Path("one.bin").write_bytes(raw)
    assert "not verified" in vitalwire("inspect", "one.bin").out
    Path("bad.bin").write_bytes(flipped(raw, 8 * len(raw) - 3))
    with Writer("bad.vwc") as writer:
        writer.write(device.descriptor())
        writer.write(flipped(raw, 8 * len(raw) - 3))
    assert "forged" in vitalwire("inspect", "bad.vwc", "--seq", "3").out


def test_plot_and_export_write_files(vitalwire: Callable[..., Run]) -> None:
    """A picture and an export are written from an enrolled device's capture; the suffix names the format."""
    made: Walk = walk(Path("walk.vwc"))
    trusted = ("--fingerprint", made.fingerprint)
    assert vitalwire("plot", "walk.vwc", "a.png", "--seconds", "4", *trusted).code == 0
    assert Path("a.png").read_bytes()[:4] == b"\x89PNG"
    done = vitalwire("export", "walk.vwc", "out.parquet", *trusted)
    assert done.code == 0
    assert "2 frames missing" in done.err
    assert Path("out-ecg_lead_i.parquet").exists()
    said = vitalwire("export", "walk.vwc", "other", "--format", "csv", "--json", *trusted).json
    assert all(Path(file).exists() for file in said["files"])
    assert said["samples"] == done_samples(made)
    assert vitalwire("export", "walk.vwc", "out.parquet", *trusted).code == 2
    assert vitalwire("export", "walk.vwc", "out.parquet", "--force", *trusted).code == 0


def done_samples(made: Walk) -> int:
    """Return the samples of all channels together."""
    return sum(len(each) for stretches in made.stretches.values() for each in stretches)


def test_ports_are_listed(vitalwire: Callable[..., Run]) -> None:
    """Ports are listed as addresses other commands take, as a table or as JSON."""
    assert vitalwire("ports").code == 0
    assert all(port["url"].startswith("serial://") for port in vitalwire("ports", "--json").json)
