"""What is written down of a gateway's life: a log a line of JSON each, and security events in the audit log.

Neither has keys, samples or people in it: devices go by thumbprint, peers by address, reasons by words of ours.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TextIO

from vitalwire import jws
from vitalwire.audit import MAX_TEXT, AuditLog, Detail
from vitalwire.errors import VitalwireError
from vitalwire.session import ChainBreak, Gap, GapClosed, GapForgotten, Quarantined, Reason, Refused, SecurityEvent

from ..events import (
    Buried,
    Concluded,
    GatewayEvent,
    JobChanged,
    QuarantineChanged,
    RoomLost,
    SinkChanged,
    SourceChanged,
    SpoolChanged,
)
from ..jobs import JobStage
from .settings import AuditSettings

_FORGERIES = {
    Reason.FORGED,
    Reason.DOWNGRADE,
    Reason.FOREIGN,
    Reason.REVOKED,
    Reason.CONFLICT,
    Reason.FUTURE,
    Reason.OLD,
}
BURST = 10  # records of one kind and origin within
WINDOW = 60.0  # seconds; the rest is counted and told with the next one: a flood must not fill the disk

log = logging.getLogger("vitalwire.gateway")


def described(event: GatewayEvent) -> tuple[int, str, dict[str, Detail]] | None:
    """Return an event's severity, its one word and its details; None for what happens with every frame."""
    match event:
        case SourceChanged(source, peer, up, why):
            level = logging.INFO if up or not why else logging.WARNING
            return level, "source-up" if up else "source-down", {"source": source, "peer": peer, "why": why}
        case SinkChanged(sink, state, why, wait):
            level = logging.WARNING if why else logging.INFO
            return level, f"sink-{state.value}", {"sink": sink, "why": why, "wait_s": f"{wait:.1f}"}
        case SpoolChanged(takes, alarm, why):
            level = logging.ERROR if not takes else logging.WARNING if alarm else logging.INFO
            return level, "spool", {"takes": takes, "alarm": alarm, "why": why}
        case QuarantineChanged(keeps, why):
            return (logging.INFO if keeps else logging.ERROR), "quarantine", {"keeps": keeps, "why": why}
        case RoomLost(lost):
            return logging.ERROR, "entries-lost", {"sink": lost.sink, "first": lost.first, "last": lost.last}
        case Buried(sink, entry, why):
            return logging.ERROR, "dead-letter", {"sink": sink, "position": entry.position, "why": why}
        case JobChanged(number, device, kind, title, stage, why):
            level = logging.WARNING if stage in (JobStage.REFUSED, JobStage.RETURNED) else logging.INFO
            return level, f"job-{stage}", {"job": number, "device": device, "kind": kind, "title": title, "why": why}
        case Concluded(source, peer, outcome):
            found = _concluded(outcome)
            return found and (found[0], found[1], {**found[2], "source": source, "peer": peer})
    return None


def _concluded(outcome: object) -> tuple[int, str, dict[str, Detail]] | None:
    match outcome:
        case Refused(reason, detail, _, device):
            return logging.WARNING, f"frame-{reason.value}", {"detail": detail, "device": _hex(device)}
        case Quarantined(device, reason, frame):
            return (
                logging.WARNING,
                f"frame-{reason.value}",
                {"device": _hex(device), "boot": frame.boot, "seq": frame.seq},
            )
        case SecurityEvent(device, seq, what):
            return logging.ERROR, f"security-{what}", {"device": _hex(device), "seq": seq}
        case ChainBreak(device, seq, why):
            return logging.ERROR, f"chain-{why}", {"device": _hex(device), "seq": seq}
        case Gap(device, first, last):
            return logging.WARNING, "gap", {"device": _hex(device), "first": first, "last": last}
        case GapClosed(device, first, last) | GapForgotten(device, first, last):
            word = "gap-closed" if isinstance(outcome, GapClosed) else "gap-forgotten"
            return logging.INFO, word, {"device": _hex(device), "first": first, "last": last}
    return None


def is_security(event: GatewayEvent) -> bool:
    """Return whether an event belongs into the audit log."""
    if isinstance(event, JobChanged):
        return True
    outcome = event.outcome if isinstance(event, Concluded) else None
    if isinstance(outcome, Refused | Quarantined):
        return outcome.reason in _FORGERIES
    return isinstance(outcome, SecurityEvent | ChainBreak)


class Throttle:
    """Lets `BURST` of each kind through in `WINDOW` seconds and counts the others."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[float, int]] = {}

    def admit(self, kind: str, now: float) -> int | None:
        """Return how many were held back before this one, or None if this one is."""
        begun, count = self._kinds.get(kind, (float("-inf"), 0))
        if now - begun >= WINDOW:
            if len(self._kinds) >= 1024:
                self._kinds.clear()
            self._kinds[kind] = (now, 1)
            return max(0, count - BURST)
        self._kinds[kind] = (begun, count + 1)
        return 0 if count < BURST else None


class JsonLines(logging.Formatter):
    """Makes one line of JSON of what a library or we ourselves log, with the kind of an error but not its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {"time": _now(), "level": record.levelname.lower(), "event": "log", "from": record.name}
        line["text"] = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            if trace is not None:
                line["at"] = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        return json.dumps(line)


class Logger:
    """Writes events to a stream, a JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._throttle = Throttle()

    def __call__(self, event: GatewayEvent) -> None:
        """Write down an event, unless too many of its kind were."""
        found = described(event)
        if found is None:
            return
        level, word, details = found
        held_back = self._throttle.admit(word, time.monotonic())
        if held_back is not None:
            line: dict[str, Any] = {"time": _now(), "level": logging.getLevelName(level).lower(), "event": word}
            line |= {name: value for name, value in details.items() if value not in (None, "")}
            print(json.dumps(line | ({"held_back": held_back} if held_back else {})), file=self._stream, flush=True)


class Auditor:
    """Writes security events to the audit log, in a thread of its own, and its signed head where it is wanted."""

    def __init__(self, settings: AuditSettings) -> None:
        self._settings = settings
        self._log = AuditLog(settings.file)
        self._throttle = Throttle()
        self._queue: SimpleQueue[tuple[str, Mapping[str, Detail]] | None] = SimpleQueue()
        self._key = None if settings.key is None else jws.load_key(settings.key)
        self._thread = Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def __call__(self, event: GatewayEvent) -> None:
        """Write down an event that is one for auditors."""
        found = described(event) if is_security(event) else None
        if found is None:
            return
        _, word, details = found
        held_back = self._throttle.admit(f"{word} {details.get('source')}", time.monotonic())
        if held_back is not None:
            self.write(word, details | ({"held_back": held_back} if held_back else {}))

    def write(self, what: str, details: Mapping[str, Detail]) -> None:
        """Write down something else that happened."""
        kept = {name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in details.items()}
        self._queue.put((what, {name: value for name, value in kept.items() if value not in (None, "")}))

    def close(self) -> None:
        """Write what is left, and the last head."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        fresh, sign_at = True, 0.0
        while True:
            try:
                job = self._queue.get(timeout=max(0.01, min(sign_at - time.monotonic(), 60.0)) if fresh else 60.0)
            except Empty:
                job = ("", {})
            try:
                if job and job[0]:
                    self._log.write(job[0], **job[1])
                    fresh = True
                if fresh and (job is None or time.monotonic() >= sign_at):
                    self._sign()
                    fresh, sign_at = False, time.monotonic() + self._settings.every
            except VitalwireError as error:
                log.error("the audit log cannot be written: %s", error)
            if job is None:
                return

    def _sign(self) -> None:
        if self._settings.key is not None:
            try:
                self._key = jws.load_key(self._settings.key)  # it may have been changed
            except VitalwireError as error:
                log.error("the audit log's head is signed with the key before: %s", error)
        if self._key is not None and self._settings.head is not None and self._settings.file.exists():
            new = self._settings.head.with_name(self._settings.head.name + ".new")
            new.write_text(self._log.export_head(self._key) + "\n")
            new.replace(self._settings.head)


def _hex(device: bytes | None) -> str | None:
    return None if device is None else device.hex()


def _now() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z"
