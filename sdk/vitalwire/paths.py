"""Where a user's registry and state are kept when nobody says otherwise; makes nothing and opens nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def data_dir() -> Path:
    """Return the folder: `$VITALWIRE_HOME`, or `vitalwire` in the place the system has for a user's data.

    That is `$XDG_DATA_HOME` or `~/.local/share` (XDG Base Directory Specification), on Windows `%LOCALAPPDATA%`.
    """
    if own := os.environ.get("VITALWIRE_HOME"):
        return Path(own)
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "vitalwire"
    shared = os.environ.get("XDG_DATA_HOME")
    return (Path(shared) if shared else Path.home() / ".local" / "share") / "vitalwire"


def registry_file() -> Path:
    """Return where the devices a user trusts are kept."""
    return data_dir() / "registry.db"


def audit_file() -> Path:
    """Return where it is written down who was trusted and who no more."""
    return data_dir() / "audit.jsonl"


def assignments_file() -> Path:
    """Return where it is kept who wears what."""
    return data_dir() / "assignments.db"


def state_file() -> Path:
    """Return where a reader remembers what it has already accepted."""
    return data_dir() / "state.db"
