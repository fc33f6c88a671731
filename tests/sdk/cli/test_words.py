"""Every command is documented and says what it means; wrong words end in one line and an exit code."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.cli.running import Run, steady

from vitalwire.errors import CommandError, InputError, SinkError, SpoolError, TransportError, TrustError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The inplace keyword")
ROOT = Path(__file__).resolve().parents[3]
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
    ["bench", "wire"], ["bench", "policies"], ["bench", "rates"], ["bench", "shares"], ["bench", "readme"],
    ["gateway"], ["gateway", "run"], ["gateway", "check"], ["gateway", "slo"], ["gateway", "forget"],
    ["gateway", "dead"],
    ["gateway", "dead", "list"], ["gateway", "dead", "show"], ["gateway", "dead", "redrive"],
    ["gateway", "jobs"], ["gateway", "jobs", "update"], ["gateway", "jobs", "config"], ["gateway", "jobs", "list"],
    ["gateway", "jobs", "cancel"],
    ["gateway", "quarantine"], ["gateway", "quarantine", "list"], ["gateway", "quarantine", "show"],
    ["gateway", "quarantine", "release"], ["gateway", "quarantine", "discard"],
)  # fmt: skip


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
    "settings of a board nowhere": (["board", "run", "virtual", "--config", "none.json"], 6, "none.json"),
    "a board's policy": (["board", "run", "virtual", "--config", "text"], 2, "no JSON"),
    "a list that is no CSV": (["fleet", "one.npy", "--ca", "ca"], 2, "one.npy is no CSV"),
    "a password that is no text": (["fleet", "a.csv", "--ca", "ca", "--wifi-password", "one.npy"], 2, "is no text"),
    "to replace nothing": (["fleet", "a.csv", "--ca", "ca", "--replace"], 2, "say --maker PEM or --operator PEM"),
    "to replace what": (["board", "provision", "x", "--device", "a", "--ca", "ca", "--replace"], 2, "--replace"),
    "no configuration": (["config", "send", "tcp://127.0.0.1:9", "one.npy"], 2, "is no signed configuration"),
    "no configuration's file": (["config", "send", "tcp://127.0.0.1:9", "none"], 2, "cannot read none: No such file"),
    "no board to provision": (
        ["board", "provision", "/dev/none", "--device", "a", "--ca", "ca", "--registry", "new.registry"],
        6,
        "`vitalwire ports` lists",
    ),
    "an authority in a file": (["board", "ca", "text"], 2, "text is no folder"),
    "own recording without a rate": (["bench", "size", "one.npy"], 2, "rate"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_end_in_one_line(case: str, vitalwire: Callable[..., Run]) -> None:
    """What a person can get wrong ends with its exit code and one line that names it; nothing goes to stdout."""
    import numpy as np

    from vitalwire_tools.authority import create

    arguments, code, words = WRONG[case]
    Path("text").write_text("x = 1")
    np.save("one.npy", np.arange(8))
    Path("a.csv").write_text("device,port\na,/dev/none\n")
    create(Path("ca"), "maker")
    good = steady(Path("good.vwc"))
    done = vitalwire(*(good.thumbprint.hex() if each == "GOOD" else each for each in arguments))
    last = done.err.strip().splitlines()[-1]
    assert (done.code, done.out) == (code, "")
    assert words in last
    assert last.startswith("vitalwire: ")
    assert "Traceback" not in done.err
    assert not Path("home", "boards").exists()
    assert not Path("new.registry").exists()


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
        ("bleak", ["ports", "--ble"], "ble"),
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
