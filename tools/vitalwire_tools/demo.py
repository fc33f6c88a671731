"""`tools/demo`: from the virtual board's chips through gateway and broker to a subscriber, who verifies all again
and holds every sample against what the chips played.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from vitalwire import crypto, jws
from vitalwire.capture import Record, Writer, read
from vitalwire.client import Client, VerifiedFrame
from vitalwire.errors import UsageError
from vitalwire.frame import readouts
from vitalwire.messages import Descriptor, Frame
from vitalwire.offline import Reader
from vitalwire.plot import ecg_paper
from vitalwire.registry import Registry
from vitalwire.session import Duplicate, ReplayState
from vitalwire.subscribe import Inbox
from vitalwire.verdict import Verdict, verify

from . import demo_fhir, demo_server, fhirserver
from .bench import sign
from .demo_way import way
from .virtual.board import VirtualBoard
from .virtual.compare import Comparison, compare
from .virtual.machine import Options, create

SECONDS = 60  # of signal
SPEED = 20.0
READINGS = Fraction(1, 15)  # a second, at least, of a channel without a rate
PATIENCE = 120.0  # seconds of real time until the demo gives up
CAPTURE, PLOT = Path("demo.vwc"), Path("demo.png")


def record(arriving: Inbox, registry: Registry, capture: Path, console: Console) -> tuple[list[VerifiedFrame], int]:
    """Record `SECONDS` of signal from a subscription; return the frames in order, and how many came twice."""
    frames: list[VerifiedFrame] = []
    twice = 0

    def count(event: object) -> None:
        nonlocal twice
        twice += isinstance(event, Duplicate)

    give_up = time.monotonic() + PATIENCE
    with (
        Client(
            arriving, registry=registry, state=ReplayState(), auto_acknowledge=False, settle=0.0, on_event=count,
        ) as client,
        Writer(capture) as writer,
        Progress(console=console, transient=True) as progress,
    ):  # fmt: skip
        task = progress.add_task(f"recording {SECONDS} s of signal", total=SECONDS)
        while time.monotonic() < give_up:
            frame = client.receive(timeout=1.0)
            if frame is None:
                continue
            frames.append(frame)
            writer.write(frame.raw, time.time_ns() // 1000)
            writer.sync()
            client.durable([frame])
            seconds = frame.frame.ticks / 1e6
            progress.update(task, completed=min(seconds, SECONDS))
            if seconds > SECONDS + 3:
                break
    return frames, twice


def bits_per_sample(frames: Iterable[tuple[Frame, Descriptor]]) -> dict[str, float]:
    """Return the bits a sample of each channel, block heads included."""
    size: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    for frame, descriptor in frames:
        for readout in readouts(frame, descriptor):
            for channel, (_, body) in zip(descriptor.streams[readout.stream], readout.blocks, strict=True):
                size[channel.name] += len(body) + 1 + (len(body) > 15)
                samples[channel.name] += readout.count
    return {name: 8 * size[name] / samples[name] for name in samples}


def report(
    frames: list[VerifiedFrame], twice: int, verdict: Verdict, comparisons: list[Comparison], signing: dict[str, float]
) -> Table:
    """Return the one table."""
    device = verdict.devices[0]
    seconds = max(frame.frame.ticks for frame in frames) / 1e6
    lost = sum(last - first + 1 for first, last in device.missing)
    table = Table("", "", "", title=f"{seconds:.0f} s of signal from the virtual board", show_header=False)
    table.add_row("frames", str(verdict.frames), "in the capture")
    table.add_row("verified", str(verdict.verified), "behind the broker, by signature and hash chain")
    table.add_row("lost", str(lost), "numbers missing in the chain")
    table.add_row("duplicates", str(twice), "delivered again by the broker, dropped")
    table.add_row("bytes a second", f"{sum(len(frame.raw) for frame in frames) / seconds:.0f}", "signatures included")
    table.add_row(
        "signature", f"{signing['esp32_ms']:.0f} ms", f"on an ESP32, estimated: {signing['modmul_ratio']:.0f} x a*b%p"
    )
    table.add_section()
    bits = bits_per_sample((frame.frame, frame.descriptor) for frame in frames)
    for result in comparisons:
        wrong = result.different + result.samples - result.valid
        said = "all equal" if result.samples and not wrong else f"[red]{wrong} different or not valid[/red]"
        size = f"{bits[result.channel]:.2f} bits a sample" if result.channel in bits else "single readings"
        table.add_row(result.channel, str(result.samples), f"{said}, {size}")
    return table


def captured(path: Path) -> Iterator[bytes]:
    """Yield the frames of a capture."""
    for item in read(path):
        if isinstance(item, Record):
            yield item.raw


def complete(comparisons: list[Comparison], frames: list[VerifiedFrame]) -> bool:
    """Return whether every channel played was decoded for the whole time, all of it valid and equal."""
    rates = {channel.name: channel.rate or READINGS for channel in frames[-1].descriptor.channels}
    return all(
        result.samples >= SECONDS * rates.get(result.channel, 0) and result.valid == result.samples
        and not result.different
        for result in comparisons
    )  # fmt: skip


def run(faults: Iterable[Mapping[str, object]] = (), *, packages: Path | None = None) -> int:
    """Run the demo; 1 if a frame is lost or not verified, a sample is missing or different, or its FHIR not proven.

    With `packages`, the folder that `fhirserver.install` returns, it ends at a FHIR server.
    """
    console = Console()
    CAPTURE.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        identity = create(Path(folder))
        thumbprint = crypto.thumbprint(identity.public_key)
        with Registry(Path(folder) / "registry") as registry:
            registry.enrol(thumbprint, "virtual", secret=identity.secret)
            with VirtualBoard(Options(Path(folder), speed=SPEED, cpu="esp32", faults=tuple(faults))) as board:
                with way(Path(folder), board.port) as arriving:
                    frames, twice = record(arriving, registry, CAPTURE, console)
                played = board.played()
            if not frames:
                console.print("[red]nothing arrived[/red]")
                return 1
            verdict = verify(captured(CAPTURE), registry)
            ecg_paper(Reader(CAPTURE, registry).frames(thumbprint), PLOT)
            comparisons = compare((frame.signals for frame in frames), played, single_boot=True)
            console.print(report(frames, twice, verdict, comparisons, sign.run(rounds=20)))
            key = Path(folder) / "gateway.pem"
            jws.create_key(key)
            proven = demo_fhir.show(CAPTURE, registry, jws.load_key(key), console, SECONDS)
            if packages is not None:
                proven &= demo_server.show(packages, frames, CAPTURE, registry, key, console, SECONDS)
    console.print(f"capture: {CAPTURE}   plot: {PLOT}   FHIR: {demo_fhir.BUNDLE}")
    return 0 if verdict.ok and proven and complete(comparisons, frames) else 1


def main() -> int:
    """Run what the command line asks for."""
    asked = argparse.ArgumentParser(prog="tools/demo", description=__doc__)
    asked.add_argument("--fhir", action="store_true", help="deliver it all to a FHIR server besides, twice")
    try:
        return run(packages=fhirserver.install() if asked.parse_args().fhir else None)
    except UsageError as error:
        print(f"{error}: {error.advice}" if error.advice else error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
