"""gateway.toml as typed values: a `[source.NAME]` and a `[sink.NAME]` for each of those, and a table for each room."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from vitalwire import paths, settings
from vitalwire.errors import UsageError
from vitalwire.settings import Existing, Kinds, Settings, read_table
from vitalwire.sinks import KINDS as SINKS
from vitalwire.sinks import SinkSettings

from .operations import AuditSettings, ObjectiveSettings, StatusSettings
from .sources import KINDS as SOURCES
from .sources import SourceSettings

_TABLES = ("gateway", "spool", "source", "sink", "status", "audit", "objectives")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class GatewaySettings(Settings):
    """The gateway itself: whom it trusts, and what it remembers."""

    registry: Existing = Field(default_factory=paths.registry_file)
    state: Existing = Field(default_factory=paths.state_file)
    settle: float = Field(5.0, ge=0)  # seconds a device's first frames wait at most for its time to be measured
    set_time: bool = True  # tell devices UTC
    stop: float = Field(10.0, ge=0)  # seconds the sinks have for what is in the spool when the gateway is to end


class SpoolSettings(Settings):
    """Where frames wait, how many bytes of them, and what happens when it is full."""

    path: Existing
    max_mb: float = Field(1000.0, ge=1)
    full: Literal["refuse", "drop-oldest"] = "refuse"  # devices keep theirs; or the oldest go, which is told
    alarm: float = Field(0.8, gt=0, lt=1)  # of it: above this the operator is told
    quarantine_mb: float = Field(100.0, ge=0)  # in a file beside it, for what is kept but not believed


@dataclass(frozen=True, slots=True)
class Config:
    """One whole configuration."""

    file: Path
    gateway: GatewaySettings
    spool: SpoolSettings
    sources: Mapping[str, SourceSettings]
    sinks: Mapping[str, SinkSettings]
    status: StatusSettings
    audit: AuditSettings
    objectives: ObjectiveSettings


def load(file: Path) -> Config:
    """Return what is in the file. Raises UsageError for what is not as it should be, naming the key."""
    try:
        with file.open("rb") as opened:
            tables = tomllib.load(opened)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from None
    unknown = set(tables) - set(_TABLES)
    if unknown:
        raise UsageError(f"{file}: {min(unknown)}: no such table", advice="there are " + ", ".join(_TABLES))
    return Config(
        file,
        read_table(GatewaySettings, _table(tables, "gateway", file), file=file, key="gateway"),
        read_table(SpoolSettings, _table(tables, "spool", file), file=file, key="spool"),
        _named(SOURCES, SourceSettings, tables, "source", file),
        _named(SINKS, SinkSettings, tables, "sink", file),
        read_table(StatusSettings, _table(tables, "status", file), file=file, key="status"),
        read_table(AuditSettings, _table(tables, "audit", file), file=file, key="audit"),
        read_table(ObjectiveSettings, _table(tables, "objectives", file), file=file, key="objectives"),
    )


def prove(config: Config) -> None:
    """Try every secret and certificate. Raises UsageError that names the first which cannot be used."""
    for key, tables in (("source", config.sources), ("sink", config.sinks), ("status", config.status)):
        settings.prove(tables, key)


Common = TypeVar("Common", bound=Settings)


def _named(kinds: Kinds, common: type[Common], tables: Mapping[str, Any], key: str, file: Path) -> dict[str, Common]:
    """Return the settings of every `[key.NAME]`, each by the model of its kind."""
    found: dict[str, Common] = {}
    for name in _table(tables, key, file):
        where = f"{key}.{name}"
        if not _NAME.fullmatch(name):
            raise UsageError(f"{file}: {where}: a name is of letters, digits, - and _, at most 64")
        table = _table(tables[key], name, file, where)
        try:
            model = kinds.module(table.get("kind")).Settings
        except UsageError as error:
            raise UsageError(f"{file}: {where}.kind: {error}", advice=error.advice) from None
        found[name] = read_table(model, table, file=file, key=where)
    return found


def _table(tables: Mapping[str, Any], key: str, file: Path, where: str = "") -> Mapping[str, Any]:
    table = tables.get(key, {})
    if not isinstance(table, dict):
        raise UsageError(f"{file}: {where or key}: must be a table")
    return table
