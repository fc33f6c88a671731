"""Whose signatures a board takes: its maker's for updates, its operator's for configurations. Public halves only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vitalwire import crypto, jws


@dataclass(frozen=True, slots=True)
class Signers:
    """Two P-256 keys as uncompressed points, 65 bytes; empty: none, a board takes nothing that this one would sign."""

    maker: bytes = b""
    operator: bytes = b""

    @property
    def kept(self) -> dict[str, bytes]:
        """What a board keeps of the keys that are given, by the firmware's names for it: x and y, 64 bytes."""
        return {name: point[1:] for name, point in (("maker", self.maker), ("operator", self.operator)) if point}

    def are_kept(self, files: Mapping[str, bytes]) -> bool:
        """Whether a virtual board with these files has the keys that are given."""
        return all(files.get(name) == key for name, key in self.kept.items())


NOBODY = Signers()


def read(maker: Path | None, operator: Path | None) -> Signers:
    """Return the keys in two PEM files, public or private ones; UsageError for what is no P-256 key."""
    return Signers(_point(maker), _point(operator))


def _point(pem: Path | None) -> bytes:
    return crypto.public_point(jws.load_public_key(pem)) if pem else b""
