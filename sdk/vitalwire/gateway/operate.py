"""Runs a gateway as an operator wants it: a log, an audit log, figures, objectives and the status page beside it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from .config import Config
from .events import GatewayEvent, Observer
from .gateway import Gateway
from .operations import Auditor, Logger, Objectives, View
from .operations.health import Health
from .operations.metrics import Metrics
from .operations.records import JsonLines
from .operations.server import StatusServer, new_token

OFF = "off"
TOKEN = "status-token"  # noqa: S105 - a file's name

log = logging.getLogger("vitalwire.gateway")


def objectives_file(config: Config) -> Path:
    """Return where the hourly counts are kept."""
    return config.objectives.file or config.spool.path.with_name(config.spool.path.name + ".objectives")


async def operate(config: Config, stop: asyncio.Event) -> None:
    """Run until `stop`; raises VitalwireError for what makes it useless to begin."""
    async with AsyncExitStack() as stack:
        auditor = Auditor(config.audit)
        stack.push_async_callback(asyncio.to_thread, auditor.close)
        objectives = Objectives(config.objectives, objectives_file(config))
        stack.push_async_callback(asyncio.to_thread, objectives.close)
        metrics, health = Metrics(), Health()
        gateway = Gateway(config, lambda event: observe(event))
        view = View(gateway.descriptor)
        observe = _each((Logger(sys.stderr), auditor, metrics, objectives, health, view))
        if config.status.listen != OFF:
            token = _token(config)
            server = StatusServer(config.status, token, view, metrics, health, gateway.state)
            await server.start()
            stack.push_async_callback(server.stop)
            log.info(
                "status on port %d%s", server.port, "" if token is None else f", its token in {_token_file(config)}"
            )
        digest = await asyncio.to_thread(lambda: hashlib.sha256(config.file.read_bytes()).hexdigest())
        auditor.write("gateway-started", {"configuration": digest})
        health.is_running = True
        try:
            await gateway.run(stop)
        finally:
            health.is_running = False
            auditor.write("gateway-stopped", {})


def log_as_lines() -> None:
    """Have everything that is logged in this process go to stderr as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _each(observers: Sequence[Observer]) -> Observer:
    def tell(event: GatewayEvent) -> None:
        for observer in observers:
            try:
                observer(event)
            except Exception:  # none of them may cost another what it is told
                log.exception("%s failed at %s", type(observer).__name__, type(event).__name__)

    return tell


def _token_file(config: Config) -> Path:
    return config.status.token.file if config.status.token and config.status.token.file else _default_file(config)


def _default_file(config: Config) -> Path:
    return config.spool.path.with_name(TOKEN)


def _token(config: Config) -> str | None:
    if config.status.open:
        return None
    if config.status.token is not None:
        return config.status.token.read()
    token, path = new_token(), _default_file(config)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")
    return token
