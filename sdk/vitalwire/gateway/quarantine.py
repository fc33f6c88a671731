"""The way out of quarantine: frames whose time has come, and those an operator released, are judged anew, as if they
had just come. What is durable then leaves; what is still not believed stays.
"""

from __future__ import annotations

import asyncio
import logging

from vitalwire.errors import SpoolError
from vitalwire.session import Reason
from vitalwire.spool import Choice, Quarantine

from .port import Port
from .timing import Clock

SOURCE = "quarantine"  # what events name as their source
LOOK = 2.0  # seconds between looks
MOST = 64  # frames judged at a time
PATIENCE = 10.0  # seconds that a verdict may take
LATER = ("waiting", Reason.BUSY.value)  # no verdict yet

log = logging.getLogger("vitalwire.gateway")


async def release(quarantine: Quarantine, port: Port, utc_us: Clock) -> None:
    """Go on until cancelled; frames go through the port."""
    while True:
        found = await asyncio.to_thread(quarantine.to_judge, utc_us(), MOST)
        await asyncio.sleep(LOOK)  # by then the session knows who was enrolled before they were released
        answers = await port.ask_frames([suspect.raw for suspect in found], PATIENCE)
        try:
            for suspect, answer in zip(found, answers, strict=True):
                if answer.durable:
                    await asyncio.to_thread(quarantine.discard, Choice(suspect.position))
                elif answer.why not in LATER:
                    await asyncio.to_thread(quarantine.remains, suspect.position, answer.why)
        except SpoolError as error:  # they are judged once more
            log.error("%s", error)
