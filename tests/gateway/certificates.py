"""Certificates for tests, of an authority of the test's own."""

from __future__ import annotations

import datetime
from pathlib import Path

import trustme


class Certificates:
    """An authority in a folder, and what it signs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        folder.mkdir(exist_ok=True)
        self._authority.cert_pem.write_to_path(self.ca)

    def issue(self, name: str, *, expired: bool = False) -> tuple[Path, Path]:
        """Return the files of a certificate and its key, for a device of this name and for this computer."""
        ends = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1) if expired else None
        begins = None if ends is None else ends - datetime.timedelta(days=1)
        issued = self._authority.issue_cert(
            "localhost", "127.0.0.1", common_name=name, not_after=ends, not_before=begins
        )
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    def issue_for(self, host: str) -> tuple[Path, Path]:
        """Return the files of a server's certificate for an address of its own."""
        issued = self._authority.issue_cert(host)
        certificate, key = self._folder / f"{host}.pem", self._folder / f"{host}.key"
        certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return certificate, key
