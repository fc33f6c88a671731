"""What an operator sees of a gateway: figures, health, log, audit log, objectives, and the page behind its token."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.fakeboard import Board
from tests.gateway.site import SECRET, Site, connect_to, journal, mqtt_to
from tests.mosquitto import Mosquitto
from tests.waiting import FAR

from vitalwire import jws
from vitalwire.audit import AuditLog, check, parse, verify_head
from vitalwire.cli import main
from vitalwire.errors import TransportError, UsageError
from vitalwire.frame import parse as frame_parse
from vitalwire.gateway import (
    Concluded,
    Delivered,
    GatewayEvent,
    RoomLost,
    SinkChanged,
    SinkState,
    SourceChanged,
    SpoolChanged,
    Spooled,
    load,
    operate,
)
from vitalwire.gateway.operations import Auditor, AuditSettings, Logger, Objectives, ObjectiveSettings, View
from vitalwire.gateway.operations.health import Health
from vitalwire.gateway.operations.metrics import Metrics
from vitalwire.gateway.operations.records import BURST
from vitalwire.gateway.operations.view import MOST_DEVICES, POINTS
from vitalwire.session import Gap, GapClosed, Reason, Refused
from vitalwire.spool import Entry, Lost, State, Trust
from vitalwire.testing import FakeDevice, forged
from vitalwire_protocol.spec import Event, Kind

DEVICE = bytes(range(32))
FULL = State(9, 10, True, 1, {"cloud": 1}, {"cloud": 0}, {"cloud": 0})


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Return a broker of the test's own."""
    with Mosquitto(tmp_path / "broker") as started:
        yield started


def entry(position: int = 1, *, raw: bytes = b"x", age: float = 0.1, device: int = 0, kind: int = Kind.DATA) -> Entry:
    """Return an entry whose sample is so many seconds old."""
    now = time.time_ns() // 1000
    thumbprint = device.to_bytes(32, "big")
    return Entry(
        position,
        f"d{device}",
        thumbprint,
        kind,
        1,
        position,
        bytes(32),
        raw,
        now,
        now - int(age * 1e6),
        10,
        Trust.SIGNED,
    )


def delivered(*entries: Entry) -> Delivered:
    """Return that a sink has entries, now."""
    now = time.time_ns() // 1000
    return Delivered("cloud", entries, now, now)


def refused(reason: Reason = Reason.FORGED) -> Concluded:
    """Return that a frame was not believed."""
    return Concluded("ward", "10.0.0.9:1", Refused(reason, "signature", b"raw", DEVICE))


class Web:
    """A running gateway's web server, asked with its token or without."""

    def __init__(self, site: Site, session: aiohttp.ClientSession, port: int) -> None:
        self.site, self._session, self._url = site, session, f"http://127.0.0.1:{port}"

    @property
    def token(self) -> str:
        """The token that this start has made."""
        return (self.site.folder / "status-token").read_text().strip()

    async def ask(self, path: str, *, token: str | None = "", **options: Any) -> tuple[int, dict[str, str], str]:
        """Return status, headers and text; "" is the right token, None is none."""
        headers = {} if token is None else {"Authorization": f"Bearer {token or self.token}"}
        async with self._session.get(self._url + path, headers=headers, allow_redirects=False, **options) as answer:
            return answer.status, dict(answer.headers), await answer.text()

    async def json(self, path: str) -> Any:
        """Return a document."""
        status, _, text = await self.ask(path)
        assert status == 200, text
        return json.loads(text)


@asynccontextmanager
async def operated(site: Site, port: int) -> AsyncIterator[Web]:
    """Run a gateway with everything around it."""
    stop = asyncio.Event()
    task = asyncio.create_task(operate(load(site.file), stop))
    try:
        async with aiohttp.ClientSession() as session:
            web = Web(site, session, port)
            end = time.monotonic() + FAR
            while True:
                assert not task.done(), task.exception()
                assert time.monotonic() < end
                try:
                    await web.ask("/healthz", token=None)
                    break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.02)
            yield web
    finally:
        stop.set()
        await asyncio.wait_for(task, FAR)


def status_on(port: int) -> str:
    """Return the tables of the operator, everything in the site's own folder."""
    return f'[status]\nlisten = "127.0.0.1:{port}"\n[audit]\nfile = "audit.jsonl"\nkey = "key.pem"\nhead = "head.jws"\n'


@pytest.mark.asyncio
async def test_the_page_and_its_data(tmp_path: Path, broker: Mosquitto, unused_tcp_port: int) -> None:
    """A device's frames show in the page's data, in the metrics and as waveforms; a forged one in the audit log."""
    device = FakeDevice("walk")
    jws.create_key(tmp_path / "key.pem")
    with Board(device, SECRET) as board:
        site = Site(tmp_path, device)
        site.configure(connect_to(board), mqtt_to(broker.port), status_on(unused_tcp_port))
        async with operated(site, unused_tcp_port) as web:
            frames = [*journal(device, 4), device.sampled(2.0)]
            end = time.monotonic() + FAR

            async def until(count: int) -> None:
                while not (devices := (await web.json("/status.json"))["devices"]) or devices[0]["frames"] < count:
                    assert time.monotonic() < end
                    await asyncio.sleep(0.05)

            board.send(*frames[:-1])
            await until(4)
            board.send(forged(frames[2]), keep=False)
            board.send(frames[-1])
            await until(5)
            shown = await web.json("/status.json")
            while not shown["troubles"] or shown["sinks"]["broker"]["delivered"] < 5:
                assert time.monotonic() < end
                shown = await web.json("/status.json")
            assert (shown["devices"][0]["name"], shown["devices"][0]["missing"]) == ("walk", 0)
            assert {trouble["what"] for trouble in shown["troubles"]} == {"forged"}
            assert shown["sources"] == {"boards": [f"127.0.0.1:{board.port}"]}
            assert shown["down"] == {}
            waves = await web.json(f"/waves/{device.thumbprint.hex()}.json")
            assert "ecg_lead_i" in [wave["name"] for wave in waves]
            assert all(0 < len(wave["values"]) <= POINTS + 2 for wave in waves)
            for nobody in ("00" * 32, "xyz", "00"):
                assert (await web.ask(f"/waves/{nobody}.json"))[::2] in ((200, "[]"), (404, "404: Not Found"))
            metrics = {
                (sample.name, *sample.labels.values()): sample.value
                for family in text_string_to_metric_families((await web.ask("/metrics"))[2])
                for sample in family.samples
            }
            assert metrics["vitalwire_frames_spooled_total",] == 5
            assert metrics["vitalwire_frames_delivered_total", "broker"] == 5
            assert metrics["vitalwire_frames_refused_total", "forged"] >= 1
            assert metrics["vitalwire_arrival_to_sink_seconds_count", "broker"] == 5
            assert metrics["vitalwire_sink_waiting_entries", "broker"] == 0
            assert json.loads((await web.ask("/readyz", token=None))[2])["ready"] is True
    records = [parse(line) for line in AuditLog(tmp_path / "audit.jsonl").lines()]
    words = [record.what for record in records]
    assert (words[0], words[-1]) == ("gateway-started", "gateway-stopped")
    assert "frame-forged" in words
    key = jws.load_key(tmp_path / "key.pem").public_key()
    head = verify_head((tmp_path / "head.jws").read_text(), key)
    assert check(AuditLog(tmp_path / "audit.jsonl").lines(), head.n, head.digest).count == len(records)


@pytest.mark.asyncio
async def test_the_token_is_needed(tmp_path: Path, broker: Mosquitto, unused_tcp_port: int) -> None:
    """Without the token only health is told; the address with it becomes a cookie; no page runs anybody's script."""
    site = Site(tmp_path)
    site.configure(mqtt_to(broker.port), status_on(unused_tcp_port).replace('key = "key.pem"\nhead = "head.jws"\n', ""))
    async with operated(site, unused_tcp_port) as web:
        for path in ("/", "/status.json", f"/waves/{'00' * 32}.json", "/metrics", "/page.js"):
            for token in (None, "wrong", "\u00e9"):
                assert (await web.ask(path, token=token))[0] == 401, (path, token)
            status, headers, _ = await web.ask(path)
            assert status == 200
            assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert (await web.ask("/?token=wrong", token=None))[0] == 401
        status, headers, _ = await web.ask(f"/?token={web.token}", token=None)
        assert (status, headers["Location"]) == (303, "/")
        assert "HttpOnly" in headers["Set-Cookie"]
        assert "SameSite=Strict" in headers["Set-Cookie"]
        assert (await web.ask("/", token=None, cookies={"vitalwire": web.token}))[0] == 200
        assert (tmp_path / "status-token").stat().st_mode & 0o077 == 0
        assert (await web.ask("/nothing"))[0] == 404


ADDRESSES = {"9464": UsageError, "host:": UsageError, "127.0.0.1:99999": UsageError, "192.0.2.1:1": TransportError}


@pytest.mark.parametrize(("listen", "error"), ADDRESSES.items())
def test_a_wrong_address_is_an_error(tmp_path: Path, listen: str, error: type[Exception]) -> None:
    """An address that is none, or not ours, ends the start with one line."""
    site = Site(tmp_path)
    site.configure(mqtt_to(1), f'[status]\nlisten = "{listen}"\nplain = true\n[audit]\nfile = "audit.jsonl"\n')
    with pytest.raises(error):
        asyncio.run(operate(load(site.file), asyncio.Event()))


def test_ready_is_who_takes_frames() -> None:
    """A spool that refuses makes a gateway unready, a sink that is away does not."""
    health = Health()
    assert health.ready()[0] is False
    health.is_running = True
    health(SinkChanged("cloud", SinkState.BROKEN, "away"))
    assert health.ready() == (True, {"running": True, "sinks": {"cloud": "broken"}})
    health(SpoolChanged(False, True, "the spool is full", FULL))
    assert health.ready()[0] is False
    health(SpoolChanged(True, True, "", FULL))
    assert health.ready()[0] is True


def test_log_lines_are_json_and_a_flood_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each event is one line; of a flood the first are written and the others' number stands in the next."""
    clock = [1000.0]
    monkeypatch.setattr("vitalwire.gateway.operations.records.time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    logger = Logger(stream)
    for _ in range(BURST + 90):
        logger(refused())
    logger(Spooled((entry(),), (0,), 0))  # what happens with every frame is no line
    clock[0] += 61
    logger(refused())
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == BURST + 1
    assert {line["event"] for line in lines} == {"frame-forged"}
    assert lines[0]["device"] == DEVICE.hex()
    assert lines[-1]["held_back"] == 90
    assert "raw" not in stream.getvalue()


def test_security_events_are_audited_within_bounds(tmp_path: Path) -> None:
    """Forgeries are written down, malformed bytes are not, and a flood of one kind is not a flood of records."""
    auditor = Auditor(AuditSettings(file=tmp_path / "audit.jsonl"))
    for _ in range(BURST + 50):
        auditor(refused())
        auditor(refused(Reason.MALFORMED))
    auditor.close()
    records = [parse(line) for line in AuditLog(tmp_path / "audit.jsonl").lines()]
    assert [record.what for record in records] == ["frame-forged"] * BURST
    assert dict(records[0].details) == {
        "device": DEVICE.hex(), "detail": "signature", "source": "ward", "peer": "10.0.0.9:1",
    }  # fmt: skip


PROMISES: dict[str, tuple[list[GatewayEvent], tuple[int, int, int], tuple[int, int, int]]] = {
    "nothing": ([], (0, 0, 0), (0, 0, 0)),
    "in time": ([Spooled((entry(),), (0,), 0), delivered(entry())], (0, 0, 0), (1, 1, 1)),
    "late": ([Spooled((entry(),), (0,), 0), delivered(entry(age=61))], (1, 0, 0), (1, 1, 1)),
    "of unknown age": ([delivered(replace(entry(), time_us=None))], (1, 0, 0), (1, 0, 0)),
    "gap": ([Spooled((entry(),), (0,), 0), Concluded(None, None, Gap(DEVICE, 3, 7))], (0, 5, 0), (0, 6, 1)),
    "closed": ([Concluded(None, None, Gap(DEVICE, 3, 7)), Concluded(None, None, GapClosed(DEVICE, 3, 7))],
               (0, 0, 0), (0, 0, 0)),
    "no room": ([RoomLost(Lost("cloud", 4, 5))], (0, 2, 0), (0, 2, 0)),
    "forged": ([refused(), Spooled((entry(),), (0,), 0)], (0, 0, 1), (0, 1, 2)),
}  # fmt: skip


@pytest.mark.parametrize(("events", "bad", "total"), PROMISES.values(), ids=PROMISES)
def test_promises_are_counted(
    tmp_path: Path, events: list[GatewayEvent], bad: tuple[int, ...], total: tuple[int, ...]
) -> None:
    """What counts against each promise, and of how many."""
    objectives = Objectives(ObjectiveSettings(), tmp_path / "counts")
    for event in events:
        objectives(event)
    reports = objectives.report()
    assert (tuple(r.bad for r in reports), tuple(r.total for r in reports)) == (bad, total)
    objectives.close()


def test_promises_outlive_a_restart_and_forget_what_is_old(tmp_path: Path) -> None:
    """Counts of an earlier run count for as many days as promised; a budget is spent by as much as it allows."""
    now = [time.time()]
    settings = ObjectiveSettings(days=2)
    for _ in range(2):
        objectives = Objectives(settings, tmp_path / "counts", lambda: now[0])
        for _ in range(99):
            objectives(delivered(entry()))
        objectives(delivered(entry(age=99)))
        objectives.close()
    objectives = Objectives(settings, tmp_path / "counts", lambda: now[0])
    report = objectives.report()[0]
    assert (report.bad, report.total, round(report.kept, 6), round(report.spent, 6)) == (2, 200, 0.99, 1.0)
    now[0] += 3 * 86400
    assert objectives.report()[0].total == 0
    objectives.close()


def test_the_report_has_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`gateway slo` ends with 1 once a promise is broken, and says which."""
    site = Site(tmp_path)
    site.configure(mqtt_to(1), "[objectives]\nfile = 'counts'\n")
    objectives = Objectives(ObjectiveSettings(), tmp_path / "counts")
    objectives(delivered(entry()))
    objectives.close()
    assert main(["gateway", "slo", str(site.file)]) == 0
    assert "not lost" in capsys.readouterr().out
    objectives = Objectives(ObjectiveSettings(), tmp_path / "counts")
    objectives(delivered(entry(age=100)))
    objectives.close()
    assert main(["gateway", "slo", str(site.file), "--json"]) == 1
    assert [each["spent"] > 1 for each in json.loads(capsys.readouterr().out)] == [True, False, False]


def test_the_page_knows_sources_that_nobody_came_to() -> None:
    """A source is shown from the beginning, and what is wrong with it until somebody comes."""
    view = View()
    view(SourceChanged("ward", "", up=True))
    assert view.status(None)["sources"] == {"ward": []}
    view(SourceChanged("ward", "", up=False, why="cannot listen"))
    view(SourceChanged("usb", "/dev/ttyUSB0", up=False, why="permission denied"))
    assert view.status(None)["down"] == {"ward": "cannot listen", "usb": "/dev/ttyUSB0: permission denied"}
    view(SourceChanged("usb", "/dev/ttyUSB0", up=True))
    assert view.status(None)["down"] == {"ward": "cannot listen"}


def test_peers_are_counted_as_they_are_there() -> None:
    """A peer that could not be reached, or whose leaving is told twice, was there neither less than once nor more."""
    metrics = Metrics()
    for peer, up in (("a", False), ("a", True), ("b", True), ("b", False), ("b", False), ("", False)):
        metrics(SourceChanged("ward", peer, up=up))
    assert 'vitalwire_source_peers{source="ward"} 1.0' in metrics.text(None, 0).decode()


def test_a_resting_device_is_said_to_rest() -> None:
    """From the event that begins a pause to the one that ends it, and its waveform has a gap there."""
    device = FakeDevice()
    descriptor = frame_parse(device.descriptor()).body
    view = View(lambda digest: descriptor)
    samples = {"ecg_lead_i": np.arange(256)}

    def told(raw: bytes, kind: Kind) -> bool:
        view(Spooled((entry(device.seq, raw=raw, kind=kind),), (0,), 0))
        (shown,) = view.status(None)["devices"]
        assert isinstance(shown["resting"], bool)
        return shown["resting"]

    assert not told(device.data(samples), Kind.DATA)
    assert not told(device.data(samples), Kind.DATA)
    assert told(device.events((Event.PAUSE_BEGUN, {})), Kind.EVENT)
    device.ticks += 3_000_000
    assert told(device.status(), Kind.STATUS)
    assert not told(device.events((Event.PAUSE_ENDED, {})), Kind.EVENT)
    assert not told(device.data(samples), Kind.DATA)
    (wave,) = view.waves((0).to_bytes(32, "big"))
    assert wave["values"].count(None) == 1
    assert wave["values"].index(None) == 512
    assert told(device.events((Event.PAUSE_BEGUN, {})), Kind.EVENT)
    assert not told(device.reboot(), Kind.EVENT)


def test_what_the_page_keeps_is_bounded() -> None:
    """Of many devices those seen last are kept, and of a flood of refusals the newest."""
    view = View()
    for number in range(MOST_DEVICES + 10):
        view(Spooled((entry(device=number),), (0,), 0))
    for _ in range(500):
        view(refused())
    shown = view.status(FULL)
    assert len(shown["devices"]) == MOST_DEVICES
    assert shown["devices"][0]["thumbprint"] != bytes(32).hex()
    assert len(shown["troubles"]) == 20
    assert view.waves(bytes(31) + b"\xff") == []  # no frame that anybody can read: an answer all the same


@pytest.mark.parametrize(
    "text",
    [
        '[status]\nlisten = "0.0.0.0:9464"',
        "[status]\nport = 1",
        "[audit]\nevery = 0",
        "[objectives]\nin_time = 1",
        "[metrics]\n",
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str) -> None:
    """A key or value that is none is one line with its place."""
    site = Site(tmp_path)
    site.configure(mqtt_to(1), text)
    with pytest.raises(UsageError, match=r"gateway\.toml: "):
        load(site.file)
