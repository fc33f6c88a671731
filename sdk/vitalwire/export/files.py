"""The files of one export: their names, and that they appear whole, all of them, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from vitalwire.errors import TransportError, UsageError

SUFFIXES = (".csv", ".parquet", ".edf", ".bdf", ".hea", ".dat", ".json")


class Files:
    """Names beginning with `target`; in it, if it is a folder. `made` are those to come, in order.

    Files are written into a folder of their own beside, and go to their places when the block ends without an error.
    What lies beside the samples is named after the format too, so that exports in several formats go by one name.
    """

    def __init__(self, target: Path, stem: str, form: str, *, overwrite: bool) -> None:
        if target.is_dir():
            self._prefix = target / stem
        else:
            self._prefix = target.with_suffix("") if target.suffix.lower() in SUFFIXES else target
        if not self._prefix.parent.is_dir():
            raise TransportError(f"no folder {self._prefix.parent}", advice="make it first")
        self._form = form
        self._overwrite = overwrite
        self.made: list[Path] = []

    def __enter__(self) -> Self:
        self._aside = TemporaryDirectory(prefix=f".{self._prefix.name}-", dir=self._prefix.parent)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._aside as aside:
            for path in self.made if kind is None else ():
                os.replace(Path(aside, path.name), path)

    def name(self, title: str, suffix: str, *, beside: bool = False) -> Path:
        """Return where to write a new file. Raises UsageError if it is there already."""
        form = f".{self._form}" if beside else ""
        path = self._prefix.with_name(f"{self._prefix.name}{form}{'-' * bool(title)}{title}{suffix}")
        if path not in self.made:
            if path.exists() and not self._overwrite:
                raise UsageError(f"{path} is there already", advice="--force overwrites")
            self.made.append(path)
        return Path(self._aside.name, path.name)
