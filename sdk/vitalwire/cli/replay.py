"""`vitalwire replay`: a capture played as if its device were there, with faults on purpose."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from vitalwire import transports
from vitalwire.client import Client
from vitalwire.errors import TransportError, UsageError
from vitalwire.recorder import Counts

from . import output
from .options import Fingerprints, Json, RegistryFile, opened
from .stopping import Stop, stoppable

WAIT = 0.25  # seconds between two looks at whether to end


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A capture; all its files, if it was rotated.")],
    speed: Annotated[float, typer.Option(help="How many times as fast as recorded; 0: without waiting.", min=0)] = 1.0,
    pace: Annotated[
        str, typer.Option(help="What recorded: the device's `ticks`, or `received` as frames arrived.")
    ] = "ticks",
    loss: Annotated[float, typer.Option(help="Probability that a frame is lost.", min=0, max=1)] = 0.0,
    reorder: Annotated[float, typer.Option(help="Probability that a frame comes late.", min=0, max=1)] = 0.0,
    duplicate: Annotated[float, typer.Option(help="Probability that a frame comes twice.", min=0, max=1)] = 0.0,
    flip: Annotated[float, typer.Option(help="Probability that one bit of a frame is changed.", min=0, max=1)] = 0.0,
    truncate: Annotated[float, typer.Option(help="Probability that a frame is cut short.", min=0, max=1)] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same faults.")] = 0,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve it to whoever connects, once for each, instead of judging."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="With --listen: end when the first one has had it all.")] = False,
    registry: RegistryFile = None,
    fingerprint: Fingerprints = None,
    as_json: Json = False,
) -> None:
    """Play a capture at any speed, with scripted faults, and say what a reader makes of it, or serve it on TCP.

    Descriptors are spared from faults, because a recording cannot be asked for them again.
    """
    options = {"speed": speed, "pace": pace, "seed": seed}
    faults = {"loss": loss, "reorder": reorder, "duplicate": duplicate, "flip": flip, "truncate": truncate}
    options |= {name: probability for name, probability in faults.items() if probability}
    url = f"replay:{quote(str(file))}?{urlencode(options)}"
    if listen is not None:
        _serve(url, _address(listen), once=once)
        return
    counts = Counts()
    with (
        opened(registry, fingerprint) as trusted,
        Client(url, registry=trusted, settle=0.0, on_event=counts.hear) as client,
        stoppable() as stop,
        output.progress("replaying", quiet=as_json) as step,
    ):
        client.open()
        while not (stop.asked or client.ended):
            while (frame := client.receive(WAIT)) is not None and not stop.asked:
                counts.take(frame)
                step(counts.frames)
        session = client.session
        said = counts.as_dict(session)
    if as_json:
        output.show_json({"url": url} | said)
        return
    table = output.plain(f"{file} at speed {speed:g}")
    table.add_row("verified", f"{counts.frames} frames, {counts.size} bytes")
    if said["authentic"]:
        table.add_row("authentic", f"{said['authentic']} of them, by a MAC alone")
    for what in ("missing", "burned", "dropped", "duplicates", "breaks"):
        table.add_row(what, str(said[what]))
    for reason, count in counts.refused.items():
        table.add_row(f"refused, {reason}", str(count))
    output.show(table)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (port.isdecimal() and int(port) < 1 << 16):
        raise UsageError(f"{text!r} is no address to listen on", advice="one is host:port, for instance 127.0.0.1:7000")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def _serve(url: str, address: tuple[str, int], *, once: bool) -> None:
    transport = transports.from_url(url)
    transport.open()  # what is wrong with the capture is said now, not to the first one who connects
    transport.close()
    try:
        server = socket.create_server(address, family=socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    except OSError as error:
        raise TransportError(f"cannot listen on {address[0]}:{address[1]}: {error.strerror}") from None
    with server, stoppable() as stop:
        host, port = server.getsockname()[:2]
        output.say(f"serving on tcp://{host}:{port}")
        server.settimeout(WAIT)
        while not stop.asked:
            try:
                connection, peer = server.accept()
            except TimeoutError:
                continue
            with connection:
                sent = _play(transport, connection, stop)
            output.say(f"{peer[0]}:{peer[1]} had {sent} frames")
            if once:
                return


def _play(transport: transports.Transport, connection: socket.socket, stop: Stop) -> int:
    """Send the whole replay to one peer and throw away what it says; returns the number of frames it took."""
    sent = 0
    transport.open()
    connection.settimeout(WAIT)
    try:
        while not stop.asked and (data := transport.read(WAIT)) is not None:
            view = memoryview(data)
            while view and not stop.asked:
                with suppress(TimeoutError):
                    view = view[connection.send(view) :]
            sent += bool(data)
            connection.setblocking(False)
            with suppress(BlockingIOError):
                while connection.recv(1 << 16):
                    pass
            connection.settimeout(WAIT)
    except OSError:
        pass  # the peer has gone
    finally:
        transport.close()
    return sent
