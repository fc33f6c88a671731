"""Gives devices their names, keys and certificates, one or a list of them; what is done stands in the registry."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import segno
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from vitalwire import crypto
from vitalwire.errors import CommandError, UsageError, VitalwireError
from vitalwire.registry import Papers, Registry
from vitalwire_protocol import spec

from .authority import Authority
from .prompt import Prompt
from .provision import check_settings
from .signers import NOBODY, Signers

_SIGNERS = """
from hal import {hal} as hal
keys = {keys!r}
held = [(name, hal.recall(name)) for name in keys]
others = [name for name, key in held if key is not None and key != keys[name]]
if {replace} or not others:
    others = []
    for name, key in held:
        if key != keys[name]:
            hal.keep(name, keys[name])
            if hal.recall(name) != keys[name]:
                raise OSError("the key of the " + name + " was not kept")
print("others", *others)
"""


_BORN = """
from hal import {hal} as hal
import birth, json, board
secret = birth.make(hal)
birth.configure(hal, {settings!r})
for name, value in {kept!r}.items():
    hal.keep(name, value)
print(json.dumps([secret.hex() if secret else None, birth.request(hal).hex(), board.NAME, board.VERSION]))
"""


_PAPERS = """
from hal import {hal} as hal
for name, content in {files!r}.items():
    with open(hal.files() + "/" + name, "wb") as f:
        f.write(content)
"""
MOST_SSID, LEAST_PASSWORD, MOST_PASSWORD = 32, 8, 63  # bytes (IEEE 802.11, WPA)
_DEPLOY = "`vitalwire board deploy` puts this firmware on it"
CERTIFICATE_FILE, TRUST_FILE = "client.der", "ca.der"  # in the board's file system, see firmware/links/tls.py


@dataclass(frozen=True, slots=True)
class Network:
    """Over what a board is to be read, and what it needs for that; the password is never printed.

    `links` as in firmware/README.md, empty: as they are; `trust` is the certificate (DER) of who signs the certificates
    of gateways and brokers, None: the maker's authority; `ssid` is the name of a Wi-Fi network, None: as it is.
    """

    links: tuple[str, ...] = ()
    trust: bytes | None = None
    ssid: str | None = None
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Raise UsageError for a link or a name that no board takes."""
        if self.links:
            check_settings({"links": list(self.links)})
        if self.ssid is not None and not 0 < len(self.ssid.encode()) <= MOST_SSID:
            raise UsageError(f"a Wi-Fi network's name has 1 to {MOST_SSID} bytes")
        if self.password and not LEAST_PASSWORD <= len(self.password.encode()) <= MOST_PASSWORD:
            raise UsageError(f"a Wi-Fi network's password has {LEAST_PASSWORD} to {MOST_PASSWORD} bytes")


AS_IT_IS = Network()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a fleet's CSV."""

    device: str
    port: str


def provision(
    prompt: Prompt,
    device: str,
    authority: Authority,
    registry: Registry,
    network: Network = AS_IT_IS,
    signers: Signers = NOBODY,
    *,
    replace: bool = False,
) -> Papers:
    """Let the board at the prompt make its key, certify it, and enrol it; again, it keeps its key and gets new papers.

    It gets its certificate and what `network` says, for the way to gateways and brokers, and the keys of `signers`. The
    private key stays on the board. Raises CommandError when the board cannot, TrustError for a wrong request, and
    UsageError, with nothing changed, where it has another key of a signer already and this is not to `replace` it.
    """
    settings: dict[str, object] = {"device": device, **({"links": list(network.links)} if network.links else {})}
    check_settings(settings)
    hal = "virtual" if prompt.virtual else "esp32"
    if signers.kept:
        _trust(prompt, hal, signers, replace=replace)
    kept = {} if network.ssid is None else {"ssid": network.ssid.encode(), "psk": network.password.encode()}
    code = _BORN.format(hal=hal, settings=settings, kept=kept)
    secret, request, board, firmware = _born(prompt.run(code))
    certificate = authority.sign(request, device)
    public = certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    trust = network.trust or authority.certificate.public_bytes(Encoding.DER)
    files = {CERTIFICATE_FILE: certificate.public_bytes(Encoding.DER), TRUST_FILE: trust}
    thumbprint = crypto.thumbprint(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    registry.enrol(thumbprint, device, secret=secret)  # first: whoever is refused gets no certificate
    prompt.run(_PAPERS.format(hal=hal, files=files))
    return registry.certify(thumbprint, certificate.public_bytes(Encoding.DER), board, firmware)


def _born(said: str) -> tuple[bytes | None, bytes, str, str]:
    try:
        secret, request, board, firmware = json.loads(_last(said))
        if not all(isinstance(text, str) and len(text) <= spec.Limit.MAX_TEXT for text in (board, firmware)):
            raise ValueError
        return None if secret is None else bytes.fromhex(secret), bytes.fromhex(request), board, firmware
    except (ValueError, TypeError, RecursionError):
        raise CommandError("the board did not answer as this firmware does", advice=_DEPLOY) from None


def _last(said: str) -> str:
    return (said.strip().splitlines() or [""])[-1]


def _trust(prompt: Prompt, hal: str, signers: Signers, *, replace: bool) -> None:
    word, *others = _last(prompt.run(_SIGNERS.format(hal=hal, keys=signers.kept, replace=replace))).split() or [""]
    if word != "others":
        raise CommandError("the board did not answer as this firmware does", advice=_DEPLOY)
    if others:
        raise UsageError(
            f"the board has another {' and another '.join(others)}'s key already, so nothing was changed",
            advice="--replace exchanges it for the one given",
        )


def read(file: Path, port: str = "") -> list[Row]:
    """Return the rows of a CSV with the columns `device` and, if the ports differ, `port`; raises UsageError."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            table = list(csv.DictReader(text))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file} is no CSV: {error}") from None
    if not table or "device" not in table[0]:
        raise UsageError(f"{file} needs a header with the column device, and rows below it")
    rows = [Row((line.get("device") or "").strip(), (line.get("port") or port).strip()) for line in table]
    for number, row in enumerate(rows, 2):
        if not row.port or not 0 < len(row.device.encode()) <= spec.Limit.MAX_TEXT:
            raise UsageError(f"{file}, line {number}: a device needs a name and a port", advice="or give --port")
    if len({row.device for row in rows}) < len(rows):
        raise UsageError(f"{file} names a device twice")
    return rows


def label(papers: Papers, device: str, folder: Path) -> Path:
    """Draw a device's label, a QR code of its name and thumbprint, as SVG named by the thumbprint."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{papers.thumbprint.hex()[:16]}.svg"
    code = segno.make(f"vitalwire:{device}:{papers.thumbprint.hex()}", error="m", micro=False)
    code.save(str(path), scale=4, title=device, desc=papers.thumbprint.hex())
    return path


def run(
    rows: list[Row],
    authority: Authority,
    registry: Registry,
    ready: Callable[[Row], object] = lambda row: None,
    network: Network = AS_IT_IS,
    signers: Signers = NOBODY,
    *,
    replace: bool = False,
) -> Iterator[tuple[Row, Papers | None, str]]:
    """Provision each device that has no papers yet; yield (row, papers or None, what happened), and go on after faults.

    `ready` is called before a board is touched, so that a person can plug it in.
    """
    done = {device.name: registry.papers(device.thumbprint) for device in registry if device.revoked_us is None}
    for row in rows:
        papers = done.get(row.device)
        if papers:
            left = (
                f", and did not get the {' and '.join(signers.kept)} key: `board provision` gives it"
                if signers.kept
                else ""
            )
            yield row, papers, f"was done before{left}"
            continue
        ready(row)
        try:
            with Prompt(row.port) as prompt:
                papers = provision(prompt, row.device, authority, registry, network, signers, replace=replace)
            yield row, papers, "done"
        except VitalwireError as error:
            yield row, None, f"{error}; {error.advice}" if error.advice else str(error)
