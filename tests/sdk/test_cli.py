"""The `vitalwire` command: what it prints, where, and its exit codes; against real captures and a board behind TCP."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakeboard import Board
from tests.walk import Walk, walk

from vitalwire import crypto
from vitalwire.capture import Record, Writer, read
from vitalwire.cli import main
from vitalwire.errors import CommandError, InputError, SinkError, SpoolError, TransportError, TrustError, UsageError
from vitalwire.registry import Registry
from vitalwire.testing import FakeDevice, flipped

ROOT = Path(__file__).resolve().parents[2]
SECRET = bytes(range(32))
COMMANDS = (
    ["ports"], ["monitor"], ["record"], ["replay"], ["verify"], ["inspect"], ["plot"], ["export"],
    ["device"], ["device", "enrol"], ["device", "list"], ["device", "revoke"], ["device", "passkey"],
    ["audit"], ["audit", "verify"], ["audit", "show"], ["audit", "head"], ["audit", "key"],
    ["update"], ["config"], ["config", "show"], ["config", "set"], ["config", "sign"], ["config", "send"],
    ["board"], ["board", "list"], ["board", "new"], ["board", "image"], ["board", "flash"], ["board", "release"],
    ["board", "deploy"], ["board", "doctor"], ["board", "ca"], ["board", "provision"], ["board", "server"], ["fleet"],
    ["board", "power"],
    ["board", "run"], ["board", "run", "virtual"],
    ["fhir"], ["fhir", "export"], ["fhir", "verify"], ["fhir", "events"],
    ["fhir", "assign"], ["fhir", "unassign"], ["fhir", "assignments"],
    ["fhir", "convert"], ["fhir", "lint"], ["fhir", "explain"],
    ["bench"], ["bench", "size"], ["bench", "sign"], ["bench", "device"], ["bench", "memory"], ["bench", "host"],
    ["bench", "latency"], ["bench", "gateway"], ["bench", "fhir"], ["bench", "fhirserver"], ["bench", "readings"],
    ["bench", "wire"], ["bench", "policies"], ["bench", "shares"], ["bench", "readme"],
    ["gateway"], ["gateway", "run"], ["gateway", "check"], ["gateway", "slo"], ["gateway", "forget"],
    ["gateway", "dead"],
    ["gateway", "dead", "list"], ["gateway", "dead", "show"], ["gateway", "dead", "redrive"],
    ["gateway", "jobs"], ["gateway", "jobs", "update"], ["gateway", "jobs", "config"], ["gateway", "jobs", "list"],
    ["gateway", "jobs", "cancel"],
    ["gateway", "quarantine"], ["gateway", "quarantine", "list"], ["gateway", "quarantine", "show"],
    ["gateway", "quarantine", "release"], ["gateway", "quarantine", "discard"],
)  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The inplace keyword")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a registry and a state of its own."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


class Run:
    """What a command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        """The one JSON document it printed."""
        return json.loads(self.out)


@pytest.fixture
def vitalwire(capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run a command in this process."""

    def run(*arguments: object) -> Run:
        code = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return Run(code, said.out, said.err)

    return run


def steady(path: Path, frames: int = 5, name: str = "fake") -> FakeDevice:
    """Write a capture without a fault, and return its device."""
    device = FakeDevice(name)
    with Writer(path) as writer:
        for raw in (device.descriptor(), *(device.sampled() for _ in range(frames))):
            writer.write(raw)
    return device


@pytest.fixture
def board() -> Iterator[Board]:
    """A provisioned board behind a TCP port, with a few frames in its journal."""
    with Board(FakeDevice("fake"), SECRET) as board:
        board.device.descriptor()
        board.send(*(board.device.sampled() for _ in range(6)))
        yield board


# ---------------------------------------------------------------- help and arguments


def test_the_list_of_commands_is_whole(vitalwire: Callable[..., Run]) -> None:
    """The commands named in this test are all there are, those of the tools included."""
    import typer

    from vitalwire.cli.app import app

    def names(command: Any, path: list[str]) -> Iterator[list[str]]:
        for name, inner in getattr(command, "commands", {}).items():
            yield [*path, name]
            yield from names(inner, [*path, name])

    assert sorted(names(typer.main.get_command(app), [])) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_says_what_everything_means(command: list[str], vitalwire: Callable[..., Run]) -> None:
    """Each command has help, and in it each option and argument has words of its own."""
    done = vitalwire(*command, "--help")
    assert done.code == 0
    assert "Usage: vitalwire " + " ".join(command) in done.out
    entries = re.split(r"\n {2}(?=\S)", done.out.partition("Options:")[2].partition("Commands:")[0])[1:]
    for entry in entries:
        words = re.sub(r"\[[^]]*\]", "", " ".join(entry.split())).split(" ")
        assert len([word for word in words if not word.startswith("-")]) >= 3, entry


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_is_documented(command: list[str]) -> None:
    """Each command is named in the SDK's README, with `vitalwire` in front."""
    text = (ROOT / "sdk" / "README.md").read_text()
    assert f"vitalwire {' '.join(command)}" in text


WRONG: dict[str, tuple[list[str], int, str]] = {
    "no such command": (["nonsense"], 2, "nonsense"),
    "no such option": (["verify", "--nonsense", "a"], 2, "--nonsense"),
    "nothing to verify": (["verify"], 2, "FILE"),
    "no such file": (["verify", "none.vwc"], 6, "none.vwc: no such file"),
    "not a capture": (["verify", "text"], 3, "text is not a capture"),
    "a short fingerprint": (["verify", "--fingerprint", "abcd", "good.vwc"], 2, "64 hexadecimal digits"),
    "no such registry": (["verify", "--registry", "none.db", "good.vwc"], 2, "no registry none.db"),
    "not a registry": (["verify", "--registry", "text", "good.vwc"], 2, "text"),
    "not an address": (["monitor", "nonsense"], 2, "scheme:target"),
    "no such transport": (["record", "carrier:pigeon", "a.vwc"], 2, "carrier"),
    "no such port": (["record", "serial:///dev/none", "a.vwc"], 6, "/dev/none"),
    "nobody listens": (["monitor", "tcp://127.0.0.1:9"], 6, "127.0.0.1"),
    "a wrong number": (["record", "tcp://127.0.0.1:9", "a.vwc", "--frames", "0"], 2, "--frames"),
    "a wrong probability": (["replay", "good.vwc", "--loss", "2"], 2, "--loss"),
    "a wrong speed": (["replay", "good.vwc", "--speed", "fast"], 2, "--speed"),
    "a wrong pace": (["replay", "good.vwc", "--pace", "slow"], 2, "pace"),
    "nothing to listen on": (["replay", "good.vwc", "--listen", "7000x"], 2, "host:port"),
    "replay of nothing": (["replay", "none.vwc"], 6, "none.vwc"),
    "no such frame": (["inspect", "good.vwc", "--seq", "99"], 2, "no frame 99"),
    "inspect nothing": (["inspect", "none.vwc"], 6, "none.vwc"),
    "no such format": (["export", "good.vwc", "out", "--format", "xls"], 2, "xls"),
    "which format": (["export", "good.vwc", "out"], 2, "--format csv, parquet, wfdb, edf"),
    "no such folder": (["export", "good.vwc", "none/out", "--format", "csv", "--fingerprint", "GOOD"], 6, "none"),
    "nobody enrolled": (["export", "good.vwc", "out", "--format", "csv"], 4, "vitalwire device enrol"),
    "no such channel": (["plot", "good.vwc", "a.png", "--channel", "spo2", "--fingerprint", "GOOD"], 2, "spo2"),
    "a picture nowhere": (["plot", "good.vwc", "none/a.png", "--fingerprint", "GOOD"], 6, "none/a.png"),
    "enrol nobody": (["device", "enrol"], 2, "give a fingerprint"),
    "enrol nonsense": (["device", "enrol", "nonsense"], 2, "64 hexadecimal digits"),
    "a secret that is none": (["device", "enrol", "00" * 32, "--secret-file", "text"], 2, "no secret"),
    "no secret file": (["device", "enrol", "00" * 32, "--secret-file", "none"], 6, "none"),
    "nobody to ask": (["device", "enrol", "--from", "good.vwc"], 2, "--yes"),
    "enrol from nothing": (["device", "enrol", "--from", "none.vwc"], 6, "none.vwc"),
    "a passkey without a secret": (["device", "passkey", "nobody"], 2, "no enrolled device"),
    "revoke nobody": (["device", "revoke", "nobody", "--yes"], 2, "no enrolled device"),
    "no such board fault": (["board", "run", "virtual", "--faults", "text"], 2, "no script of faults"),
    "no file of faults": (["board", "run", "virtual", "--faults", "none.toml"], 6, "none.toml"),
    "a board nowhere": (["board", "run", "virtual", "--listen", "x"], 2, "host:port"),
    "own recording without a rate": (["bench", "size", "one.npy"], 2, "rate"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_end_in_one_line(case: str, vitalwire: Callable[..., Run]) -> None:
    """What a person can get wrong ends with its exit code and one line that names it; nothing goes to stdout."""
    import numpy as np

    arguments, code, words = WRONG[case]
    Path("text").write_text("x = 1")
    np.save("one.npy", np.arange(8))
    good = steady(Path("good.vwc"))
    done = vitalwire(*(good.thumbprint.hex() if each == "GOOD" else each for each in arguments))
    last = done.err.strip().splitlines()[-1]
    assert (done.code, done.out) == (code, "")
    assert words in last
    assert last.startswith("vitalwire: ")
    assert "Traceback" not in done.err


def test_exit_codes_are_those_of_the_errors() -> None:
    """The codes the table above expects are defined once, by the error tree."""
    errors = (UsageError, InputError, TrustError, CommandError, TransportError, SinkError, SpoolError)
    assert [error.exit_code for error in errors] == [2, 3, 4, 5, 6, 7, 8]


def test_nothing_at_all_shows_the_commands(vitalwire: Callable[..., Run]) -> None:
    """Without arguments the commands are listed, also of groups; --version says the version."""
    assert "monitor" in vitalwire().out
    assert "enrol" in vitalwire("device").out
    assert re.fullmatch(r"vitalwire \d+\.\d+\.\d+\S*\n", vitalwire("--version").out)


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("matplotlib.figure", ["plot", "good.vwc", "a.png", "--fingerprint", "GOOD"], "plot"),
        ("edfio", ["export", "good.vwc", "a.edf", "--fingerprint", "GOOD"], "export"),
        ("serial.tools.list_ports", ["ports"], "serial"),
        ("littlefs", ["board", "run", "virtual"], "board"),
        ("rich.console", ["ports"], "cli"),
        ("cwt", ["bench", "host"], "bench"),
    ],
)
def test_missing_extras_are_named(
    module: str, arguments: list[str], extra: str, vitalwire: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command whose library is not installed says which extra brings it, in one line, with exit code 2."""
    good = steady(Path("good.vwc"))
    monkeypatch.setitem(sys.modules, module, None)
    ours = ("vitalwire.cli.", "vitalwire.export.edf", "vitalwire_tools.")
    for name in [name for name in sys.modules if name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, name)
    cli = importlib.import_module("vitalwire.cli")
    for name in [name for name in vars(cli) if not name.startswith("_") and name not in ("main",)]:
        if getattr(getattr(cli, name), "__name__", "").startswith("vitalwire.cli."):
            monkeypatch.delattr(cli, name)
    done = vitalwire(*(good.thumbprint.hex() if each == "GOOD" else each for each in arguments))
    assert done.code == 2
    assert f'pip install "vitalwire[{extra}]"' in done.err
    assert len(done.err.strip().splitlines()) == 1


# ---------------------------------------------------------------- verify


def test_verify_has_a_code_for_each_end(vitalwire: Callable[..., Run]) -> None:
    """Whole: 0. A frame missing, a torn end, an empty capture: 1. A changed bit, a device nobody enrolled: 4."""
    device = FakeDevice()
    frames = [device.descriptor(), *(device.sampled() for _ in range(6))]
    cases = {
        "whole": (frames, 0, "complete"),
        "missing": (frames[:3] + frames[4:], 1, "incomplete"),
        "none": ([], 1, "incomplete"),
        "changed": ([*frames[:3], flipped(frames[3], 999), *frames[4:]], 4, "refused"),
        "foreign": ([*frames, FakeDevice().descriptor()], 4, "refused"),
    }
    for name, (kept, code, word) in cases.items():
        with Writer(f"{name}.vwc") as writer:
            for raw in kept:
                writer.write(raw)
        done = vitalwire("verify", "--fingerprint", device.thumbprint.hex(), f"{name}.vwc", "--json")
        assert (done.code, done.json["exit_code"], done.json["conclusion"]) == (code, code, word), name
        assert done.err == ""
        assert vitalwire("verify", "--fingerprint", device.thumbprint.hex(), f"{name}.vwc").code == code
        by_signature = vitalwire("verify", "--every-signature", "--fingerprint", device.thumbprint.hex(), f"{name}.vwc")
        assert by_signature.code == code
    Path("torn.vwc").write_bytes(Path("whole.vwc").read_bytes()[:-10])
    done = vitalwire("verify", "--fingerprint", device.thumbprint.hex(), "torn.vwc", "--json")
    assert (done.code, done.json["damage"][0]["torn"], done.json["verified"]) == (1, True, 6)


def test_verify_tells_what_is_missing(vitalwire: Callable[..., Run]) -> None:
    """The table and the JSON name missing numbers, burned ones, duplicates and the device's name."""
    made = walk(Path("walk.vwc"))
    assert vitalwire("device", "enrol", made.fingerprint, "--name", "walker").code == 0
    done = vitalwire("verify", "walk.vwc")
    assert done.code == 1
    assert all(word in done.out for word in ("walker", "missing", "7-8", "burned", "duplicates", made.fingerprint))
    (device,) = vitalwire("verify", "walk.vwc", "--json").json["devices"]
    assert (device["missing"], device["missing_ranges"], device["burned"], device["duplicates"]) == (2, [[7, 8]], 2, 1)


def test_verify_names_who_might_be_enrolled(vitalwire: Callable[..., Run]) -> None:
    """For a capture of an unknown device, the advice is the command that would trust it."""
    device = steady(Path("a.vwc"))
    done = vitalwire("verify", "a.vwc")
    assert done.code == 4
    assert f"vitalwire device enrol {device.thumbprint.hex()}" in done.err


def test_verify_takes_several_files_together(vitalwire: Callable[..., Run]) -> None:
    """Two captures of one device fill each other's gaps, and a rotated capture is one by its first name."""
    device = FakeDevice()
    frames = [device.descriptor(), *(device.sampled() for _ in range(20))]
    for name, kept in (("a.vwc", frames[:10]), ("b.vwc", [frames[0], *frames[10:]])):
        with Writer(name) as writer:
            for raw in kept:
                writer.write(raw)
    with Writer("rotated.vwc", max_bytes=9000) as writer:
        for raw in frames:
            writer.write(raw)
    assert Path("rotated-00001.vwc").exists()
    trusted = ("--fingerprint", device.thumbprint.hex())
    assert vitalwire("verify", *trusted, "a.vwc", "b.vwc").code == 0
    done = vitalwire("verify", *trusted, "rotated.vwc", "--json")
    assert (done.code, done.json["verified"]) == (0, 21)


# ---------------------------------------------------------------- devices


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


# ---------------------------------------------------------------- record


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
        until = time.monotonic() + 30
        while len(board.acknowledged) < 6 and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["frames"] == 7
    assert main(["verify", "a.vwc", "--json"]) == 0


# ---------------------------------------------------------------- monitor


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


# ---------------------------------------------------------------- replay


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
        watcher = threading.Thread(target=lambda: served.append(process.wait(60)))
        watcher.start()
        done = vitalwire("record", url, "b.vwc", "--frames", "21", "--fingerprint", device.thumbprint.hex(), "--json")
        watcher.join()
        assert "had 21 frames" in process.stderr.read()
    assert (done.code, served) == (0, [0])
    frames = [[item.raw for item in read(name) if isinstance(item, Record)] for name in ("a.vwc", "b.vwc")]
    assert frames[0] == frames[1]


# ---------------------------------------------------------------- the others


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
