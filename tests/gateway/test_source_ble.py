"""A board read over the serial port and over Bluetooth LE at once, by one gateway: every frame is stored once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.central import Central, finding
from tests.gateway.site import Site

from vitalwire import cbor, crypto
from vitalwire.gateway import SourceChanged, Spooled
from vitalwire.registry import Registry
from vitalwire.transports.ble import Ble
from vitalwire_protocol.spec import Key
from vitalwire_tools.virtual.air import Air
from vitalwire_tools.virtual.board import VirtualBoard
from vitalwire_tools.virtual.machine import Options, create

NOWHERE = '[sink.nowhere]\nkind = "http"\nurl = "http://127.0.0.1:9/"\n'  # nobody listens there


def numbers(site: Site) -> Counter[int]:
    """Return how often each number was stored."""
    raws = [entry.raw for event in site.of(Spooled) for entry in event.entries]
    return Counter(cbor.decode(crypto.frame_payload(raw))[Key.SEQ] for raw in raws)  # type: ignore[index, misc]


@pytest.mark.asyncio
async def test_two_links_at_once_deliver_every_frame_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both links of a board bring its frames to one gateway, one of them dies in between: none twice, none missing."""
    identity = create(tmp_path / "board", settings={"links": ["serial", "ble"]})
    thumbprint = crypto.thumbprint(identity.public_key)
    site = Site(tmp_path)
    with Registry(site.registry) as registry:
        registry.enrol(thumbprint, "virtual", secret=identity.secret)
    with Air() as air:
        central = Central(air, passkey=crypto.passkey(identity.secret, thumbprint))
        find = finding(central)
        monkeypatch.setattr("vitalwire.gateway.sources.ble.from_url", lambda url: Ble(url.removeprefix("ble://"), find))
        options = Options(tmp_path / "board", speed=10.0, radio=air.address)
        with VirtualBoard(options) as board:
            site.configure(
                f'[source.wire]\nkind = "serial"\nports = ["{board.port}"]\n',
                '[source.air]\nkind = "ble"\nconnect = ["virtual"]\n',
                NOWHERE,
            )
            async with site.running():
                await site.until(
                    lambda: {e.source for e in site.of(SourceChanged) if e.up and e.peer} == {"wire", "air"}
                )
                seen = len(numbers(site))
                await site.until(lambda: len(numbers(site)) >= seen + 12)
                air.run(central.disconnect_all())
                await site.until(lambda: central.connections > 1 and len(numbers(site)) >= seen + 18)
            stored = numbers(site)
    assert central.connections > 1
    assert set(stored.values()) == {1}
    assert set(stored) == set(range(1, max(stored) + 1))
