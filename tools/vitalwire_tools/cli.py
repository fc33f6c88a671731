"""The commands `vitalwire board` and `vitalwire bench`, which join the SDK's by the entry points of pyproject.toml.

Thin: what they run is imported when it is run, because it needs the extra `vitalwire[board]`.
"""

from __future__ import annotations

import json
import threading
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console

from vitalwire import crypto, paths
from vitalwire.audit import audited
from vitalwire.cli import output
from vitalwire.cli.stopping import stoppable
from vitalwire.errors import TransportError, UsageError
from vitalwire.registry import Registry
from vitalwire_protocol.spec import Policy

from . import signers
from .commands import catalog, fleet, image, power, serve
from .commands import release as releasing
from .commands.needing import needing
from .folders import SHARES

board = typer.Typer(help="Boards: those there are, new ones, and the one that runs here.", no_args_is_help=True)
run_group = typer.Typer(help="Run a board.", no_args_is_help=True)
board.add_typer(run_group, name="run")
board.command("list")(catalog.show)
board.command("new")(catalog.new)
board.command("power")(power.power)
board.command("image")(image.image)
board.command("flash")(image.flash)
board.command("release")(releasing.release)
board.command("deploy")(serve.deploy)
board.command("doctor")(serve.doctor)
board.command("ca")(fleet.ca)
board.command("server")(fleet.server)
board.command("provision")(fleet.provision)
bench = typer.Typer(help="Measure, each figure as a ratio within one run; --json for programs.", no_args_is_help=True)

POLICIES = "|".join(each.name.lower() for each in Policy)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


# ---------------------------------------------------------------- board


@run_group.command()
def virtual(
    speed: Annotated[
        float, typer.Option(help="How many times as fast as real time; 0: as fast as can be.", min=0)
    ] = 1.0,
    cpu: Annotated[str, typer.Option(metavar="NAME", help="esp32 charges the sample clock with an ESP32's work.")] = "",
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Be there on TCP as well as on a pseudo-terminal.")
    ] = None,
    faults: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Faults of the chips: [[fault]] tables, see tools/README.md."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where its flash is kept; made if it is not there.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the chips' jitter: the same seed gives the same samples.")] = 0,
    board: Annotated[
        str | None, typer.Option(metavar="BOARD", help="Another board's name or board.toml: its sensors and pins.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(metavar=POLICIES, help="How it protects its frames from now on; without, as before.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Settings from now on, as firmware/README.md names them.")
    ] = None,
    heap: Annotated[
        int | None, typer.Option(metavar="KIB", help="Its heap, instead of the usual one.", min=64, max=4096)
    ] = None,
    maker: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Who may sign its updates: a P-256 key, when the board is made."),
    ] = None,
    operator: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Who may sign its configurations: a P-256 key, when the board is made."),
    ] = None,
    enrol: Annotated[bool, typer.Option("--enrol", help="Trust this board in your registry, with its secret.")] = False,
    registry: Annotated[
        Path | None, typer.Option("--registry", metavar="FILE", help="The registry for --enrol, instead of your own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the virtual board until Ctrl-C: real firmware and drivers on models of the chips, which play real recordings.

    Its flash keeps identity, journal and counters from one run to the next, as a real board's does.
    """
    with needing("board"):
        from .littlefs_image import unpack
        from .provision import read_secret, reconfigured
        from .virtual.faults import FaultError
        from .virtual.machine import ABOUT, FLASH, HEAP, Machine, Options, board_file, create

    settings = image.settings(config) | ({} if policy is None else {"policy": policy})
    faulty, address, given = _faults(faults), _address(listen), signers.read(maker, operator)
    described = str(catalog.locate(board)[1].resolve()) if board else ""
    home = (folder or paths.data_dir() / "boards" / (Path(described).parent.name or "virtual")).resolve()
    if not (home / FLASH).exists():
        create(home, board=described, maker=given.maker, operator=given.operator)
    public_key = bytes.fromhex(json.loads((home / ABOUT).read_text())["public_key"])
    thumbprint = crypto.thumbprint(public_key)
    with Registry(registry or paths.registry_file()) as trusted:
        offset, size = board_file(path=described).partitions["vfs"]
        flash = (home / FLASH).read_bytes()
        files = flash[offset : offset + size]
        if not given.are_kept(unpack(files)):
            raise UsageError(
                f"the board in {home} was made with other keys of its signers, or none",
                advice="`vitalwire board provision` gives it these; or make another board by --folder",
            )
        if settings:
            files = reconfigured(files, settings)
            (home / FLASH).write_bytes(flash[:offset] + files + flash[offset + size :])
        if enrol:
            secret = read_secret(files)
            name = _free_name(trusted, thumbprint)
            with audited(paths.audit_file(), "device-enrol", name, thumbprint):
                trusted.enrol(thumbprint, name, secret=secret)
        known = trusted.get(thumbprint)
    options = Options(
        home,
        speed=speed,
        cpu=cpu,
        heap=heap * 1024 if heap else HEAP,
        seed=seed,
        listen=address,
        faults=faulty,
        board=described,
    )
    try:
        machine = Machine(options, lambda event: _say(event, as_json=as_json))
    except FaultError as error:
        raise UsageError(f"{faults}: {error}") from None
    except OSError as error:
        raise TransportError(f"cannot start the board: {error}") from None
    url = f"tcp://{machine.address[0]}:{machine.address[1]}" if machine.address else f"serial://{machine.port}"
    if as_json:
        print(
            json.dumps({"event": "ready", "url": url, "port": machine.port, "fingerprint": thumbprint.hex()}),
            flush=True,
        )
    else:
        output.say(f"port         {machine.port}" + (f" and {url}" if machine.address else ""))
        output.say(f"fingerprint  {thumbprint.hex()}")
        output.say(f"flash        {home}")
        if known is None or known.revoked_us is not None:
            output.say(
                f"next         vitalwire device enrol {thumbprint.hex()} --name virtual   (or run this with --enrol)"
            )
        else:
            output.say(f"next         vitalwire monitor {url}")
    with stoppable() as stop:
        ended = threading.Event()

        def watch() -> None:
            while not (stop.asked or ended.wait(0.1)):
                pass
            machine.order({"do": "stop"})

        threading.Thread(target=watch, daemon=True).start()
        machine.run()
        ended.set()


def _free_name(trusted: Registry, thumbprint: bytes) -> str:
    taken = {device.name for device in trusted if device.revoked_us is None and device.thumbprint != thumbprint}
    return "virtual" if "virtual" not in taken else f"virtual {thumbprint.hex()[:8]}"


def _say(event: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(event), flush=True)
    elif event["event"] == "boot":
        output.say("the board boots")
    elif event["event"] == "dead":
        output.say(f"the board's program ended with code {event['code']}: a bug of the firmware")


def _address(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not (port.isdecimal() and int(port) < 1 << 16):
        raise UsageError(f"{text!r} is no address to listen on", advice="one is host:port, for instance 127.0.0.1:7000")
    return host or "127.0.0.1", int(port)


def _faults(file: Path | None) -> tuple[dict[str, Any], ...]:
    if file is None:
        return ()
    try:
        script = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is no TOML: {error}") from None
    if set(script) != {"fault"} or not isinstance(script["fault"], list):
        raise UsageError(f"{file} is no script of faults", advice="it consists of [[fault]] tables")
    return tuple(script["fault"])


# ---------------------------------------------------------------- bench


def _load(name: str) -> ModuleType:
    with needing("bench"):
        return import_module(f"{__package__}.bench.{name}")


def _show(module: ModuleType, result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.show_json(result)
        return
    tables = module.render(result)
    output.show(*(tables if isinstance(tables, list | tuple) else [tables]))


@bench.command()
def size(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Own recordings: .npy of integers, WFDB or CSV.")
    ] = None,
    rate: Annotated[float | None, typer.Option(metavar="HZ", help="Their rate, which WFDB knows itself.")] = None,
    as_json: Json = False,
) -> None:
    """Bits a sample of the block codec against FLAC, xz and zlib, on published recordings or your own."""
    module = _load("size")
    with needing("bench"), Console(stderr=True).status("compressing"):
        result = module.run(tuple(files or ()), rate)
    _show(module, result, as_json)


def _plain(name: str, text: str) -> None:
    """Add the command of a benchmark that needs no arguments."""

    def command(as_json: Json = False) -> None:
        module = _load(name)
        with needing("bench"), Console(stderr=True).status("measuring"):
            result = module.run()
        _show(module, result, as_json)

    bench.command(name, help=text)(command)


for each, said in {
    "sign": "One ES256 signature under MicroPython in 256-bit modular multiplications.",
    "policies": "What `sign`, `seal` and `private` cost: an ESP32's time, bytes of a frame.",
    "rates": "What higher sampling rates cost: an ESP32's time, frames a minute.",
    "device": "What share of an ESP32's time sampling, coding, framing, signing and journal take.",
    "memory": "The heap that the whole firmware needs.",
    "host": "Verify and decode on one core against bare P-256 verification and a plain reader.",
    "latency": "One live frame from its last byte to arrays.",
    "gateway": "How soon a broker has acknowledged a frame, and how many a second are durable; needs mosquitto.",
    "fhir": "Observations a second against one model for each, and bytes of FHIR a minute.",
    "fhirserver": "How soon a FHIR server has acknowledged what a frame says, and Observations a second; needs Node.",
    "readings": "Readings of published recordings against other ways to them, on noise, and disturbed.",
    "wire": "Overhead of a frame, and bytes against MedTech JSON, JSON arrays and SenML-CBOR.",
}.items():
    _plain(each, said)


@bench.command()
def shares(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written with what was measured.")] = SHARES,
    as_json: Json = False,
) -> None:
    """What share of an ESP32's time each policy and frame length takes, for `vitalwire board power`. Takes minutes."""
    module = _load("shares")
    with needing("bench"), Console(stderr=True).status("measuring"):
        result = module.run()
    module.write(result, file)
    _show(module, result, as_json)


@bench.command()
def readme(
    file: Annotated[
        Path, typer.Argument(metavar="README", help="The file between whose markers the table goes.")
    ] = Path("README.md"),
) -> None:
    """Run everything and write the README's table of figures. Takes minutes."""
    module = _load("readme")
    write: Callable[[Path], None] = module.write
    with needing("bench"), Console(stderr=True).status("measuring everything"):
        write(file)
