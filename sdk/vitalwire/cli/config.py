"""`vitalwire config`: what is configured on a device, and another configuration for it, over its link."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from vitalwire import jws
from vitalwire.client import Client
from vitalwire.configuration import Configuration, configure, from_words, reported, sign_configuration, to_words
from vitalwire.errors import CommandError, UsageError
from vitalwire.registry import Registry

from . import output
from .options import Json, RegistryFile, opened

app = typer.Typer(help="What is configured on a device, from afar; its operator's key signs each change.")

Url = Annotated[str, typer.Argument(metavar="URL", help="serial:///dev/ttyUSB0, serial://COM3 or tcp://host:port.")]
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]...", help="The settings; what is not named is as provisioned."),
]
Key = Annotated[Path, typer.Option("--key", metavar="PEM", help="The operator's private key, P-256.")]


@contextmanager
def _client(url: str, trusted: Registry) -> Iterator[Client]:
    with Client(url, registry=trusted, state=":memory:", auto_acknowledge=False) as client:
        client.open()
        yield client


@app.command()
def show(url: Url, registry: RegistryFile = None, as_json: Json = False) -> None:
    """Show the version in force and every setting; the device says so under its MAC."""
    with opened(registry) as trusted, _client(url, trusted) as client:
        found = reported(client)
    settings = to_words(found.settings)
    if as_json:
        output.show_json({"version": found.version, "newest": found.newest, "settings": settings})
        return
    table = output.plain("", "setting", "value")
    for name, value in settings.items():
        table.add_row(name, str(value))
    output.show(table)
    output.say(
        (f"version {found.version} is in force" if found.version else "as provisioned")
        + (f"; version {found.newest} is being proven, or was given up" if found.newest > found.version else "")
    )


@app.command(name="set")
def set_(
    url: Url,
    words: Words = None,
    key: Key = ...,  # type: ignore[assignment]
    version: Annotated[
        int | None, typer.Option(metavar="N", help="Above all before; without, one more than the newest.")
    ] = None,
    registry: RegistryFile = None,
    as_json: Json = False,
) -> None:
    """Sign a configuration and send it: it is in force at the end of a frame, or refused whole, with the reason.

    It replaces the one before as a whole. Policy and frame length take a start of the device.
    """
    settings = from_words(words or ())
    operator = jws.load_key(key)
    with opened(registry) as trusted, _client(url, trusted) as client:
        before = reported(client)
        if client.identity is None:  # it has answered
            raise CommandError("the device does not say who it is")
        number = before.newest + 1 if version is None else version
        configure(client, sign_configuration(Configuration(client.identity.thumbprint, number, settings), operator))
    if as_json:
        output.show_json({"version": number, "before": before.version, "settings": to_words(settings)})
    else:
        output.say(
            f"version {number} was taken, before it was {before.version}; "
            "`vitalwire config show` says when it is in force"
        )


@app.command()
def sign(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Its name in the registry, or its fingerprint.")],
    words: Words = None,
    key: Key = ...,  # type: ignore[assignment]
    version: Annotated[int, typer.Option(metavar="N", help="Above that of every configuration it has taken.")] = ...,  # type: ignore[assignment]
    registry: RegistryFile = None,
) -> None:
    """Print a signed configuration in base64: at a hub, the desired property `configuration` of the device's twin."""
    with opened(registry) as trusted:
        found = trusted.find(device)
    signed = sign_configuration(Configuration(found.thumbprint, version, from_words(words or ())), jws.load_key(key))
    typer.echo(base64.b64encode(signed).decode())


@app.command()
def send(
    url: Url,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `vitalwire config sign` printed.")],
    registry: RegistryFile = None,
) -> None:
    """Send a signed configuration to the device that it is for."""
    try:
        signed = base64.b64decode(file.read_text().strip(), validate=True)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{file} is no signed configuration", advice="`vitalwire config sign` prints one") from None
    with opened(registry) as trusted, _client(url, trusted) as client:
        configure(client, signed)
    output.say("taken; `vitalwire config show` says when it is in force")
