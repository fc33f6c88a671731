"""Boards without a key make one themselves, are certified and enrolled; lists of them go on."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.e2e.test_doctor import files_of, rewrite

from vitalwire import crypto
from vitalwire.cli import main
from vitalwire.cli.strangers import descriptors
from vitalwire.errors import TrustError
from vitalwire.registry import Registry
from vitalwire_tools import authority
from vitalwire_tools.virtual.machine import FLASH, board_file


@pytest.fixture
def blank(bench: Callable[..., Any]) -> Callable[..., Any]:
    """Start boards as they come from the assembly line: with firmware and without a key."""

    def start(**options: Any) -> Any:
        board = bench(**options).board
        board.power_cut()
        rewrite(board.folder, lambda files: [files.pop(name, None) for name in ("key", "secret", "counted")])
        offset, size = board_file().partitions["journal"]
        flash = bytearray((board.folder / FLASH).read_bytes())
        flash[offset : offset + size] = b"\xff" * size
        (board.folder / FLASH).write_bytes(flash)
        board.power_on()
        return board

    return start


def test_a_board_makes_its_key_and_is_certified(
    blank: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The certificate is of the key in the board's flash, which nothing on this side holds; frames are signed by it."""
    board, ca, registry = blank(), tmp_path / "ca", tmp_path / "own.registry"
    assert main(["board", "ca", str(ca)]) == 0
    assert main(["board", "ca", str(ca)]) == 2
    assert (ca / "ca.key").stat().st_mode & 0o077 == 0
    where = ["--ca", str(ca), "--registry", str(registry), "--labels", str(tmp_path / "labels")]
    assert main(["board", "provision", board.port, "--device", "strap 7", *where]) == 0
    with Registry(registry) as trusted:
        device = trusted.find("strap 7")
        papers = trusted.papers(device.thumbprint)
        secret = trusted.secret(device.thumbprint)
    assert papers is not None
    assert papers.board == "virtual"
    certificate = x509.load_der_x509_certificate(papers.certificate)
    certificate.verify_directly_issued_by(authority.load(ca).certificate)
    assert [each.value for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["strap 7"]
    files = files_of(board)
    key = ec.derive_private_key(int.from_bytes(files["key"], "big"), ec.SECP256R1())
    assert key.public_key() == certificate.public_key()
    assert files["secret"] == secret
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != FLASH)
    assert files["key"] not in held
    assert files["key"].hex().encode() not in held
    body = next(iter(descriptors(board.url)))
    assert (body.thumbprint, body.device) == (device.thumbprint, "strap 7")
    (drawn,) = (tmp_path / "labels").iterdir()
    assert "strap 7" in drawn.read_text()
    assert ET.parse(drawn).getroot().tag.endswith("svg")


def test_without_noise_no_key_is_made(
    blank: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where random numbers are not fit for keys the board refuses, says why, and is left without a key."""
    board = blank(extra={"DETERMINISTIC": "1"})
    authority.create(tmp_path / "ca", "maker")
    where = ["--ca", str(tmp_path / "ca"), "--registry", str(tmp_path / "own.registry")]
    assert main(["board", "provision", board.port, "--device", "strap 7", *where]) == 5
    assert "random numbers would be guessable" in capsys.readouterr().err
    assert "key" not in files_of(board)


def test_a_fleet_goes_on_where_it_stopped(
    blank: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A board that is away fails alone; the next run does only what is missing, and a key once made is kept."""
    board = blank()
    authority.create(tmp_path / "ca", "maker")
    registry = tmp_path / "own.registry"
    where = ["--ca", str(tmp_path / "ca"), "--registry", str(registry)]
    (tmp_path / "list.csv").write_text(f"device,port\nnorth,/dev/nowhere\nsouth,{board.port}\n")
    assert main(["fleet", str(tmp_path / "list.csv"), *where]) == 1
    said = capsys.readouterr().err
    assert "north: cannot open /dev/nowhere; `vitalwire ports` lists ports" in said
    assert "south: done" in said
    with Registry(registry) as trusted:
        assert [device.name for device in trusted] == ["south"]
    key = files_of(board)["key"]
    (tmp_path / "list.csv").write_text("device,port\nsouth,/dev/nowhere\n")
    assert main(["fleet", str(tmp_path / "list.csv"), *where]) == 0
    assert "was done before" in capsys.readouterr().err
    assert main(["board", "provision", board.port, "--device", "south", *where]) == 0
    assert files_of(board)["key"] == key


def test_lists_and_requests_that_are_wrong_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A CSV without devices, twice the same one, or without a port, and a request for another name or not signed."""
    maker = authority.create(tmp_path / "ca", "maker")
    for text, words in (
        ("name\nx\n", "column device"),
        ("device\nx\n", "a port"),
        ("device,port\nx,p\nx,q\n", "twice"),
    ):
        (tmp_path / "list.csv").write_text(text)
        assert main(["fleet", str(tmp_path / "list.csv"), "--ca", str(tmp_path / "ca")]) == 2
        assert words in capsys.readouterr().err
    (tmp_path / "list.csv").write_text("device,port\nx,p\n")
    assert main(["fleet", str(tmp_path / "list.csv"), "--ca", str(tmp_path)]) == 2
    key = ec.generate_private_key(ec.SECP256R1())
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "strap 7")])
    request = x509.CertificateSigningRequestBuilder().subject_name(named).sign(key, hashes.SHA256())
    good = request.public_bytes(Encoding.DER)
    assert maker.sign(good, "strap 7").public_key() == key.public_key()
    for wrong, device in ((good, "strap 8"), (good[:-1] + bytes([good[-1] ^ 1]), "strap 7"), (b"x", "strap 7")):
        with pytest.raises(TrustError):
            maker.sign(wrong, device)
    assert len(crypto.thumbprint(b"\x04" + bytes(64))) == 32


def test_a_board_gets_its_links_and_its_wifi(
    blank: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Provisioned for a network, a board holds its certificate, whom it believes, its links, and the Wi-Fi's secret."""
    board, ca, other = blank(), tmp_path / "ca", tmp_path / "other"
    assert main(["board", "ca", str(ca)]) == 0
    assert main(["board", "ca", str(other)]) == 0
    (tmp_path / "password").write_text("correct horse\n")
    links = ["serial", "tls://gateway.example:7443"]
    given = ["--wifi", "ward 3", "--wifi-password", str(tmp_path / "password"), "--trust", str(other / "ca.crt")]
    given += [word for link in links for word in ("--link", link)]
    where = ["--ca", str(ca), "--registry", str(tmp_path / "own.registry")]
    assert main(["board", "provision", board.port, "--device", "strap 7", *where, *given]) == 0
    board.power_cut()
    files = files_of(board)
    assert json.loads(files["config.json"])["links"] == links
    assert (files["ssid"], files["psk"]) == (b"ward 3", b"correct horse")
    certificate = x509.load_der_x509_certificate(files["client.der"])
    certificate.verify_directly_issued_by(authority.load(ca).certificate)
    assert x509.load_der_x509_certificate(files["ca.der"]) == authority.load(other).certificate
    assert "correct horse" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--link", "tls://gateway"], "a list of some of serial, tls://HOST:PORT"),
        (["--wifi", "x" * 33], "1 to 32 bytes"),
        (["--wifi", "ward", "--wifi-password", "short"], "8 to 63 bytes"),
    ],
)
def test_a_network_that_no_board_takes_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], words: str
) -> None:
    """A link, a name or a password out of bounds is refused in words before a board is touched."""
    (tmp_path / "short").write_text("1234567")
    given = [str(tmp_path / word) if word == "short" else word for word in given]
    assert main(["board", "ca", str(tmp_path / "ca")]) == 0
    assert main(["board", "provision", "/dev/nowhere", "--device", "a", "--ca", str(tmp_path / "ca"), *given]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_a_servers_key_is_never_written_over(tmp_path: Path) -> None:
    """A gateway's certificate is for its name or address and signed by the authority; a second one is refused."""
    ca, out = tmp_path / "ca", ["--out", str(tmp_path)]
    assert main(["board", "ca", str(ca)]) == 0
    for host, kind in (("gateway.example", x509.DNSName), ("192.0.2.7", x509.IPAddress)):
        assert main(["board", "server", host, "--ca", str(ca), *out]) == 0
        made = x509.load_pem_x509_certificate((tmp_path / f"{host}.crt").read_bytes())
        made.verify_directly_issued_by(authority.load(ca).certificate)
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [str(name) for name in names.get_values_for_type(kind)] == [host]
        assert (tmp_path / f"{host}.key").stat().st_mode & 0o077 == 0
        assert main(["board", "server", host, "--ca", str(ca), *out]) == 2
