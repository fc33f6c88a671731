"""Commands from the cloud through the whole gateway: from a hub's method to a board, and its answer back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakeboard import Board
from tests.gateway.certificates import Certificates
from tests.gateway.site import SECRET, Site, connect_to, journal
from tests.sinks.hub import KEY, MOSQUITTO, door, mosquitto, watching

from vitalwire.testing import FakeDevice
from vitalwire_protocol.spec import Command, Result

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto (Debian)")


@pytest.mark.asyncio
async def test_a_method_of_the_hub_reaches_the_board(tmp_path: Path) -> None:
    """A direct method is asked of the board under its MAC, and its answer is the method's; silence is told as that."""
    device = FakeDevice("bed-4")
    made = Certificates(tmp_path / "made")
    (tmp_path / "group").write_text(KEY)
    with Board(device, SECRET) as board, mosquitto(tmp_path) as broker:
        async with door(broker, made) as standing, watching(broker.port, "$iothub/#") as (watcher, cloud):
            hub = {"kind": "iothub", "host": "127.0.0.1", "port": standing.port, "commands": True}
            table = "".join(f"{key} = {json.dumps(value)}\n" for key, value in hub.items())
            site = Site(tmp_path, device)
            table += 'group_key = { file = "group" }\ntls = { ca = "made/ca.pem" }\n'
            site.configure(connect_to(board), f"[sink.cloud]\n{table}")
            board.send(*journal(device, 3))

            async def call(method: str, payload: object, status: int, request: str) -> Any:
                await cloud.publish(f"$iothub/methods/POST/{method}/?$rid={request}", json.dumps(payload), qos=1)
                wanted = f"$iothub/methods/res/{status}/?$rid={request}"
                await site.until(lambda: wanted in [topic for topic, _ in watcher.messages])
                return json.loads(dict(watcher.messages)[wanted])

            async with site.running():
                await site.until(lambda: not board.journal and watcher.messages)
                assert await call("stop", {"channels": ["ppg_red", "accel_x"]}, 200, "1") == {"result": "OK"}
                assert (Command.STOP, [1, 3]) in board.commands
                board.refuse[Command.START] = Result.BAD_ARGUMENT
                said = await call("start", {"channels": [31]}, 400, "2")
                assert said == {"result": "BAD_ARGUMENT"}
                board.unplug()
                board.deaf = True
                asking = asyncio.create_task(call("reboot", {}, 504, "3"))
                await asyncio.sleep(0.2)
                board.vanish()
                assert await asking == {}
