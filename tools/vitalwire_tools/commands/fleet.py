"""`vitalwire board ca`, `provision` and `fleet`: names, keys and certificates for boards. Thin wrappers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitalwire import paths
from vitalwire.cli import output
from vitalwire.errors import UsageError
from vitalwire.registry import Registry

from .. import signers
from .needing import needing

if TYPE_CHECKING:
    from ..fleet import Network

Authority = Annotated[Path, typer.Option("--ca", metavar="DIR", help="The maker's authority, of `board ca`.")]
File = Annotated[Path | None, typer.Option("--registry", metavar="FILE", help="Instead of your own registry.")]
Labels = Annotated[Path | None, typer.Option(metavar="DIR", help="Draw a QR label of each device there, as SVG.")]


Links = Annotated[
    list[str] | None,
    typer.Option(
        "--link",
        metavar="LINK",
        help="serial, tls://HOST:PORT, mqtts://HOST:PORT, hub://HOST:PORT; again for more of them.",
    ),
]
Trust = Annotated[
    Path | None,
    typer.Option("--trust", metavar="PEM", help="Who signs gateways' and brokers' certificates; without, the --ca."),
]
Ssid = Annotated[str | None, typer.Option("--wifi", metavar="NAME", help="The Wi-Fi network to join.")]
Password = Annotated[
    Path | None, typer.Option("--wifi-password", metavar="FILE", help="A file with its password; - is stdin.")
]
Maker = Annotated[
    Path | None,
    typer.Option(
        "--maker", metavar="PEM", help="Who may sign its updates: a P-256 key; only its public half is put there."
    ),
]
Operator = Annotated[
    Path | None, typer.Option("--operator", metavar="PEM", help="Who may sign its configurations: likewise.")
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="With --maker, --operator: exchange another such key that is there already."),
]


def _network(links: list[str] | None, trust: Path | None, ssid: str | None, password: Path | None) -> Network:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from ..fleet import Network

    try:
        signer = x509.load_pem_x509_certificate(trust.read_bytes()).public_bytes(Encoding.DER) if trust else None
    except ValueError:
        raise UsageError(f"{trust} is no certificate in PEM") from None
    try:
        given = (sys.stdin.read() if str(password) == "-" else password.read_text()) if password else ""
    except UnicodeDecodeError:
        raise UsageError(f"{password} is no text") from None
    return Network(tuple(links or ()), signer, ssid, given.rstrip("\r\n"))


def _signers(maker: Path | None, operator: Path | None, *, replace: bool) -> signers.Signers:
    if replace and not (maker or operator):
        raise UsageError("--replace exchanges a maker's or operator's key", advice="say --maker PEM or --operator PEM")
    return signers.read(maker, operator)


def server(
    host: Annotated[str, typer.Argument(metavar="HOST", help="Its name or address, as boards connect to it.")],
    authority: Authority,
    folder: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where HOST.crt and HOST.key are to be.")
    ] = Path(),
) -> None:
    """Make key and certificate of a gateway or broker that boards connect to, signed by the maker's authority."""
    with needing("board"):
        from ..authority import load, serve
    try:
        certificate, key = serve(load(authority), host, folder)
    except FileExistsError:
        raise UsageError(f"there is a {folder / host}.key already") from None
    output.say(f"wrote {certificate} and {key}")


def ca(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where its key and certificate are to be.")],
    name: Annotated[str, typer.Option(help="The authority's name in certificates.")] = "vitalwire maker",
) -> None:
    """Make a maker's certificate authority. Keep its ca.key where nobody else can read it."""
    with needing("board"):
        from ..authority import create
    try:
        create(folder, name)
    except FileExistsError:
        there = f"there is an authority in {folder} already" if folder.is_dir() else f"{folder} is no folder"
        raise UsageError(there, advice="name another folder") from None
    output.say(f"wrote {folder / 'ca.key'} and {folder / 'ca.crt'}")


def provision(
    port: Annotated[str, typer.Argument(metavar="PORT", help="/dev/ttyUSB0, COM3; `vitalwire ports` lists them.")],
    device: Annotated[str, typer.Option(metavar="NAME", help="The device's id, the CN of its certificate.")],
    authority: Authority,
    registry: File = None,
    labels: Labels = None,
    links: Links = None,
    trust: Trust = None,
    wifi: Ssid = None,
    password: Password = None,
    maker: Maker = None,
    operator: Operator = None,
    replace: Replace = False,
) -> None:
    """Let a board make its key, certify it by the maker's authority, and enrol it. The key never leaves the board.

    A board that has a key keeps it, and gets what else is said here: once more is no harm.
    """
    with needing("board"):
        from ..authority import load
        from ..fleet import label
        from ..fleet import provision as give
        from ..prompt import Prompt

        network = _network(links, trust, wifi, password)
    signer, keys = load(authority), _signers(maker, operator, replace=replace)
    with Prompt(port) as prompt, Registry(registry or paths.registry_file()) as trusted:
        papers = give(prompt, device, signer, trusted, network, keys, replace=replace)
    if labels:
        label(papers, device, labels)
    output.say(f"{device} is enrolled: {papers.thumbprint.hex()}, {papers.board}")
    for name in keys.kept:
        output.say(f"it has the {name}'s public key")


def fleet(
    file: Annotated[Path, typer.Argument(metavar="CSV", help="Columns device and, if the ports differ, port.")],
    authority: Authority,
    port: Annotated[
        str, typer.Option(metavar="PORT", help="Where the CSV names none: one board after the other.")
    ] = "",
    registry: File = None,
    labels: Labels = None,
    ask: Annotated[bool, typer.Option(help="Wait for Enter before each board.")] = False,
    links: Links = None,
    trust: Trust = None,
    wifi: Ssid = None,
    password: Password = None,
    maker: Maker = None,
    operator: Operator = None,
    replace: Replace = False,
) -> None:
    """Provision a list of devices; run again, it goes on with those that are not done. Exit code 1 if any failed.

    Those that are done it passes over: what else they are to get, --maker's key for instance, `board provision` gives.
    """
    with needing("board"):
        from ..authority import load
        from ..fleet import Row, label, read, run

        network = _network(links, trust, wifi, password)
    signer, rows, keys = load(authority), read(file, port), _signers(maker, operator, replace=replace)

    def ready(row: Row) -> None:
        if ask:
            typer.prompt(f"plug in {row.device}, then Enter", default="", show_default=False, err=True)

    failed = 0
    with Registry(registry or paths.registry_file()) as trusted:
        for row, papers, words in run(rows, signer, trusted, ready, network, keys, replace=replace):
            output.say(f"{row.device}: {words}")
            failed += papers is None
            if papers and labels:
                label(papers, row.device, labels)
    if failed:
        output.say(f"{failed} of {len(rows)} failed: run this again for them")
        raise typer.Exit(1)
