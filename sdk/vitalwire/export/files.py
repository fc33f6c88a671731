"""The files of one export: their names, and that none is overwritten or left behind half written."""

from __future__ import annotations

from pathlib import Path

from vitalwire.errors import TransportError, UsageError

SUFFIXES = (".csv", ".parquet", ".edf", ".bdf", ".hea", ".dat", ".json")


class Files:
    """Names beginning with `target`; in it, if it is a folder. `made` are those given out, in order.

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

    def name(self, title: str, suffix: str, *, beside: bool = False) -> Path:
        """Return the name of a new file. Raises UsageError if it is there already."""
        form = f".{self._form}" if beside else ""
        path = self._prefix.with_name(f"{self._prefix.name}{form}{'-' * bool(title)}{title}{suffix}")
        if path in self.made:
            return path
        if path.exists() and not self._overwrite:
            raise UsageError(f"{path} is there already", advice="--force overwrites")
        self.made.append(path)
        return path

    def discard(self) -> None:
        """Remove what was made: the export failed."""
        for path in self.made:
            path.unlink(missing_ok=True)
