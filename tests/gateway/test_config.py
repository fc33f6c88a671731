"""gateway.toml: read whole, refused in one line, and looked after by the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.gateway.certificates import Certificates
from tests.sinks.entries import entries_of

from vitalwire import gateway
from vitalwire.cli import main
from vitalwire.errors import UsageError
from vitalwire.gateway import Gateway, load
from vitalwire.gateway.sources import KINDS
from vitalwire.spool import Spool
from vitalwire.testing import FakeDevice

WHOLE = """
[gateway]
registry = "registry.db"

[spool]
path = "/var/lib/vitalwire/spool.db"
max_mb = 500
full = "drop-oldest"

[source.ward]
kind = "listen"
listen = "0.0.0.0:7400"
tls = { certificate = "server.pem", key = "server.key", ca = "devices.pem" }
peers = { relay-1 = ["walk", "bed"] }

[source.usb]
kind = "serial"
ports = ["/dev/serial/by-id/*"]
devices = ["walk"]

[sink.hub]
kind = "mqtt"
host = "broker.example"
user = "gateway"
password = { file = "password" }

[sink.archive]
kind = "http"
url = "https://archive.example/frames"
"""


def written(folder: Path, text: str) -> Path:
    """Write a configuration."""
    file = folder / "gateway.toml"
    file.write_text(text)
    return file


def test_a_whole_configuration(tmp_path: Path) -> None:
    """Every table becomes a model of its kind, paths beside the file are found, secrets stay references."""
    config = load(written(tmp_path, WHOLE))
    assert config.gateway.registry == tmp_path / "registry.db"
    assert config.spool.path == Path("/var/lib/vitalwire/spool.db")
    assert {name: settings.kind for name, settings in config.sources.items()} == {"ward": "listen", "usb": "serial"}
    assert list(config.sinks) == ["hub", "archive"]
    assert "password" in repr(config.sinks["hub"])
    assert str(tmp_path / "password") in repr(config.sinks["hub"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "mqtt"', 'kind = "mqtr"', "sink.hub.kind: no sink of the kind 'mqtr'"),
        ('kind = "mqtt"', "", "sink.hub.kind: no sink of the kind None"),
        ("[sink.hub]", "[sinks.hub]", "sinks: no such table"),
        ("[sink.hub]", '[sink."a b"]', "sink.a b: a name is of letters"),
        ("max_mb = 500", "max_mb = 0", "spool.max_mb: Input should be greater than or equal to 1"),
        ('"drop-oldest"', '"forget"', "spool.full: Input should be 'refuse' or 'drop-oldest'"),
        ('"0.0.0.0:7400"', '"here"', "source.ward.listen: must be host:port"),
        (', ca = "devices.pem"', "", "source.ward: peers must show a certificate"),
        ("[spool]", "[spool", "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Each mistake is one line that names the file, the key and what is allowed."""
    assert old in WHOLE
    file = written(tmp_path, WHOLE.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        load(file)
    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gateway_without_sinks_does_not_begin(tmp_path: Path) -> None:
    """Frames that nobody would ever take are not collected."""
    config = load(written(tmp_path, '[spool]\npath = "spool.db"\n'))
    with pytest.raises(UsageError, match="has no"):
        Gateway(config)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_of_source_is_one(kind: str) -> None:
    """Each line of the table names a module with the settings of that kind and the way to a source."""
    module = KINDS.module(kind)
    assert kind in str(module.Settings.model_fields["kind"].annotation)
    assert callable(module.from_settings)


def test_the_command_looks_after_dead_letters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` tries secrets and certificates; `dead list`, `show`, `redrive` see what the spool has; `forget` asks."""
    file = written(tmp_path, WHOLE.replace("/var/lib/vitalwire/", ""))
    Certificates(tmp_path).issue("server")
    (tmp_path / "ca.pem").rename(tmp_path / "devices.pem")
    assert main(["gateway", "check", str(file)]) == UsageError.exit_code
    assert "sink.hub.password: cannot read the secret" in capsys.readouterr().err
    (tmp_path / "password").write_text("sesame")
    assert main(["gateway", "check", str(file)]) == 0
    assert "sink archive" in capsys.readouterr().out
    Certificates(tmp_path).issue("server", expired=True)
    assert main(["gateway", "check", str(file)]) == UsageError.exit_code
    assert "source.ward.tls: " in capsys.readouterr().err
    assert main(["gateway", "dead", "list", str(file)]) == UsageError.exit_code  # there is no spool yet
    spool = Spool(tmp_path / "spool.db", ["hub", "archive", "old"])
    (stored, _) = spool.append([replace(e, position=0) for e in entries_of([FakeDevice("walk")], 2)]).result()
    spool.bury("hub", stored, "HTTP 422 no", 0).result()
    spool.close()
    capsys.readouterr()
    assert main(["gateway", "dead", "list", str(file)]) == 0
    listed = capsys.readouterr().out
    assert "walk" in listed
    assert "HTTP 422 no" in listed
    saved = tmp_path / "frame"
    assert main(["gateway", "dead", "show", str(file), str(stored.position), "--save", str(saved)]) == 0
    assert saved.read_bytes() == stored.raw
    assert stored.digest.hex() in capsys.readouterr().out
    assert main(["gateway", "dead", "redrive", str(file), "--sink", "hub"]) == 0
    assert "1 to be tried again" in capsys.readouterr().err
    assert main(["gateway", "forget", str(file), "hub"]) == UsageError.exit_code  # it is configured
    assert main(["gateway", "run", str(file)]) == UsageError.exit_code  # two entries wait for old
    assert "2 entries wait for the sink old" in capsys.readouterr().err
    assert main(["gateway", "forget", str(file), "old", "--yes"]) == 0


def test_the_readme_says_what_there_is(tmp_path: Path) -> None:
    """The README's tables have each default as it is, and each kind of source."""
    text = (Path(gateway.__file__).parent / "README.md").read_text()
    tables = text.split("```toml\n")[1].split("```")[0]
    config = load(written(tmp_path, tables))
    bare = load(written(tmp_path, '[spool]\npath = "spool.db"\n'))
    assert (config.gateway.settle, config.gateway.set_time, config.gateway.stop) == (
        bare.gateway.settle, bare.gateway.set_time, bare.gateway.stop,
    )  # fmt: skip
    assert config.spool == bare.spool
    assert [kind for kind in KINDS if f"\n| `{kind}` |" not in text] == []
