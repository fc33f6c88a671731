"""Reads a board as its user would: stores each frame, and only then says that it is durable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.waiting import FAR

from vitalwire.capture import Record, Writer, read
from vitalwire.client import Client, ClientEvent, VerifiedFrame
from vitalwire.control.command import Argument
from vitalwire.registry import Registry
from vitalwire.transports import Transport
from vitalwire_protocol.spec import Command


class Recorder:
    """A client with a capture behind it, and all it was told besides."""

    def __init__(self, url: str | Transport, registry: Registry, folder: Path, **options: object) -> None:
        self.capture = folder / "capture.vwc"
        self.frames: list[VerifiedFrame] = []
        self.events: list[ClientEvent] = []
        self._options = {"state": folder / "state.db", "settle": 0.0, "set_time": False, **options}
        self._url, self._registry = url, registry

    def run(self, until: Callable[[list[VerifiedFrame]], bool], patience: float = FAR, *, whole: bool = True) -> None:
        """Record until the frames so far suffice and, if `whole`, no gap is open; TimeoutError after `patience` s."""
        end = time.monotonic() + patience
        with (
            Client(
                self._url,
                registry=self._registry,
                auto_acknowledge=False,
                on_event=self.events.append,
                **self._options,  # type: ignore[arg-type]
            ) as client,
            Writer(self.capture) as writer,
        ):
            while True:
                frame = client.receive(timeout=0.02)
                if frame is not None:
                    self.frames.append(frame)
                    writer.write(frame.raw, time.time_ns() // 1000)
                    writer.sync()
                    client.durable([frame])
                elif until(self.frames) and not (
                    whole and any(client.session.gaps(device.thumbprint) for device in self._registry)
                ):
                    break
                if time.monotonic() > end:
                    raise TimeoutError(f"{len(self.frames)} frames, events {self.events[-5:]}")

    def ask(self, command: Command, argument: Argument = None) -> None:
        """Have one command carried out, keeping nothing meanwhile; CommandError if it is not."""
        with self.client() as client:
            client.command(command, argument)

    def client(self) -> Client:
        """Return a client that acknowledges nothing."""
        return Client(
            self._url,
            registry=self._registry,
            auto_acknowledge=False,
            on_event=self.events.append,
            **self._options,  # type: ignore[arg-type]
        )

    def in_order(self) -> list[VerifiedFrame]:
        """Return the frames by number: late ones came after their successors."""
        return sorted(self.frames, key=lambda frame: frame.seq)

    def told(self, kind: type) -> list[ClientEvent]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


def captured(path: Path) -> Iterator[bytes]:
    """Yield the frames of a capture."""
    for item in read(path):
        assert isinstance(item, Record), item
        yield item.raw
