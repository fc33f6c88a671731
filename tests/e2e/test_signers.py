"""Boards are given the public keys of those whose updates and configurations they take, over their prompt."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_fleet import files_of

from vitalwire import crypto, jws
from vitalwire.cli import main
from vitalwire.update import pack
from vitalwire_tools import authority
from vitalwire_tools.virtual.machine import FLASH, create


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A maker's authority and a registry, in a home of the test's own, with keys `maker`, `operator`, `other`."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name in ("maker", "operator", "other"):
        Path(f"{name}.pub").write_text(jws.public_pem(jws.create_key(Path(f"{name}.pem"))))
    authority.create(Path("ca"), "maker")
    return ["--ca", "ca", "--registry", "own.registry"]


def kept(pem: str) -> bytes:
    """Return what a board is to keep of a key: x and y."""
    return crypto.public_point(jws.load_public_key(Path(pem)))[1:]


def test_a_board_takes_what_its_signers_sign(
    bench: Callable[..., Any], where: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Given their keys, a board takes the operator's configuration and the maker's update, and nobody else's."""
    board = bench(speed=20.0).board
    provision = ["board", "provision", board.port, "--device", "strap 7", *where]
    assert main([*provision, "--maker", "maker.pub", "--operator", "operator.pem"]) == 0  # public or private
    files = files_of(board)
    assert (files["maker"], files["operator"]) == (kept("maker.pem"), kept("operator.pem"))
    for name in ("maker", "operator"):
        secret = jws.load_key(Path(f"{name}.pem")).private_numbers().private_value.to_bytes(32, "big")
        assert not any(secret in content for content in files.values())
    own = ["--registry", "own.registry"]
    setting = ["config", "set", board.url, "status_s=10", *own, "--key"]
    assert main([*setting, "other.pem"]) == 5
    assert main([*setting, "operator.pem"]) == 0
    for key, code in (("other", 5), ("maker", 0)):
        package = pack(jws.load_key(Path(f"{key}.pem")), {"start.mpy": b"x"}, board="virtual", firmware="9", counter=7)
        Path("new.vwu").write_bytes(package.data)
        assert main(["update", board.url, "new.vwu", "--later", "--key", f"{key}.pub", *own]) == code
    assert "UPDATE_FORGED" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "signer", "extra", "code"),
    [
        ("provision", "operator.pem", [], 0),
        ("provision", "other.pem", ["--link", "serial"], 2),
        ("fleet", "other.pem", [], 1),
        ("fleet", "other.pem", ["--replace"], 0),
    ],
    ids=["same", "other", "fleet", "replaced"],
)
def test_another_key_is_refused_unless_it_is_to_replace(
    bench: Callable[..., Any],
    where: list[str],
    capsys: pytest.CaptureFixture[str],
    command: str,
    signer: str,
    extra: list[str],
    code: int,
) -> None:
    """The same key again is fine; another one is refused in a line and nothing is changed, until --replace is said."""
    held = {name: b"\4" + kept(f"{name}.pem") for name in ("maker", "operator")}
    board = bench(speed=20.0, **held).board
    before = files_of(board)
    Path("list.csv").write_text(f"device,port\nb,{board.port}\n")
    words = {"provision": ["board", "provision", board.port, "--device", "b"], "fleet": ["fleet", "list.csv"]}[command]
    assert main([*words, *where, "--maker", "maker.pem", "--operator", signer, *extra]) == code
    after = files_of(board)
    assert (after["maker"], after["key"]) == (before["maker"], before["key"])
    if code:
        said = capsys.readouterr().err
        assert "the board has another operator's key already, so nothing was changed" in said
        assert ("config.json", before["config.json"]) in after.items()
        assert after["operator"] == before["operator"]
        assert "client.der" not in after
    else:
        assert after["operator"] == kept(signer)
        assert json.loads(after["config.json"])["device"] == "b"


@pytest.mark.parametrize("option", ["--maker", "--operator"])
def test_what_is_no_p256_key_is_refused(where: list[str], capsys: pytest.CaptureFixture[str], option: str) -> None:
    """Another curve, RSA, a certificate, text and no file are each one line and exit code 2, with no board touched."""
    for curve in ("secp384r1", "secp112r1"):
        command = ["openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", f"{curve}.pem"]
        subprocess.run(command, check=True)
        command = ["openssl", "ec", "-in", f"{curve}.pem", "-pubout", "-out", f"{curve}.pub"]
        subprocess.run(command, check=True, capture_output=True)
    subprocess.run(["openssl", "genrsa", "-out", "rsa.pem", "2048"], check=True, capture_output=True)
    Path("text.pem").write_text("no key")
    Path("list.csv").write_text("device,port\na,/dev/nowhere\n")
    provision = ["board", "provision", "/dev/nowhere", "--device", "a"]
    files = ["secp384r1.pem", "secp384r1.pub", "secp112r1.pem", "secp112r1.pub", "rsa.pem", "ca/ca.crt", "text.pem"]
    for file in [*files, "away.pem"]:
        for command in (provision, ["fleet", "list.csv"]):
            capsys.readouterr()
            assert main([*command, *where, option, file]) == 2, file
            assert file in capsys.readouterr().err


def test_a_virtual_board_is_not_given_keys_in_silence(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Run with another key than it was made with, a virtual board says so and does not start; nothing is changed."""
    create(Path("strap"))
    before = Path("strap", FLASH).read_bytes()
    assert main(["board", "run", "virtual", "--folder", "strap", "--operator", "operator.pem"]) == 2
    said = capsys.readouterr().err
    assert "`vitalwire board provision` gives it these" in said
    assert len(said.splitlines()) == 1
    assert Path("strap", FLASH).read_bytes() == before
