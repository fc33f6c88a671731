"""The asynchronous client gives the same frames and errors, and loses none when it is cancelled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.fakeboard import Board
from tests.waiting import FAR

import vitalwire
from vitalwire.client import ClientEvent, Connected
from vitalwire.errors import TransportError, UsageError
from vitalwire.registry import Registry
from vitalwire.session import ReplayState
from vitalwire_protocol.spec import Command


def test_async_frames_come_the_same(board: Board, registry: Registry, state: ReplayState) -> None:
    """The asynchronous client gives the same frames, acknowledges the same way and leaves the loop free."""
    events: list[ClientEvent] = []

    async def reading() -> tuple[list[int], int]:
        ticks = 0

        async def ticking() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        beside = asyncio.create_task(ticking())
        found = []
        async with vitalwire.aconnect(
            board.url, registry=registry, state=state, settle=0.0, on_event=events.append
        ) as client:
            async for frame in client:
                found.append(frame.seq)
                if frame.seq == 5:
                    break
                board.send(board.device.sampled())
            assert (await client.receive(FAR)).seq == 6  # type: ignore[union-attr]
            assert await client.receive(0.3) is None
            await client.command(Command.STOP, [1])
        beside.cancel()
        return found, ticks

    found, ticks = asyncio.run(asyncio.wait_for(reading(), 2 * FAR))
    assert found == [1, 2, 3, 4, 5]
    assert board.acknowledged == {1, 2, 3, 4, 5, 6}
    assert ticks > 10
    assert isinstance(events[0], Connected)


def test_async_cancelling_loses_no_frame(board: Board, registry: Registry, state: ReplayState) -> None:
    """A wait that is cancelled over and over gives the frame that comes meanwhile to the next wait."""

    async def reading() -> list[int]:
        found: list[int] = []
        async with vitalwire.aconnect(board.url, registry=registry, state=state, settle=0.0) as client:
            board.send(*(board.device.sampled() for _ in range(8)))
            while len(found) < 10:
                try:
                    found.append((await asyncio.wait_for(anext(client), 0.003)).seq)
                except TimeoutError:
                    continue
        return found

    assert asyncio.run(asyncio.wait_for(reading(), 2 * FAR)) == list(range(1, 11))


def test_async_errors_are_the_same(board: Board, registry: Registry, state: ReplayState) -> None:
    """A broken stream, a wrong address and a client that is not open raise what the synchronous client raises."""

    async def reading() -> None:
        with pytest.raises(TransportError):
            async with vitalwire.aconnect("tcp://127.0.0.1:1", registry=registry, state=state):
                pass
        with pytest.raises(UsageError):
            await vitalwire.aconnect(board.url, registry=registry, state=state).receive()
        async with vitalwire.aconnect(board.url, registry=registry, state=state, settle=0.0, reconnect=False) as client:
            assert [(await anext(client)).seq for _ in "ab"] == [1, 2]
            board.unplug()
            with pytest.raises(TransportError):
                await client.receive(FAR)

    asyncio.run(asyncio.wait_for(reading(), 3 * FAR))


def test_async_replays_end(recording: tuple[Path, list[bytes]], registry: Registry) -> None:
    """`async for` over a replay gives every frame and stops."""
    path, frames = recording

    async def reading() -> list[bytes]:
        async with vitalwire.aconnect(f"replay:{path}?speed=0", registry=registry) as client:
            return [frame.raw async for frame in client]

    assert asyncio.run(asyncio.wait_for(reading(), FAR)) == frames
