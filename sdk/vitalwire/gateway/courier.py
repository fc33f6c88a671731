"""The courier brings jobs to devices: each device's one after the other, asked through the port it is at now.

A device that is away is waited for. What a job asks may be asked again after a lost answer, a restart of the device or
one of the gateway: updates and configurations are made for that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from vitalwire.configuration import configuring
from vitalwire.control import PAUSE, Question, Talk, go_on, refusal
from vitalwire.errors import CommandError, VitalwireError
from vitalwire.update import installing, read_package
from vitalwire_protocol.spec import Command

from .commands import Commands
from .events import GatewayEvent, JobChanged
from .jobs import Content, Job, JobKind, Jobs, JobStage

LOOK = 1.0  # seconds between looks for new jobs, and of a pause in a talk
AWAY = 1.0  # seconds until a device that is away is tried again; doubles
AWAY_MOST = 8.0
NOTE = 2.0  # seconds between two notes of how far a job is

log = logging.getLogger("vitalwire.gateway")


class Courier:
    """Goes on until cancelled; `tell` is told when a job is begun, started or ended."""

    def __init__(self, jobs: Jobs, commands: Commands, tell: Callable[[GatewayEvent], None]) -> None:
        self._jobs = jobs
        self._commands = commands
        self._tell = tell
        self._under_way: dict[str, tuple[Job, asyncio.Task[None]]] = {}  # by device

    async def run(self) -> None:
        """Look for jobs, and have each brought."""
        try:
            while True:
                found = await asyncio.to_thread(self._jobs.find, ended=False)
                still = {job.number for job in found}
                for device, (job, task) in list(self._under_way.items()):
                    if task.done() or job.number not in still:
                        task.cancel()
                        del self._under_way[device]
                for job in found:
                    if job.device not in self._under_way:
                        self._under_way[job.device] = job, asyncio.create_task(self._bring(job))
                await asyncio.sleep(LOOK)
        finally:
            for _, task in self._under_way.values():
                task.cancel()

    async def _bring(self, job: Job) -> None:
        try:
            outcome = await _Errand(job, self._jobs, self._commands, self._tell).run()
            stage, why = (JobStage.RETURNED, "") if outcome is False else (JobStage.DONE, "")
        except CommandError as error:
            stage, why = JobStage.REFUSED, error.reason or str(error)
        except VitalwireError as error:
            stage, why = JobStage.REFUSED, str(error)
        except Exception as error:
            log.exception("job %d failed", job.number)
            stage, why = JobStage.REFUSED, type(error).__name__
        if await asyncio.to_thread(self._jobs.end, job.number, stage, why):
            self._tell(JobChanged(job.number, job.device, job.kind.value, job.title, stage.value, why))


class _Errand:
    """One job on its way."""

    def __init__(self, job: Job, jobs: Jobs, commands: Commands, tell: Callable[[GatewayEvent], None]) -> None:
        self._job = job
        self._jobs = jobs
        self._commands = commands
        self._tell = tell
        self._stage = job.stage
        self._done = job.done
        self._noted = float("-inf")

    async def run(self) -> bool | None:
        """Bring it; return whether an update stayed. Raises CommandError where the device refuses."""
        talk = self._talk(await asyncio.to_thread(self._jobs.content, self._job))
        answer: Mapping[int, Any] | CommandError | None = None
        try:
            while True:
                question = go_on(talk, answer)
                if question is PAUSE:
                    await asyncio.sleep(LOOK)
                    answer = {}
                else:
                    answer = await self._ask(question)
                    if isinstance(answer, Mapping):
                        await self._note(question)
        except StopIteration as end:
            found: bool | None = end.value
            return found

    def _talk(self, content: Content) -> Talk[Any]:
        if self._job.kind is JobKind.CONFIGURATION:
            return configuring(content.data)
        key = load_der_public_key(content.key)
        assert isinstance(key, EllipticCurvePublicKey)
        started = self._stage is JobStage.STARTED
        return installing(read_package(content.data, key), self._moved, at_once=self._job.at_once, started=started)

    def _moved(self, done: float, total: float | None = None) -> None:
        self._done = int(done)

    async def _ask(self, question: Question) -> Mapping[int, Any] | CommandError:
        wait = AWAY
        while True:
            found = await self._commands.ask(self._job.device, question)
            if found is None:
                await asyncio.sleep(wait)
                wait = min(2 * wait, AWAY_MOST)
            elif isinstance(found, Mapping):
                return found
            else:
                return refusal(question.command, found)

    async def _note(self, question: Question) -> None:
        """Note that the device does what it was asked to: what it began at once, how far it is now and then."""
        stage = _STAGES.get(question.command, self._stage)
        if stage is not self._stage or time.monotonic() - self._noted > NOTE:
            await asyncio.to_thread(self._jobs.advance, self._job, stage, self._done)
            self._noted = time.monotonic()
        if stage is not self._stage:
            self._stage = stage
            job = self._job
            self._tell(JobChanged(job.number, job.device, job.kind.value, job.title, stage.value))


_STAGES = {
    Command.UPDATE_BEGIN: JobStage.SENDING,
    Command.UPDATE_APPLY: JobStage.STARTED,
    Command.CONFIGURE: JobStage.STARTED,
}
