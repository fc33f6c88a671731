"""`vitalwire gateway jobs`: updates and configurations that a gateway brings to its devices, wherever they are."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from vitalwire import cbor, crypto, jws
from vitalwire.audit import AuditLog
from vitalwire.errors import InputError, UsageError
from vitalwire.registry import Device, Registry
from vitalwire.update import read_package
from vitalwire_protocol.spec import ConfigurationKey

from . import output
from .options import Json
from .spools import ConfigFile, at, loaded

if TYPE_CHECKING:
    from vitalwire.gateway import Config, Content, Job, JobKind

app = typer.Typer(help="Updates and configurations, brought to a gateway's devices.", no_args_is_help=True)


@app.command()
def update(
    file: ConfigFile,
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="The update, from `vitalwire board release`.")],
    devices: Annotated[list[str] | None, typer.Argument(metavar="[DEVICE]...", help="Names or thumbprints.")] = None,
    key: Annotated[
        Path, typer.Option("--key", metavar="PEM", help="The maker's public key: what it signed is sent.")
    ] = ...,  # type: ignore[assignment]
    every: Annotated[bool, typer.Option("--all", help="To every trusted device with the update's board.")] = False,
    later: Annotated[bool, typer.Option("--later", help="Leave the start to each device's next one.")] = False,
) -> None:
    """Bring an update to devices, by a gateway that runs or the next one that does; it waits for those that are away.

    Each starts it on trial, and stays with it once the first frames are acknowledged.
    """
    from vitalwire.gateway import Content, JobKind

    maker = jws.load_public_key(key)
    found = read_package(_read(package), maker)
    config = loaded(file)
    if bool(devices) is every:
        raise UsageError("to which devices?", advice="name them, or say --all")
    with Registry(config.gateway.registry) as registry:
        chosen = _of_board(registry, found.manifest.board) if every else [registry.find(name) for name in devices or ()]
        for device in chosen:
            papers = registry.papers(device.thumbprint)
            if papers is not None and papers.board != found.manifest.board:
                raise UsageError(f"{device.name} is a {papers.board}, the update is for {found.manifest.board}")
    content = Content(found.data, maker.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    _add(config, chosen, JobKind.UPDATE, found.manifest.firmware, content, at_once=not later)


@app.command(name="config")
def config_(
    file: ConfigFile,
    signed: Annotated[list[Path], typer.Argument(metavar="SIGNED...", help="What `vitalwire config sign` printed.")],
) -> None:
    """Bring signed configurations to the devices that they are for."""
    from vitalwire.gateway import Content, JobKind

    config = loaded(file)
    for path in signed:
        try:
            message = base64.b64decode(_read(path).strip(), validate=True)
            fields: Any = cbor.decode(crypto.sign1_payload(message))
            thumbprint, version = fields[ConfigurationKey.DEVICE], fields[ConfigurationKey.VERSION]
            text = thumbprint.hex()
        except (InputError, ValueError, KeyError, TypeError, AttributeError):
            raise UsageError(f"{path} is no signed configuration", advice="`vitalwire config sign` makes one") from None
        with Registry(config.gateway.registry) as registry:
            device = registry.find(text)
        _add(config, [device], JobKind.CONFIGURATION, f"version {version}", Content(message))


@app.command(name="list")
def list_(
    file: ConfigFile,
    ended: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    as_json: Json = False,
) -> None:
    """List them: for which device, how far, and how they ended."""
    from vitalwire.gateway import Jobs

    with Jobs(loaded(file).spool.path) as jobs:
        found = jobs.find(ended=ended)
    if as_json:
        output.show_json([_as_dict(job) for job in found])
        return
    table = output.plain("", "job", "device", "what", "how far", "since")
    for job in found:
        table.add_row(str(job.number), job.device, f"{job.kind} {job.title}", _how_far(job), at(job.changed_us))
    output.show(table)


@app.command()
def cancel(
    file: ConfigFile, number: Annotated[int, typer.Argument(metavar="JOB", help="As `jobs list` shows it.", min=1)]
) -> None:
    """Give up a job. What a device was told already it goes on with."""
    from vitalwire.gateway import Jobs

    config = loaded(file)
    with Jobs(config.spool.path) as jobs:
        if not jobs.cancel(number):
            raise UsageError(f"no job {number} is open", advice="`vitalwire gateway jobs list` shows them")
    AuditLog(config.audit.file).write("job-cancelled", job=number)


def _of_board(registry: Registry, board: str) -> list[Device]:
    def fits(device: Device) -> bool:
        papers = registry.papers(device.thumbprint)
        return device.revoked_us is None and papers is not None and papers.board == board

    found = [device for device in registry if fits(device)]
    if not found:
        raise UsageError(f"no trusted device is known to be a {board}", advice="name the devices")
    return found


def _add(
    config: Config, devices: list[Device], kind: JobKind, title: str, content: Content, *, at_once: bool = True
) -> None:
    from vitalwire.gateway import Jobs

    for device in devices:
        if device.revoked_us is not None:
            raise UsageError(f"{device.name} is revoked")
    with Jobs(config.spool.path) as jobs:
        numbers = jobs.add([device.name for device in devices], kind, title, content, at_once=at_once)
    for device, number in zip(devices, numbers, strict=True):
        AuditLog(config.audit.file).write(
            "job-added", job=number, device=device.thumbprint.hex(), kind=kind.value, title=title
        )
        output.say(f"job {number}: {kind} {title} for {device.name}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _how_far(job: Job) -> str:
    from vitalwire.gateway import JobStage

    if job.stage == JobStage.SENDING and job.done:
        return f"sending, {100 * job.done // job.total} %"
    return f"{job.stage}: {job.why}" if job.why else str(job.stage)


def _as_dict(job: Job) -> dict[str, object]:
    shown = ("number", "device", "kind", "title", "stage", "why", "done", "total", "changed_us")
    return {name: getattr(job, name) for name in shown}
