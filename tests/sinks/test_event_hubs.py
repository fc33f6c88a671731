"""Kafka's TLS and SASL PLAIN by an Event Hubs connection string: the handshake on the wire, a real broker behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.gateway.certificates import Certificates
from tests.sinks.entries import drive, entries_of, unknown
from tests.sinks.kafka_door import door

from vitalwire.errors import SinkError
from vitalwire.settings import Secret
from vitalwire.sinks.kafka import Kafka, Settings, from_settings
from vitalwire.testing import FakeDevice


def hubs(file: Path, ca: Path, port: int) -> Kafka:
    """Return the sink for a connection string in a file."""
    file.write_text(
        f"Endpoint=sb://localhost:{port}/;SharedAccessKeyName=send;SharedAccessKey=c2VjcmV0;EntityPath=vitals"
    )
    given = {"kind": "kafka", "event_hubs": Secret(file=file), "tls": {"ca": ca}, "seconds": 2.0}
    return from_settings(Settings.model_validate(given), unknown)


def test_frames_arrive_behind_the_handshake(tmp_path: Path) -> None:
    """The user is `$ConnectionString` and the password the string itself; every frame is there once, in order."""

    async def run() -> None:
        made = Certificates(tmp_path / "made")
        async with door(tmp_path, made, "") as standing:
            sink = hubs(tmp_path / "string", made.ca, standing.port)
            standing.password = (tmp_path / "string").read_text()
            await asyncio.to_thread(standing.create, "vitals", made.ca)
            entries = entries_of([FakeDevice("bed-1"), FakeDevice("bed-2")], 40)
            delivery = await drive(sink, entries)
            assert (delivery.errors, delivery.rejected) == ([], [])
            assert set(standing.users) == {"$ConnectionString", "test"}
            assert standing.mechanisms == {"PLAIN"}
            messages = await asyncio.to_thread(standing.stored, "vitals", len(entries), made.ca)
            for name in ("bed-1", "bed-2"):
                bodies = [message.value() for message in messages if message.key() == name.encode()]
                assert bodies == [entry.raw for entry in entries if entry.device == name]

    asyncio.run(run())


def test_who_is_not_let_in_is_told_why(tmp_path: Path) -> None:
    """A key that is not taken, and a door that is not who it says, are SinkErrors with the reason and no secret."""

    async def run() -> None:
        made, other = Certificates(tmp_path / "made"), Certificates(tmp_path / "other")
        async with door(tmp_path, made, "another key") as standing:
            for ca, why in ((made.ca, "Invalid credentials"), (other.ca, "certificate verify failed")):
                sink = hubs(tmp_path / "string", ca, standing.port)
                with pytest.raises(SinkError) as caught:
                    await sink.open()
                await sink.close()
                assert why in str(caught.value)
                assert "c2VjcmV0" not in str(caught.value)
            assert standing.refused
            assert not standing.users

    asyncio.run(run())
