"""The maker's certificate authority: a key and a certificate in a folder; device certificates from requests."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vitalwire import wholefile
from vitalwire.errors import TrustError, UsageError

KEY_FILE, CERTIFICATE_FILE = "ca.key", "ca.crt"
YEARS = 20


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _dated(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    until = now + datetime.timedelta(days=365 * YEARS)
    day = datetime.timedelta(days=1)  # a clock behind ours must not refuse it
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(until)


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs device certificates; the key is never printed."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def sign(self, request: bytes, device: str) -> x509.Certificate:
        """Return a certificate for a device's request (DER); raises TrustError for one that is not this device's."""
        try:
            asked = x509.load_der_x509_csr(request)
            public = asked.public_key()
            if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
                raise TrustError("the device's request is for no P-256 key")
            algorithm = asked.signature_hash_algorithm or hashes.SHA256()
            public.verify(asked.signature, asked.tbs_certrequest_bytes, ec.ECDSA(algorithm))
            subject = asked.subject
        except (ValueError, InvalidSignature, UnsupportedAlgorithm):
            raise TrustError("the device's request is not signed by its key") from None
        if subject != _name(device):
            raise TrustError(f"the device's request is not for {device!r}")
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.certificate.subject)
        builder = _dated(builder.public_key(public))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def serve(authority: Authority, host: str, folder: Path) -> tuple[Path, Path]:
    """Make a key and a certificate for a gateway or broker of this name or address; return their files.

    The certificate serves as a client's, too: a gateway shows it to a broker. Raises FileExistsError rather than write
    over a key.
    """
    try:
        name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        name = x509.DNSName(host)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(_name(host)).issuer_name(authority.certificate.subject)
    builder = _dated(builder.public_key(key.public_key()))
    builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    files = folder / f"{host}.crt", folder / f"{host}.key"
    _write(*files, builder.sign(authority.key, hashes.SHA256()), key)
    return files


def _write(certified: Path, private: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """Write both, or none; FileExistsError rather than write over a key."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    wholefile.write(private, pem, new=True, private=True)
    try:
        wholefile.write(certified, certificate.public_bytes(Encoding.PEM))
    except OSError:
        private.unlink()
        raise


def create(folder: Path, name: str) -> Authority:
    """Make an authority in a folder; raises FileExistsError rather than write over one."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(name)).public_key(key.public_key())
    builder = _dated(builder).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    _write(folder / CERTIFICATE_FILE, folder / KEY_FILE, certificate, key)
    return Authority(certificate, key)


def load(folder: Path) -> Authority:
    """Return the authority of a folder; raises UsageError if there is none."""
    try:
        key = load_pem_private_key((folder / KEY_FILE).read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE_FILE).read_bytes())
    except (OSError, ValueError, TypeError):
        raise UsageError(f"no certificate authority in {folder}", advice="`vitalwire board ca` makes one") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise UsageError(f"key and certificate in {folder} do not belong together")
    return Authority(certificate, key)
