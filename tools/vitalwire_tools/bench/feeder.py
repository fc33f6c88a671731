"""Plays boards for a benchmark of the gateway, in a process of its own: frames of a capture at a rate, answers unread.

`python -m vitalwire_tools.bench.feeder PORT RATE CAPTURE...`: a connection a capture, RATE frames a second in all, 0:
as fast as can be.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from vitalwire.capture import Record, read
from vitalwire.packet import encode_packet
from vitalwire_protocol.spec import PacketType


async def _feed(port: int, rate: float, path: Path) -> None:
    packets = [encode_packet(PacketType.FRAME, 0, item.raw) for item in read(path) if isinstance(item, Record)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    unread = asyncio.create_task(_drain(reader))
    began = time.monotonic()
    for number, packet in enumerate(packets):
        writer.write(packet)
        if rate:
            await asyncio.sleep(began + number / rate - time.monotonic())
        await writer.drain()
    await asyncio.sleep(3600)  # a board stays; whoever started this ends it
    unread.cancel()


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 16):
        pass


async def _all(port: int, rate: float, paths: list[Path]) -> None:
    await asyncio.gather(*(_feed(port, rate / len(paths), path) for path in paths))


if __name__ == "__main__":
    asyncio.run(_all(int(sys.argv[1]), float(sys.argv[2]), [Path(each) for each in sys.argv[3:]]))
