"""The audit log: lines that fix each other, a signed head, and the command that proves both."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import jws
from vitalwire.audit import AuditLog, check, parse, verify_head
from vitalwire.audit.chain import MAX_DETAILS, MAX_TEXT
from vitalwire.cli import main
from vitalwire.errors import InputError, SignatureError, TransportError, UsageError


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """A log of five records."""
    log = AuditLog(tmp_path / "audit.jsonl")
    for number in range(5):
        log.write("device-enrol", device=f"band {number}", thumbprint=f"{number:064x}")
    return log


def test_records_come_back_as_written(log: AuditLog) -> None:
    """Numbers rise from one, details keep their types, and only the owner can read the file."""
    record = log.write("flag", yes=True, count=7, nothing=None, text='"\n\x1b\u20ac')
    assert record.n == 6
    *_, last = [parse(line) for line in log.lines()]
    assert last == record
    assert dict(last.details) == {"yes": True, "count": 7, "nothing": None, "text": '"\n\x1b\u20ac'}
    assert check(log.lines()).count == 6
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


CHANGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "altered": lambda lines: [lines[0], lines[1].replace(b"band 1", b"band 9"), *lines[2:]],
    "removed": lambda lines: [*lines[:2], *lines[3:]],
    "first removed": lambda lines: lines[1:],
    "moved": lambda lines: [lines[1], lines[0], *lines[2:]],
    "repeated": lambda lines: [lines[0], *lines],
    "another form": lambda lines: [lines[0].replace(b'{"n":1', b'{ "n":1'), *lines[1:]],
    "torn inside": lambda lines: [lines[0][:-5], *lines[1:]],
    "no JSON": lambda lines: [*lines[:2], b"nonsense\n", *lines[3:]],
    "not an object": lambda lines: [b"[]\n", *lines],
    "number as text": lambda lines: [lines[0].replace(b'"n":1', b'"n":"1"'), *lines[1:]],
    "endless": lambda lines: [*lines, b'{"n":6,"time":"' + b"0" * 9000 + b'"}\n'],
    "deep": lambda lines: [b"[" * 8000 + b"\n", *lines],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_is_found(log: AuditLog, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """A log with one line altered, moved, repeated or removed is refused with the line's number."""
    with pytest.raises(InputError, match="line"):
        check(change(list(log.lines())))


def test_a_head_fixes_every_line_before_it(log: AuditLog) -> None:
    """A log written anew from the first line, or cut off before the head, contradicts the head; growing does not."""
    key = ec.generate_private_key(ec.SECP256R1())
    head = verify_head(log.export_head(key), key.public_key())
    assert (head.n, head.digest) == (5, check(log.lines()).digest)
    log.write("more")
    assert check(log.lines(), head.n, head.digest).count == 6
    with pytest.raises(InputError, match="ends at line 4"):
        check(list(log.lines())[:4], head.n, head.digest)
    other = AuditLog(log.path.with_name("other.jsonl"))
    for number in range(6):
        other.write("device-enrol", device=f"band {number}", thumbprint="00")
    with pytest.raises(InputError, match="digest was signed"):
        check(other.lines(), head.n, head.digest)


def test_a_torn_line_is_cut_off_and_said_to_be(log: AuditLog) -> None:
    """What a power cut left of a line counts for nothing, and the next record stands behind one that says so."""
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + b'{"n":6,"ti')
    assert check(log.lines()).torn == 10
    log.write("after")
    *_, torn, after = [parse(line) for line in log.lines()]
    assert (torn.what, dict(torn.details), after.what, after.n) == ("audit-log-torn", {"bytes": 10}, "after", 7)
    assert check(log.lines()).count == 7


def test_bounds_of_a_record(log: AuditLog) -> None:
    """Too many, too long and unknown kinds of details are refused, and nothing is written."""
    before = log.path.read_bytes()
    for details in (
        {f"d{number}": 1 for number in range(MAX_DETAILS + 1)},
        {"text": "x" * (MAX_TEXT + 1)},
        {"bytes": b""},
    ):
        with pytest.raises(UsageError):
            log.write("what", **details)  # type: ignore[arg-type]
    assert log.path.read_bytes() == before
    log.write("what", **{f"d{number}": "\U0001f480" * MAX_TEXT for number in range(2)})
    assert check(log.lines()).count == 6


def test_several_processes_write_one_log(tmp_path: Path) -> None:
    """Records of processes that write at the same time stand one behind the other."""
    path = tmp_path / "audit.jsonl"
    program = (
        "import sys; from vitalwire.audit import AuditLog\nfor _ in range(20): AuditLog(sys.argv[1]).write('event')"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, path]) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert check(AuditLog(path).lines()).count == 60


def test_what_is_no_log(tmp_path: Path) -> None:
    """A missing log and a file of something else are errors of ours, and the file stays as it was."""
    with pytest.raises(TransportError):
        check(AuditLog(tmp_path / "none").lines())
    other = tmp_path / "other"
    other.write_bytes(b"x" * 100_000)
    with pytest.raises(InputError):
        AuditLog(other).write("what")
    assert other.read_bytes() == b"x" * 100_000


# ------------------------------------------------------------ JWS


def test_jws_is_bound_to_use_key_and_form(tmp_path: Path) -> None:
    """Another type, key, algorithm, payload or encoding of the same bytes does not verify."""
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    text = jws.sign(key, "a", b"payload")
    assert jws.verify(text, key.public_key(), "a") == b"payload"
    head, body, tail = text.split(".")
    none = jws._encode(b'{"alg":"none","typ":"a"}')
    changed = (
        f"{none}.{body}",
        f"{head}.{body}x",
        f"{head}.{body}=",
        f"{head}.{jws._encode(b'Payload')}",
        head,
        "\u20ac.\u20ac",
    )
    for bad in (*(f"{each}.{tail}" for each in changed), f"{head}.{body}", f"{head}.{body}.{tail[:-4]}", ""):
        with pytest.raises(SignatureError):
            jws.verify(bad, key.public_key(), "a")
    for public, typ in ((other.public_key(), "a"), (key.public_key(), "b")):
        with pytest.raises(SignatureError):
            jws.verify(text, public, typ)


def test_a_jws_verifies_elsewhere(tmp_path: Path) -> None:
    """What we sign, PyJWT verifies with the exported public key."""
    key = jws.create_key(tmp_path / "key.pem")
    text = jws.sign(key, "a", b'{"n":1}')
    assert jwt.decode(text, jws.public_pem(key), algorithms=["ES256"]) == {"n": 1}


def test_key_files(tmp_path: Path) -> None:
    """A key is made once, for its owner only; what is no P-256 key is refused without showing it."""
    path = tmp_path / "key.pem"
    key = jws.create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert jws.load_key(path).private_numbers() == key.private_numbers()
    public = tmp_path / "public.pem"
    public.write_text(jws.public_pem(key))
    assert jws.load_public_key(public) == jws.load_public_key(path) == key.public_key()
    with pytest.raises(UsageError):
        jws.create_key(path)
    (tmp_path / "no.pem").write_text("secret text")
    for wrong in ("no.pem", "missing.pem"):
        for load in (jws.load_key, jws.load_public_key):
            with pytest.raises(UsageError) as caught:
                load(tmp_path / wrong)
            assert "secret text" not in str(caught.value)


def test_a_head_is_nothing_else(tmp_path: Path) -> None:
    """A JWS of a head's type that holds something else is refused."""
    key = ec.generate_private_key(ec.SECP256R1())
    for payload in (b"[]", b"{}", b"x", b'{"n":"1","digest":"","time":""}', b'{"n":1,"digest":1,"time":""}'):
        with pytest.raises(SignatureError):
            verify_head(jws.sign(key, "vitalwire-audit-head", payload), key.public_key())


# ------------------------------------------------------------ the command


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Enrolling and revoking are written down; a signed head proves the log, and a change to it is found."""
    monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path))
    fingerprint = "ab" * 32
    assert main(["device", "enrol", fingerprint, "--name", "band"]) == 0
    assert main(["device", "enrol", fingerprint, "--name", "band"]) in (0, 2)
    assert main(["device", "revoke", "band", "--yes"]) == 0
    assert main(["device", "enrol", fingerprint, "--name", "band"]) == 4  # revoked for good
    capsys.readouterr()
    assert main(["audit", "show", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    words = [record["what"] for record in records]
    assert words[0] == "device-enrol"
    assert words[-3:] == ["device-revoke", "device-enrol", "device-enrol-failed"]
    assert all(record["details"]["thumbprint"] == fingerprint for record in records)

    key, head, public = (tmp_path / name for name in ("key.pem", "head.jws", "public.pem"))
    assert main(["audit", "key", str(key)]) == 0
    public.write_text(capsys.readouterr().out)
    assert main(["audit", "head", "--key", str(key)]) == 0
    head.write_text(capsys.readouterr().out)
    proof = ["audit", "verify", "--head", str(head), "--key", str(public), "--json"]
    assert main(proof) == 0
    assert json.loads(capsys.readouterr().out)["signed"] == len(records)
    log = tmp_path / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"device":"band"', b'"device":"bend"', 1))
    assert main(proof) == 3
    assert "line 1 is not the one" in capsys.readouterr().err
    assert main(["audit", "verify", "--head", str(head)]) == 2
