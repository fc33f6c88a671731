"""What a device or a capture says about whose it is, before anybody trusts it: self-signed descriptors."""

from __future__ import annotations

import time
from collections.abc import Iterator

from vitalwire.capture import Record, read
from vitalwire.client import Client, ClientEvent
from vitalwire.crypto import load_public_key, verify_sign1
from vitalwire.errors import CommandError, InputError, TrustError
from vitalwire.frame import parse
from vitalwire.messages import Descriptor
from vitalwire.registry import Registry
from vitalwire.session import Refused, ReplayState
from vitalwire.survey import files
from vitalwire.transports import SCHEMES

PATIENCE = 15.0  # seconds until a device must have described itself
MOST = 64  # devices told of


def descriptors(source: str) -> Iterator[Descriptor]:
    """Yield one descriptor of each device at an address or in a capture, each signed by the key that is in it.

    Raises CommandError if a device says nothing, TransportError if there is nothing to ask.
    """
    found: set[bytes] = set()
    for raw in _of_device(source) if source.partition(":")[0] in SCHEMES else _of_capture(source):
        body = described(raw)
        if body is not None and body.thumbprint not in found and len(found) < MOST:
            found.add(body.thumbprint)
            yield body


def described(raw: bytes) -> Descriptor | None:
    """Return what a frame describes if it is a descriptor under its own signature."""
    try:
        body = parse(raw).body
        if body is not None:
            verify_sign1(raw, load_public_key(body.public_key))
    except (InputError, TrustError):
        return None
    return body


def _of_capture(file: str) -> Iterator[bytes]:
    for path in files(file):
        for item in read(path):
            if isinstance(item, Record):
                yield item.raw


def _of_device(url: str) -> Iterator[bytes]:
    """Ask a device; nobody is trusted meanwhile, so all it sends is refused, and looked at here."""
    seen: list[bytes] = []

    def hear(event: ClientEvent) -> None:
        if isinstance(event, Refused):
            seen.append(event.raw)

    options = {"auto_acknowledge": False, "set_time": False, "reconnect": False}
    with Registry() as nobody, Client(url, registry=nobody, state=ReplayState(), on_event=hear, **options) as client:  # type: ignore[arg-type]
        client.open()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not client.ended:
            client.receive(0.1)
            yield from seen
            if any(described(raw) for raw in seen):
                return
            seen.clear()
    if not client.ended:
        raise CommandError(
            f"{url} did not say who it is", advice="is it a vitalwire board, and does nobody else read it?"
        )
