"""`vitalwire audit`: who changed what, and whether that log is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitalwire import jws, paths
from vitalwire.audit import AuditLog, Head, check, parse, verify_head
from vitalwire.errors import UsageError

from . import output
from .options import Json

app = typer.Typer(help="See who changed what, prove that the log of it is whole, sign its head.", no_args_is_help=True)

Log = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The log; your own by default.")]
PublicKey = Annotated[
    Path | None, typer.Option("--key", metavar="PEM", help="The key that signed the head: public or private, P-256.")
]


@app.command()
def verify(
    log: Log = None,
    head: Annotated[
        Path | None, typer.Option("--head", metavar="FILE", help="A signed head kept elsewhere, from `audit head`.")
    ] = None,
    key: PublicKey = None,
    as_json: Json = False,
) -> None:
    """Prove that no line was altered, moved or removed, up to the last one and, with --head, up to the signed one.

    Without a head kept elsewhere nobody can tell whether the newest lines were cut off.
    """
    if (head is None) != (key is None):
        raise UsageError("--head and --key belong together")
    signed = Head(0, "", "") if head is None or key is None else verify_head(_text(head), jws.load_public_key(key))
    checked = check(_log(log).lines(), signed.n, signed.digest)
    if as_json:
        output.show_json({"records": checked.count, "digest": checked.digest, "signed": signed.n, "torn": checked.torn})
        return
    output.say(f"{checked.count} records fit together" + (f", the first {signed.n} are as signed" if head else ""))
    if checked.torn:
        output.say(f"a line of {checked.torn} bytes at the end was torn while it was written; it counts for nothing")


@app.command()
def head(
    key: Annotated[Path, typer.Option("--key", metavar="PEM", help="The private key to sign with, from `audit key`.")],
    log: Log = None,
) -> None:
    """Print the signed head of the log, to be kept where who can change the log cannot."""
    print(_log(log).export_head(jws.load_key(key)))


@app.command()
def key(file: Annotated[Path, typer.Argument(metavar="PEM", help="The file to make.")]) -> None:
    """Make a key to sign with and print its public half, for those who verify."""
    print(jws.public_pem(jws.create_key(file)), end="")


@app.command()
def show(log: Log = None, as_json: Json = False) -> None:
    """Show the records, whether or not they fit together."""
    records = [parse(line) for line in _log(log).lines() if line.endswith(b"\n")]
    if as_json:
        output.show_json([{"n": r.n, "time": r.time, "what": r.what, "details": dict(r.details)} for r in records])
        return
    table = output.plain("", "n", "time", "what", "details")
    for record in records:
        details = ", ".join(f"{name} {value}" for name, value in record.details.items())
        table.add_row(str(record.n), record.time, record.what, details)
    output.show(table)


def _log(path: Path | None) -> AuditLog:
    return AuditLog(path or paths.audit_file())


def _text(path: Path) -> str:
    try:
        with path.open() as file:
            return file.read(jws.MAX_SIZE)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}") from error
