"""What a board needs to connect out, put into its file system: certificates of authorities of the test's own."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from vitalwire_tools.littlefs_image import pack, unpack
from vitalwire_tools.provision import Identity
from vitalwire_tools.virtual.machine import FLASH, board_file

DAY = datetime.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """Signs certificates for servers and devices; `pem` is the file of its own."""

    def __init__(self, folder: Path, name: str = "an authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name = folder, _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        ca = x509.BasicConstraints(ca=True, path_length=0)
        self._own = self._builder(self._name, self._key.public_key(), 365).add_extension(ca, critical=True)
        self.certificate = self._own.sign(self._key, hashes.SHA256())
        self.pem = folder / "ca.pem"
        self.pem.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        until = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + days * DAY
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        return (
            builder.serial_number(x509.random_serial_number())
            .not_valid_before(until - 400 * DAY)
            .not_valid_after(until)
        )

    def device(self, identity: Identity, name: str = "virtual", days: int = 365) -> dict[str, bytes]:
        """Return the files of a board whose certificate says this name: `client.der` and `ca.der`."""
        private = ec.derive_private_key(int.from_bytes(identity.key, "big"), ec.SECP256R1())
        made = self._builder(_name(name), private.public_key(), days).sign(self._key, hashes.SHA256())
        return {
            "client.der": made.public_bytes(Encoding.DER),
            "ca.der": self.certificate.public_bytes(Encoding.DER),
        }

    def server(self, host: str = "localhost", days: int = 365) -> tuple[Path, Path]:
        """Return the files of a server's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        made = self._builder(_name(host), key.public_key(), days).add_extension(names, critical=False)
        certificate, private = self._folder / f"{host}{days}.pem", self._folder / f"{host}{days}.key"
        certificate.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, private

    def revoked(self, *certificates: bytes) -> Path:
        """Return the file of the list of certificates, given as DER, that this authority has taken back."""
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        made = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        made = made.last_update(now - DAY).next_update(now + DAY)
        for der in certificates:
            number = x509.load_der_x509_certificate(der).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - DAY).build()
            made = made.add_revoked_certificate(entry)
        path = self._folder / "revoked.pem"
        path.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return path

    def demands(self, certificate: tuple[Path, Path]) -> ssl.SSLContext:
        """Return a server's side of TLS that shows `certificate` and demands one of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        context.load_verify_locations(self.pem)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put files into the file system of a virtual board that is switched off."""
    offset, size = board_file().partitions["vfs"]
    flash = bytearray((folder / FLASH).read_bytes())
    image = bytes(flash[offset : offset + size])
    flash[offset : offset + size] = pack({**unpack(image), **files}, size)
    (folder / FLASH).write_bytes(flash)
