"""Jobs of a gateway: kept until they end, one of a kind for each device, seen and cancelled by an operator."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.fakeboard import Board
from tests.gateway.site import SECRET, Site, connect_to, journal

from vitalwire.audit import AuditLog, parse
from vitalwire.cli import main
from vitalwire.configuration import Configuration, from_words, sign_configuration
from vitalwire.errors import UsageError
from vitalwire.gateway import Content, Job, JobChanged, JobKind, Jobs, JobStage
from vitalwire.registry import Registry
from vitalwire.testing import FakeDevice
from vitalwire.update import Package, pack
from vitalwire_protocol.spec import Command, Result

NOWHERE = '[sink.nowhere]\nkind = "http"\nurl = "http://127.0.0.1:9/"\n'  # nobody listens there
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def jobs_of(folder: Path) -> Jobs:
    """Open the jobs of the gateway in a folder."""
    return Jobs(folder / "spool.db")


def jobs_at(folder: Path) -> list[Job]:
    """Return all jobs."""
    with jobs_of(folder) as jobs:
        return jobs.find()


def message(device: FakeDevice, version: int = 1) -> bytes:
    """Return a configuration for a device."""
    return sign_configuration(Configuration(device.thumbprint, version, from_words(["status_s=7"])), KEY)


def package(board: str = "virtual") -> Package:
    """Return an update."""
    return pack(KEY, {"start.mpy": b"something"}, board=board, firmware="2.0", counter=2)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A gateway that knows bed-4, bed-5 and the revoked bed-6, with what an operator has as files."""
    site = Site(tmp_path, *(FakeDevice(name) for name in ("bed-4", "bed-5", "bed-6")))
    with Registry(site.registry) as registry:
        registry.revoke(site.devices[2].thumbprint)
    site.configure(NOWHERE)
    (tmp_path / "maker.pem").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "other.pem").write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "public.pem").write_bytes(
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "new.vwu").write_bytes(package().data)
    (tmp_path / "bed-4.config").write_text(base64.b64encode(message(site.devices[0])).decode() + "\n")
    return site


def test_a_job_is_kept_until_it_ends(tmp_path: Path) -> None:
    """What is to be brought is readable by the owner only, outlives the process, and goes with the last job of it."""
    content = Content(package().data, PUBLIC)
    with jobs_of(tmp_path) as jobs:
        first, second = jobs.add(["bed-4", "bed-5"], JobKind.UPDATE, "2.0", content)
    assert stat.S_IMODE((tmp_path / "spool.db.jobs").stat().st_mode) == 0o600
    with jobs_of(tmp_path) as jobs:
        one, two = jobs.find(ended=False)
        assert (one.number, two.number, one.device) == (first, second, "bed-4")
        assert jobs.content(one) == content
        jobs.advance(one, JobStage.SENDING, 20)
        assert jobs.find()[0][6:9] == (JobStage.SENDING, "", 20)
        assert jobs.end(first, JobStage.DONE)
        assert not jobs.end(first, JobStage.REFUSED)
        assert jobs.content(two) == content
        jobs.cancel(second)
        with pytest.raises(UsageError, match="has ended"):
            jobs.content(two)
        assert [job.stage for job in jobs.find()] == [JobStage.DONE, JobStage.CANCELLED]


def test_a_newer_job_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    """A device has one open job of a kind; others', and those of another kind, stay."""
    with jobs_of(tmp_path) as jobs:
        jobs.add(["bed-4", "bed-5"], JobKind.UPDATE, "2.0", Content(b"a"))
        jobs.add(["bed-4"], JobKind.CONFIGURATION, "version 1", Content(b"b"))
        jobs.add(["bed-4"], JobKind.UPDATE, "2.1", Content(b"c"))
        assert [(job.device, job.title) for job in jobs.find(ended=False)] == [
            ("bed-5", "2.0"), ("bed-4", "version 1"), ("bed-4", "2.1"),
        ]  # fmt: skip
        assert jobs.find()[0].why == "replaced"


@pytest.mark.asyncio
async def test_what_a_device_refuses_ends_the_job(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The device's word ends a job, is told, audited and shown; a job for a device that is away goes on waiting."""
    with Board(site.devices[0], SECRET) as board:
        site.configure(connect_to(board), NOWHERE)
        board.refuse[Command.CONFIGURE] = Result.NOT_PROVISIONED
        board.send(*journal(site.devices[0], 3))
        config = str(site.file)
        assert main(["gateway", "jobs", "config", config, str(tmp_path / "bed-4.config")]) == 0
        update = ["gateway", "jobs", "update", config, str(tmp_path / "new.vwu")]
        assert main([*update, "bed-5", "--key", str(tmp_path / "public.pem")]) == 0
        async with site.running():
            await site.until(lambda: site.of(JobChanged))
            await site.until(lambda: not jobs_at(tmp_path)[0].is_open)
    told = site.of(JobChanged)[-1]
    assert (told.number, told.device, told.stage, told.why) == (1, "bed-4", JobStage.REFUSED, "NOT_PROVISIONED")
    capsys.readouterr()
    assert main(["gateway", "jobs", "list", config, "--all", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(job["device"], job["stage"], job["why"]) for job in shown] == [
        ("bed-4", "refused", "NOT_PROVISIONED"), ("bed-5", "waiting", ""),
    ]  # fmt: skip
    assert main(["gateway", "jobs", "cancel", config, "2"]) == 0
    assert main(["gateway", "jobs", "cancel", config, "2"]) == 2
    words = [parse(line).what for line in AuditLog(tmp_path / "audit.jsonl").lines()]
    assert words == ["job-added", "job-added", "job-cancelled"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["update", "new.vwu", "bed-4", "--key", "other.pem"], "signature"),
        (["update", "new.vwu", "--key", "public.pem"], "to which devices"),
        (["update", "new.vwu", "bed-4", "--all", "--key", "public.pem"], "to which devices"),
        (["update", "new.vwu", "--all", "--key", "public.pem"], "no trusted device is known to be a virtual"),
        (["update", "new.vwu", "bed-9", "--key", "public.pem"], "no enrolled device"),
        (["update", "new.vwu", "bed-6", "--key", "public.pem"], "bed-6 is revoked"),
        (["update", "bed-4.config", "bed-4", "--key", "public.pem"], "no update"),
        (["update", "nothing", "bed-4", "--key", "public.pem"], "cannot read"),
        (["config", "new.vwu"], "no signed configuration"),
        (["config", "public.pem"], "no signed configuration"),
        (["cancel", "7"], "no job 7 is open"),
    ],
)
def test_what_is_no_job_is_refused(
    site: Site, tmp_path: Path, command: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what is wrong, and nothing is to be brought."""
    name, *rest = command
    files = {path.name for path in tmp_path.iterdir()} | {"nothing"}
    given = [str(tmp_path / each) if each in files else each for each in rest]
    assert main(["gateway", "jobs", name, str(site.file), *given]) in (2, 3, 4)
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not jobs_at(tmp_path)


def test_an_update_for_another_board_is_refused(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the registry knows a device's board, another board's update is not brought there; --all chooses by it."""
    with Registry(site.registry) as registry:
        registry.certify(site.devices[0].thumbprint, b"certificate", "virtual", "1.0")
        registry.certify(site.devices[1].thumbprint, b"certificate", "seeed_xiao_esp32s3", "1.0")
    update = [
        "gateway",
        "jobs",
        "update",
        str(site.file),
        str(tmp_path / "new.vwu"),
        "--key",
        str(tmp_path / "public.pem"),
    ]
    assert main([*update, "bed-5"]) == 2
    assert "bed-5 is a seeed_xiao_esp32s3, the update is for virtual" in capsys.readouterr().err
    assert main([*update, "--all"]) == 0
    assert [job.device for job in jobs_at(tmp_path)] == ["bed-4"]
