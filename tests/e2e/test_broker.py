"""A board and Debian's mosquitto, one of them wrong: nothing passes; once it is mended each frame comes, once."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.papers import Authority, put
from tests.sinks.servers import Server

from vitalwire.gateway import Concluded
from vitalwire.session import SecurityEvent
from vitalwire_tools.provision import Identity

from .ward import NOWHERE, Ward, broker, subscribed

NAME = "virtual"  # the board's


async def _times(ward: Ward, hub: Server, words: str, count: int) -> None:
    """Wait until the broker has said something so often."""
    await ward.site.until(lambda: hub.log.count(words) >= count)


BROKERS: dict[str, tuple[Callable[[Authority, Authority], tuple[Path, Path]], str]] = {
    "expired": (lambda own, others: own.server(days=-1), "alert certificate expired"),
    "of another authority": (lambda own, others: others.server(), "alert unknown ca"),
    "for another name": (lambda own, others: own.server("elsewhere"), "alert bad certificate"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", BROKERS)
async def test_a_wrong_broker_gets_nothing(ward: Ward, what: str) -> None:
    """A board ends the handshake with a broker whose certificate is wrong; with a right one it delivers everything."""
    make, words = BROKERS[what]
    shown = ward.folder / "shown.pem", ward.folder / "shown.key"

    def show(certificate: tuple[Path, Path]) -> None:
        for source, target in zip(certificate, shown, strict=True):
            shutil.copyfile(source, target)

    show(make(ward.authority, Authority(ward.folder / "others", "others")))
    with broker(ward, shown) as hub:
        ward.board([f"mqtts://localhost:{hub.port}"])
        await _times(ward, hub, words, 2)
        assert f" as {NAME} " not in hub.log
        hub.stop()
        show(ward.authority.server())
        hub.start()
        ward.site.configure(subscribed(ward, hub), NOWHERE)
        async with ward.site.running():
            await ward.whole(12)


DEVICES: dict[str, tuple[Callable[[Authority, Authority, Identity], dict[str, bytes]], str]] = {
    "expired": (lambda own, others, who: own.device(who, days=-1), "certificate verify failed"),
    "of another authority": (
        lambda own, others, who: {**own.device(who), "client.der": others.device(who)["client.der"]},
        "certificate verify failed",
    ),
    "for another name": (lambda own, others, who: own.device(who, "bed"), f"Denied PUBLISH from {NAME}"),
    "revoked": (lambda own, others, who: own.device(who), "certificate verify failed"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", DEVICES)
async def test_a_wrong_board_loses_nothing(ward: Ward, what: str) -> None:
    """What the broker refuses, or denies its topics, waits on the board until its certificate is a right one."""
    make, words = DEVICES[what]
    others = Authority(ward.folder / "others", "others")
    owner: list[Identity] = []
    taken_back: list[bytes] = []

    def files(identity: Identity) -> dict[str, bytes]:
        owner.append(identity)
        made = make(ward.authority, others, identity)
        taken_back.append(made["client.der"])
        return made

    with broker(ward, settings=[f"crlfile {ward.authority.revoked()}"]) as hub:
        ward.site.configure(subscribed(ward, hub), NOWHERE)
        async with ward.site.running():
            board = ward.board([f"mqtts://localhost:{hub.port}"], files)
            since = 0
            if what == "revoked":
                await ward.whole(5)
                hub.stop()
                since = len(hub.log)
                ward.authority.revoked(*taken_back)
                hub.start()
            await _times(ward, hub, words, 2)
            assert (f" as {NAME} " in hub.log[since:]) == (what == "for another name")
            assert what == "revoked" or not ward.seqs()
            board.power_cut()
            put(board.folder, ward.authority.device(owner[0]))
            board.power_on()
            await ward.whole(len(ward.seqs()) + 12)
    assert not [event for event in ward.site.of(Concluded) if isinstance(event.outcome, SecurityEvent)]


@pytest.mark.asyncio
async def test_a_broker_that_dies_amid_a_window_loses_nothing(ward: Ward) -> None:
    """Killed with messages in flight that it has not confirmed, again and again, a broker costs no frame its place."""
    with broker(ward) as hub:
        ward.board([f"mqtts://localhost:{hub.port}"])
        ward.site.configure(subscribed(ward, hub), NOWHERE)
        async with ward.site.running():
            for _ in range(3):
                await ward.whole(len(ward.seqs()) + 8)
                hub.send(signal.SIGSTOP)
                await asyncio.sleep(0.5)  # five frames of the board's time
                hub.kill()
                hub.start()
            await ward.whole(len(ward.seqs()) + 8)
    assert not [event for event in ward.site.of(Concluded) if isinstance(event.outcome, SecurityEvent)]
