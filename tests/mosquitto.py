"""A real MQTT broker for a test, and what was published there."""

from __future__ import annotations

import base64
import hashlib
import os
import queue
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from tests.sinks.servers import Server, free_port
from tests.waiting import FAR


class Mosquitto(Server):
    """A broker in a folder; `lines` are of its configuration. It keeps what it acknowledged through a clean restart."""

    def __init__(self, folder: Path, lines: Sequence[str] = (), *, anonymous: bool = True) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip("needs mosquitto (Debian: mosquitto)")
        folder.mkdir(exist_ok=True)
        port = free_port()
        settings = [
            f"listener {port} 127.0.0.1",
            f"allow_anonymous {str(anonymous).lower()}",
            "max_queued_messages 0",
            "persistence true",
            f"persistence_location {folder}/",
            *(["user root"] if os.geteuid() == 0 else []),  # it would become somebody who cannot read our folders
            *lines,
        ]
        (folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")
        super().__init__([program, "-c", folder / "mosquitto.conf"], port, folder / "mosquitto.log")


def pbkdf2(password: str) -> str:
    """Return salt and hash as mosquitto's password files have them, behind `$7$101$`."""
    salt = b"saltsaltsalt"
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"{base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


class Listener:
    """Subscribed to a topic, with a session of its own that outlives connections and restarts; a context manager."""

    def __init__(self, broker: Server, topic: str = "#", client: str = "listener") -> None:
        self.messages: list[paho.MQTTMessage] = []
        self._arrived: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self._subscribed = False
        self._port = broker.port
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=True
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = lambda client, data, message: self._arrived.put(message)
        self._client.on_connect = lambda *_: self._client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: setattr(self, "_subscribed", True)

    def __enter__(self) -> Self:
        properties = paho.Properties(paho.PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", self._port, clean_start=False, properties=properties)
        self._client.loop_start()
        until = time.monotonic() + FAR
        while not self._subscribed:
            assert time.monotonic() < until
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def take(self, count: int, patience: float = FAR) -> list[paho.MQTTMessage]:
        """Return the next so many messages; fails if they do not come."""
        until = time.monotonic() + patience
        taken: list[paho.MQTTMessage] = []
        while len(taken) < count:
            try:
                taken.append(self._arrived.get(timeout=max(0.01, until - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"{len(taken)} of {count} messages came") from None
        return taken

    def drain(self) -> list[paho.MQTTMessage]:
        """Return what has come."""
        return self.take(self._arrived.qsize())
