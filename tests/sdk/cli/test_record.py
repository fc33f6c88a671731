"""`vitalwire record` and `vitalwire monitor`: what is stored, acknowledged or only looked at."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakeboard import Board
from tests.sdk.cli.running import SECRET, Run
from tests.waiting import FAR
from tests.walk import walk

from vitalwire.capture import Record, read
from vitalwire.cli import main
from vitalwire.registry import Registry
from vitalwire.testing import FakeDevice

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The inplace keyword")


def trust(board: Board, secret: bytes | None = SECRET) -> None:
    """Put the board into the user's registry."""
    with Registry(Path(os.environ["VITALWIRE_HOME"]) / "registry.db") as registry:
        registry.enrol(board.device.thumbprint, "fake", secret=secret)


def test_record_stores_then_acknowledges(board: Board, vitalwire: Callable[..., Run]) -> None:
    """So many frames are stored as asked for, the summary counts them, and only what is stored is acknowledged."""
    trust(board)
    done = vitalwire("record", board.url, "a.vwc", "--frames", "5", "--json")
    assert done.code == 0
    assert (done.json["frames"], done.json["last"], done.json["missing"]) == (5, {"fake": 5}, 0)
    stored = [item.raw for item in read("a.vwc") if isinstance(item, Record)]
    assert len(stored) == 5
    assert all(isinstance(item, Record) and item.received_us for item in read("a.vwc"))
    assert board.acknowledged <= set(range(1, 6))
    assert {2, 3, 4} <= board.acknowledged
    assert vitalwire("verify", "a.vwc").code == 0


def test_a_second_recording_goes_on(board: Board, vitalwire: Callable[..., Run]) -> None:
    """The next recording has the frames that follow, with the descriptor they need, in a file that verifies alone."""
    trust(board)
    vitalwire("record", board.url, "a.vwc", "--frames", "4", "--json")
    done = vitalwire("record", board.url, "b.vwc", "--frames", "3", "--json")
    assert done.json["last"] == {"fake": 7}
    assert vitalwire("verify", "b.vwc").code == 0
    assert vitalwire("verify", "a.vwc", "b.vwc", "--json").json["devices"][0]["head"] == 7


def test_record_rotates(board: Board, vitalwire: Callable[..., Run]) -> None:
    """Files are begun anew before they are larger than asked for, and are one capture."""
    trust(board)
    done = vitalwire("record", board.url, "a.vwc", "--frames", "7", "--rotate-mb", "0.004", "--json")
    assert done.json["last_file"] != "a.vwc"
    assert max(file.stat().st_size for file in Path().glob("a*.vwc")) <= 4000
    assert vitalwire("verify", "a.vwc", "--json").json["verified"] == 7


def test_record_acknowledges_nothing_it_cannot_store(board: Board, vitalwire: Callable[..., Run]) -> None:
    """With nowhere to write, recording ends with code 6 and the board keeps every frame."""
    trust(board)
    held = dict(board.journal)
    done = vitalwire("record", board.url, "none/a.vwc", "--frames", "3")
    assert (done.code, "none/a.vwc" in done.err) == (6, True)
    assert board.journal == held


def test_record_refuses_strangers(board: Board, vitalwire: Callable[..., Run]) -> None:
    """Of a board nobody enrolled nothing is stored; that is said with the fingerprint, and the code is 4."""
    done = vitalwire("record", board.url, "a.vwc", "--seconds", "1.5")
    assert done.code == 4
    assert board.device.thumbprint.hex() in done.err
    assert "refused, foreign" in done.out
    assert not [item for item in read("a.vwc") if isinstance(item, Record)]
    assert board.acknowledged == set()


def test_record_without_a_secret_only_reads(board: Board, vitalwire: Callable[..., Run]) -> None:
    """Without the device's secret frames are stored but the board keeps them, and that is said."""
    trust(board, secret=None)
    done = vitalwire("record", board.url, "a.vwc", "--frames", "4")
    assert done.code == 0
    assert "no secret" in done.err
    assert board.acknowledged == set()


def test_record_of_silence(vitalwire: Callable[..., Run]) -> None:
    """A line on which nothing comes is told apart from success: code 6."""
    with Board(FakeDevice(), SECRET) as silent:
        silent.deaf = True
        done = vitalwire("record", silent.url, "a.vwc", "--seconds", "0.5")
    assert (done.code, "nothing came" in done.err) == (6, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_record_ends_cleanly_on_ctrl_c(number: signal.Signals, board: Board, home: Path) -> None:
    """Interrupted, recording brings out its summary, exit code 0 and a capture that verifies whole."""
    trust(board)
    command = [sys.executable, "-m", "vitalwire.cli", "record", board.url, "a.vwc", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + FAR
        while len(board.acknowledged) < 6 and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=FAR)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["frames"] == 7
    assert main(["verify", "a.vwc", "--json"]) == 0


def test_monitor_only_looks(board: Board, vitalwire: Callable[..., Run]) -> None:
    """Frames and events are shown, one JSON object a line; nothing is acknowledged, and no clock is set."""
    trust(board)
    held = dict(board.journal)
    done = vitalwire("monitor", board.url, "--seconds", "4", "--json")
    assert done.code == 0
    lines = [json.loads(line) for line in done.out.splitlines()]
    frames = {line["frame"]: line for line in lines if "frame" in line}
    assert set(frames) == set(range(1, 8))
    assert frames[2]["samples"]["ecg_lead_i"] == 512
    assert {"event": "Connected", "text": "connected"} in lines
    assert board.journal == held
    assert {command for command, _ in board.commands} == {1, 2}


def test_monitor_may_record(board: Board, vitalwire: Callable[..., Run]) -> None:
    """With --record what is shown is stored as well, and acknowledged."""
    trust(board)
    assert vitalwire("monitor", board.url, "--seconds", "4", "--record", "a.vwc").code == 0
    assert vitalwire("verify", "a.vwc", "--json").json["verified"] == 7
    assert {2, 3, 4, 5, 6, 7} <= board.acknowledged


def test_monitor_shows_events_and_gaps(vitalwire: Callable[..., Run]) -> None:
    """Events of the device, numbers that are not there and a reboot appear as lines."""
    made = walk(Path("walk.vwc"))
    done = vitalwire("monitor", "replay:walk.vwc?speed=0", "--fingerprint", made.fingerprint)
    assert done.code == 0
    assert all(word in done.out for word in ("LEAD_ON", "BOOT", "not here so far: 7 to 8", "never used"))


def test_monitor_draws_in_a_terminal(tmp_path: Path) -> None:
    """In a terminal there are waveforms in braille, rates, events and the state of the link."""
    import fcntl
    import pty
    import struct
    import termios

    made = walk(tmp_path / "walk.vwc", frames=4)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm-256color"}
        url = f"replay:{made.path}?speed=4"
        arguments = ["-m", "vitalwire.cli", "monitor", url, "--fingerprint", made.fingerprint]
        os.execv(sys.executable, [sys.executable, *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 110, 0, 0))
    seen = b""
    try:
        while chunk := os.read(terminal, 65536):
            seen += chunk
    except OSError:  # Linux: the other end is closed
        pass
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0
    text = seen.decode()
    assert re.search("[\u2801-\u28ff]{5}", text)
    assert all(word in text for word in ("ecg_lead_i", "256", "bytes/s", "LEAD_ON", "connected", "verified"))
