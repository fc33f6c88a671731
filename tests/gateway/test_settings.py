"""What is configured: typed, by reference where secret, and refused in words that name file and key."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Literal

import pytest
from tests.gateway.certificates import Certificates

from vitalwire.errors import UsageError
from vitalwire.settings import Existing, Kind, Kinds, Secret, ServerTls, Settings, Tls, Watch, Written, read_table
from vitalwire.sinks import KINDS


class Peer(Settings):
    kind: Literal["peer"]
    port: int = 1883
    password: Secret | None = None
    tls: Tls = Tls()
    log: Existing | None = None


FILE = Path("/etc/vitalwire/gateway.toml")


def read(**table: object) -> Peer:
    """Read one table."""
    return read_table(Peer, {"kind": "peer", **table}, file=FILE, key="sink.broker")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"prot": 1}, "sink.broker.prot: no such key"),
        ({"port": "x"}, "sink.broker.port: Input should be a valid integer"),
        ({"password": "hunter2"}, "sink.broker.password: "),
        ({"password": {"file": "a", "env": "B"}}, 'a secret is given as { file = "..." }'),
        ({"tls": {"certificate": "a.pem"}}, "sink.broker.tls: certificate and key are given together"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(table: dict[str, object], said: str) -> None:
    """A wrong key or value gives one line that names file and key, and never the value."""
    with pytest.raises(UsageError) as caught:
        read(**table)
    text = str(caught.value)
    assert text.startswith(f"{FILE}: ")
    assert said in text
    assert "\n" not in text
    assert "hunter2" not in text + caught.value.advice


def test_unknown_key_is_answered_with_the_known_ones() -> None:
    """Who misspells a key is told which there are."""
    with pytest.raises(UsageError) as caught:
        read(prot=1)
    assert "password, port, tls" in caught.value.advice


def test_paths_begin_beside_the_file() -> None:
    """A relative path is one beside the configuration, an absolute one stays."""
    assert read(log="a/b").log == FILE.parent / "a/b"
    assert read(log="/a/b").log == Path("/a/b")
    assert read(password={"file": "p"}).password == Secret(file=FILE.parent / "p")


def test_secret_is_read_when_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret is what its file or variable holds at that moment, and its reference shows nothing of it."""
    file = tmp_path / "token"
    file.write_text("first\n")
    secret = Secret(file=file)
    assert secret.read() == "first"
    file.write_text("second")
    assert secret.read() == "second"
    assert "second" not in repr(secret) + str(secret.model_dump())
    monkeypatch.setenv("VW_TOKEN", "third")
    assert Secret(env="VW_TOKEN").read() == "third"


def test_missing_secret_is_said(tmp_path: Path) -> None:
    """No file, an empty file, no variable: each is a UsageError."""
    (tmp_path / "empty").touch()
    for secret in (Secret(file=tmp_path / "none"), Secret(file=tmp_path / "empty"), Secret(env="VW_NOT_SET")):
        with pytest.raises(UsageError):
            secret.read()


def test_watch_sees_changed_files(tmp_path: Path) -> None:
    """A watch says once that a file named anywhere in the settings was changed, made or removed."""
    file = tmp_path / "password"
    watch = Watch(Peer(kind="peer", password=Secret(file=file)))
    assert not watch.changed()
    file.write_text("a")
    assert watch.changed()
    assert not watch.changed()
    file.unlink()
    assert watch.changed()


def test_watch_passes_over_what_the_program_writes(tmp_path: Path) -> None:
    """What a sink writes itself, a folder of Parquet or the frames it keeps for a FHIR server, is no change."""

    class Keeping(Settings):
        key: Existing
        store: Annotated[Existing, Written]
        folder: Annotated[Existing | None, Written] = None

    (tmp_path / "folder").mkdir()
    watch = Watch(Keeping(key=tmp_path / "key", store=tmp_path / "store", folder=tmp_path / "folder"))
    (tmp_path / "store").write_text("frames")
    (tmp_path / "folder" / "file").write_text("frames")
    assert not watch.changed()
    (tmp_path / "key").write_text("another")
    assert watch.changed()


def test_tls_is_new_enough_and_verifies(tmp_path: Path) -> None:
    """Contexts of both sides take TLS 1.2 at the oldest and verify the other one where they can."""
    made = Certificates(tmp_path)
    certificate, key = made.issue("server")
    client = Tls(ca=made.ca).context()
    server = ServerTls(ca=made.ca, certificate=certificate, key=key).context()
    for context in (client, server):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.verify_mode == ssl.CERT_REQUIRED
    with pytest.raises(UsageError, match=r"none\.pem"):
        Tls(ca=tmp_path / "none.pem").context()


def test_kinds_name_what_is_missing() -> None:
    """An unknown kind is answered with the known ones, one without its extra with what to install."""
    kinds = Kinds("sink", {"there": Kind("vitalwire.errors", "x"), "bare": Kind("no_such_module", "bare")})
    assert kinds.module("there").UsageError is UsageError
    with pytest.raises(UsageError) as caught:
        kinds.module("bare")
    assert 'pip install "vitalwire[bare]"' in caught.value.advice
    for kind in ("other", None, ["there"]):
        with pytest.raises(UsageError) as caught:
            kinds.module(kind)
        assert caught.value.advice == "there are there, bare"


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_sink_is_one(kind: str) -> None:
    """Each line of the table names a module with the settings of that kind and the way to a sink."""
    module = KINDS.module(kind)
    assert module.Settings.model_fields["kind"].annotation == Literal[kind]  # type: ignore[valid-type]
    assert callable(module.from_settings)
