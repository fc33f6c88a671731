"""What a gateway brings to whole boards, over every link: updates that stay, configurations that are put in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.central import Central, finding

from vitalwire import crypto
from vitalwire.configuration import Configuration, from_words, sign_configuration
from vitalwire.gateway import Concluded, Content, Job, JobKind, Jobs, JobStage
from vitalwire.registry import Registry
from vitalwire.session import SecurityEvent
from vitalwire.transports.ble import Ble
from vitalwire.update import Package, pack
from vitalwire_tools.release import release
from vitalwire_tools.virtual.air import Air
from vitalwire_tools.virtual.board import VirtualBoard
from vitalwire_tools.virtual.machine import board_file

from .ward import NOWHERE, Ward, broker, subscribed

HEAP = 320 * 1024  # bytes: receiving an update beside a second link, twice as much here as on a chip
MAKER, OPERATOR = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
KEYS = {"maker": crypto.public_point(MAKER), "operator": crypto.public_point(OPERATOR)}


@dataclass
class Reached:
    """A board, the table of the source that reaches it, and what breaks its link for a moment."""

    board: VirtualBoard
    source: str
    lose: Callable[[], object] | None = None


@contextmanager
def serial(ward: Ward, _: pytest.MonkeyPatch) -> Iterator[Reached]:
    """A board on a cable."""
    board = ward.board(["serial"], keys=KEYS, heap=HEAP)
    yield Reached(board, f'[source.wire]\nkind = "serial"\nports = ["{board.port}"]\n')


@contextmanager
def tls(ward: Ward, _: pytest.MonkeyPatch) -> Iterator[Reached]:
    """A board that connects to the gateway."""
    yield Reached(ward.board([f"tls://localhost:{ward.port}"], keys=KEYS, heap=HEAP), ward.listen())


@contextmanager
def mqtts(ward: Ward, _: pytest.MonkeyPatch) -> Iterator[Reached]:
    """A board behind a broker."""
    with broker(ward) as hub:
        board = ward.board([f"mqtts://localhost:{hub.port}"], keys=KEYS, heap=HEAP)

        def lose() -> None:
            hub.stop()
            hub.start()

        yield Reached(board, subscribed(ward, hub), lose)


@contextmanager
def ble(ward: Ward, patch: pytest.MonkeyPatch) -> Iterator[Reached]:
    """A board in reach."""
    with Air() as air:
        board = ward.board(["ble"], keys=KEYS, heap=HEAP, radio=air.address)
        central = Central(air, passkey=ward.passkey())
        find = finding(central)
        patch.setattr("vitalwire.gateway.sources.ble.from_url", lambda url: Ble(url.removeprefix("ble://"), find))
        yield Reached(
            board, '[source.air]\nkind = "ble"\nconnect = ["virtual"]\n', lambda: air.run(central.disconnect_all())
        )


def job(ward: Ward, number: int) -> Job:
    """Return a job as it is now."""
    with Jobs(ward.folder / "spool.db") as jobs:
        return jobs.find()[number - 1]


def add(ward: Ward, kind: JobKind, content: Content) -> None:
    """Have something brought to the ward's board."""
    with Jobs(ward.folder / "spool.db") as jobs:
        jobs.add(["virtual"], kind, "something", content)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the courier look, and note how far it is, more often."""
    monkeypatch.setattr("vitalwire.gateway.courier.LOOK", 0.2)
    monkeypatch.setattr("vitalwire.gateway.courier.NOTE", 0.0)


def whole() -> Package:
    """Return an update to the same firmware under another name."""
    return release(board_file(), MAKER, "9.9", counter=7)


def broken() -> Package:
    """Return a small update that does not start."""
    files = {"start.mpy": b"no bytecode", "more.mpy": bytes(20_000)}
    return pack(MAKER, files, board="virtual", firmware="broken", counter=7)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("link", "made", "stage"),
    [
        (serial, whole, JobStage.DONE),
        (tls, broken, JobStage.RETURNED),
        (mqtts, broken, JobStage.RETURNED),
        (ble, broken, JobStage.RETURNED),
    ],
    ids=["serial", "tls", "mqtts", "ble"],
)
async def test_an_update_and_a_configuration_over_every_link(
    ward: Ward,
    link: Callable[..., AbstractContextManager[Reached]],
    made: Callable[[], Package],
    stage: JobStage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given to a gateway, both reach a board that is read meanwhile, over restarts of the gateway and lost links; the
    job ends as the update does on the board, and every frame is stored once."""
    package = made()
    with ExitStack() as stack:
        reached = stack.enter_context(link(ward, monkeypatch))
        ward.site.configure(reached.source, NOWHERE)
        with Registry(ward.site.registry) as registry:
            (device,) = registry
        message = sign_configuration(Configuration(device.thumbprint, 3, from_words(["status_s=7"])), OPERATOR)
        async with ward.site.running():
            await ward.whole(3)
            add(ward, JobKind.CONFIGURATION, Content(message))
            await ward.site.until(lambda: job(ward, 1).stage == JobStage.DONE)
            public = MAKER.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            add(ward, JobKind.UPDATE, Content(package.data, public))
            await ward.site.until(lambda: job(ward, 2).done > len(package.data) // 4)
        async with ward.site.running():
            await ward.site.until(lambda: job(ward, 2).done > len(package.data) // 2)
            if reached.lose:
                await asyncio.to_thread(reached.lose)
            await ward.site.until(lambda: not job(ward, 2).is_open)
            assert job(ward, 2).stage == stage, job(ward, 2)
            await ward.whole(len(ward.seqs()) + 5)
    assert not [event for event in ward.site.of(Concluded) if isinstance(event.outcome, SecurityEvent)]
