"""`vitalwire device`: which devices are trusted."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from vitalwire import crypto, paths
from vitalwire.audit import audited
from vitalwire.errors import UsageError
from vitalwire.messages import Descriptor
from vitalwire.registry import Device, Registry
from vitalwire_protocol import spec

from . import output
from .options import Json, RegistryFile, fingerprint
from .strangers import descriptors

app = typer.Typer(help="Trust devices, see which are trusted, withdraw trust.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def enrol(
    given: Annotated[
        str | None,
        typer.Argument(metavar="[FINGERPRINT]", help="64 hexadecimal digits, as the board or its maker shows them."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="URL|FILE", help="Take the fingerprint from a device or a capture, and ask."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What to call it; else as it calls itself.")] = None,
    secret_file: Annotated[
        str | None,
        typer.Option(
            "--secret-file",
            metavar="FILE",
            help="The controller's secret provisioned on it: 32 bytes or 64 hexadecimal digits; - for stdin.",
        ),
    ] = None,
    registry: RegistryFile = None,
    yes: Yes = False,
) -> None:
    """Trust a device: believe the frames its key signs.

    With --from, compare the fingerprint that is shown with the one the device or its maker tells you by another way. A
    secret lets this computer acknowledge frames, so that the device may erase them, and set its clock.
    """
    if given is None and source is None:
        raise UsageError("enrol what?", advice="give a fingerprint, or --from a device's URL or a capture")
    wanted = None if given is None else fingerprint(given)
    secret = None if secret_file is None else _secret(secret_file)
    said = None
    if source is not None:
        said = _choose(source, wanted)
        _show(said)
        if wanted is None and not yes:
            _ask("Trust it?", stdin_is_used=secret_file == "-")  # noqa: S105
    thumbprint = said.thumbprint if said else wanted
    assert thumbprint is not None
    with _registry(registry) as trusted:
        called = name or (said.device if said else thumbprint.hex()[:8])
        with audited(paths.audit_file(), "device-enrol", called, thumbprint):
            device = trusted.enrol(thumbprint, called, secret=secret)
        known = trusted.secret(thumbprint) is not None
    output.say(
        f"{device.name} is trusted" + ("" if known else ", to read from; without its secret nothing is acknowledged")
    )


@app.command("list")
def list_devices(registry: RegistryFile = None, as_json: Json = False) -> None:
    """List the devices ever trusted. Secrets are never shown."""
    with _registry(registry) as trusted:
        devices = [(device, trusted.secret(device.thumbprint) is not None) for device in trusted]
    if as_json:
        output.show_json(
            [
                {
                    "name": device.name,
                    "fingerprint": device.thumbprint.hex(),
                    "enrolled": _moment(device.enrolled_us),
                    "revoked": _moment(device.revoked_us),
                    "secret": secret,
                }
                for device, secret in devices
            ]
        )
        return
    if not devices:
        output.say("no devices: `vitalwire device enrol` trusts one")
        return
    table = output.plain("", "name", "fingerprint", "since", "state")
    for device, secret in devices:
        table.add_row(
            device.name, device.thumbprint.hex(), (_moment(device.enrolled_us) or "")[:10], _state(device, secret)
        )
    output.show(table)


@app.command()
def revoke(
    which: Annotated[str, typer.Argument(metavar="DEVICE", help="Its name, or how its fingerprint begins.")],
    registry: RegistryFile = None,
    yes: Yes = False,
) -> None:
    """Withdraw trust from a device, for good: its key may be in other hands. Its secret is forgotten."""
    with _registry(registry) as trusted:
        device = trusted.find(which)
        if not yes:
            _ask(f"Revoke {device.name}, {device.thumbprint.hex()}, for good?")
        with audited(paths.audit_file(), "device-revoke", device.name, device.thumbprint):
            trusted.revoke(device.thumbprint)
    output.say(f"{device.name} is revoked")


@app.command()
def passkey(
    which: Annotated[str, typer.Argument(metavar="DEVICE", help="Its name, or how its fingerprint begins.")],
    registry: RegistryFile = None,
) -> None:
    """Show the number to type when this computer, or a phone, first meets the device over Bluetooth."""
    with _registry(registry) as trusted:
        device = trusted.find(which)
        secret = trusted.secret(device.thumbprint)
    if secret is None:
        raise UsageError(f"{device.name} has no secret here", advice="`vitalwire device enrol --secret-file` gives it")
    typer.echo(f"{crypto.passkey(secret, device.thumbprint):06}")


def _registry(file: Path | None) -> Registry:
    return Registry(file or paths.registry_file())


def _secret(file: str) -> bytes:
    data = sys.stdin.buffer.read(1024) if file == "-" else Path(file).read_bytes()[:1024]
    if len(data) == spec.SECRET_SIZE:
        return data
    try:
        secret = bytes.fromhex(data.decode().strip())
    except ValueError:
        secret = b""
    if len(secret) != spec.SECRET_SIZE:  # never say what it was
        raise UsageError(f"that is no secret: {spec.SECRET_SIZE} bytes, or {2 * spec.SECRET_SIZE} hexadecimal digits")
    return secret


def _choose(source: str, wanted: bytes | None) -> Descriptor:
    found = {each.thumbprint: each for each in descriptors(source)}
    if wanted is not None:
        if wanted not in found:
            raise UsageError(f"{source} is of another device than {wanted.hex()}")
        return found[wanted]
    if len(found) != 1:
        listed = ", ".join(f"{each.thumbprint.hex()} ({each.device})" for each in found.values())
        raise UsageError(
            f"{source} is of {len(found) or 'no'} devices: {listed}".rstrip(": "), advice="name the fingerprint too"
        )
    return next(iter(found.values()))


def _show(device: Descriptor) -> None:
    digits = device.thumbprint.hex()
    table = output.plain("It says of itself, under its own signature")
    table.add_row("fingerprint", " ".join(digits[i : i + 8] for i in range(0, len(digits), 8)))
    table.add_row("name", device.device)
    table.add_row("board, firmware", f"{device.board}, {device.firmware}")
    table.add_row("channels", ", ".join(channel.name for channel in device.channels))
    output.console(stderr=True).print(table)


def _ask(question: str, *, stdin_is_used: bool = False) -> None:
    if stdin_is_used or not sys.stdin.isatty():
        raise UsageError(f"nobody is there to be asked: {question}", advice="--yes answers it")
    if not typer.confirm(question, err=True):
        raise UsageError("not confirmed")


def _moment(us: int | None) -> str | None:
    return None if us is None else datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="seconds")


def _state(device: Device, secret: bool) -> str:
    if device.revoked_us is not None:
        return f"revoked {(_moment(device.revoked_us) or '')[:10]}"
    return "trusted" if secret else "trusted, no secret"
