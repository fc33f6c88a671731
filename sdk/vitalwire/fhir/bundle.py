"""Resources in files: a transaction Bundle that PUTs each by its id, or newline-delimited JSON, one resource a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from vitalwire.errors import InputError, TransportError

from .jsontext import Json, Resource, dumps, loads

MAX_SIZE = 1 << 28  # bytes of a Bundle that is read
MAX_LINE = 1 << 24  # bytes of a resource in newline-delimited JSON
NDJSON = (".ndjson", ".jsonl")


def entry(resource: Mapping[str, Json]) -> Resource:
    """Return the transaction entry that writes a resource under its own id."""
    where = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": where}}


class BundleWriter:
    """Writes resources into a file as they come; which form, the file's name says."""

    def __init__(self, file: IO[str], *, lines: bool) -> None:
        self._file = file
        self._lines = lines
        self.count = 0
        if not lines:
            file.write('{"resourceType":"Bundle","type":"transaction","entry":[')

    def write(self, resource: Mapping[str, Json]) -> None:
        """Write one resource."""
        if self._lines:
            self._file.write(dumps(resource) + "\n")
        else:
            self._file.write((",\n" if self.count else "\n") + dumps(entry(resource)))
        self.count += 1

    def close(self) -> None:
        """Complete the file's text."""
        if not self._lines:
            self._file.write("\n]}\n")


def read(path: Path) -> Iterator[Resource]:
    """Yield the resources of a file of either form, or of all such files in a folder, as a server gives back pages.

    Raises InputError, or TransportError where it cannot be read.
    """
    if path.is_dir():
        pages = sorted(page for page in path.iterdir() if page.suffix.lower() in (*NDJSON, ".json"))
        if not pages:
            raise InputError(f"{path} has no .json and no .ndjson")
        for page in pages:
            yield from read(page)
        return
    try:
        with path.open("rb") as file:
            yield from _lines(file) if path.suffix.lower() in NDJSON else _bundle(file)
    except OSError as error:
        raise TransportError(f"cannot read {path}: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}", reason=error.reason) from None


def _lines(file: IO[bytes]) -> Iterator[Resource]:
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise InputError(f"a line of more than {MAX_LINE} bytes", reason="oversized")
        if line.strip():
            yield resource(loads(line))


def _bundle(file: IO[bytes]) -> Iterator[Resource]:
    text = file.read(MAX_SIZE + 1)
    if len(text) > MAX_SIZE:
        raise InputError(f"more than {MAX_SIZE} bytes: newline-delimited JSON has no such limit", reason="oversized")
    bundle = loads(text)
    entries = bundle.get("entry", []) if isinstance(bundle, dict) and bundle.get("resourceType") == "Bundle" else None
    if not isinstance(entries, list):
        raise InputError("not a FHIR Bundle")
    for each in entries:
        yield resource(each.get("resource") if isinstance(each, dict) else None)


def resource(value: Json) -> Resource:
    """Return a value that is a resource with a type and an id; raises InputError."""
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in ("resourceType", "id")):
        raise InputError("an entry without a resource that has a type and an id")
    return value


def write(path: Path, resources: Iterable[Mapping[str, Json]]) -> int:
    """Write resources into a new file, whole or not at all, and return how many.

    Raises TransportError if the file cannot be made or is there already.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            try:
                writer = BundleWriter(file, lines=path.suffix.lower() in NDJSON)
                for each in resources:
                    writer.write(each)
                writer.close()
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            return writer.count
    except OSError as error:
        raise TransportError(f"cannot write {path}: {error.strerror}") from error
