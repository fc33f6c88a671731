"""Measures the size of blocks against FLAC, xz, zlib and raw samples, and proves each block by decoding it.

FLAC, xz and zlib take a whole recording at once; blocks are cut to at most so many seconds and counted with their
headers. All figures are bits.
"""

from __future__ import annotations

import lzma
import os
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from vitalwire.codec import decode_blocks, encode_block, side_bits
from vitalwire.errors import BlockError, UsageError
from vitalwire_protocol import spec

from ..recordings import Recording, load, load_file

SECONDS = 8.0  # of the longest block that is allowed
LENGTHS = (1.0, 2.0, 4.0, SECONDS)
FEW = 5  # recordings that are not worth processes of their own
LIMIT = 1.08  # no recording may exceed FLAC's size by more
COLUMNS = ("zlib_bits", "xz_bits", "flac_bits", "bits", "side_bits")
FLAC = ("flac", "-8", "--no-padding", "--no-seektable", "--totally-silent", "--stdout", "--force-raw-format")


def flac_bits(recording: Recording) -> int:
    """Return the size of `flac -8` over the whole recording; samples of up to 16 bits go in as 16, others as 24.

    Raises `UsageError` without flac.
    """
    size = 2 if recording.bits <= 16 else 3
    data = recording.samples.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :size].tobytes()
    shape = ["--endian=little", "--sign=signed", "--channels=1", f"--bps={8 * size}"]
    try:
        command = [*FLAC, *shape, f"--sample-rate={max(1, round(recording.rate))}", "-"]
        return 8 * len(subprocess.run(command, input=data, capture_output=True, check=True).stdout)
    except FileNotFoundError:
        raise UsageError("flac is not installed", advice="It is the Debian package flac.") from None


def blocks_bits(recording: Recording, seconds: float) -> dict[str, int]:
    """Return what blocks of `seconds` take, headers included, their side information and their number.

    `excess_bytes` is how far the worst block with its header stands above its raw samples, 1 % and 4 bytes: at most 0.
    Raises AssertionError if a block does not decode to its samples.
    """
    length = min(max(1, int(seconds * recording.rate)), spec.Limit.MAX_BLOCK_SAMPLES)
    pieces = [recording.samples[i : i + length] for i in range(0, len(recording.samples), length)]
    blocks = [encode_block(piece, recording.bits) for piece in pieces]
    codings, bodies = zip(*blocks, strict=True)
    decoded = decode_blocks(codings, bodies, [len(piece) for piece in pieces], [recording.bits] * len(pieces))
    total = side = 0
    excess = -1.0
    for piece, (coding, body), back in zip(pieces, blocks, decoded, strict=True):
        assert not isinstance(back, BlockError), str(back)
        assert np.array_equal(back, piece)
        whole = len(spec.Block.build({"head": len(body) << spec.CODING_BITS | coding, "body": body}))
        total += 8 * whole
        side += 8 * (whole - len(body)) + side_bits(coding, body, len(piece), recording.bits)
        excess = max(excess, whole - len(piece) * recording.bits / 8 * 1.01 - 4)
    return {"bits": total, "side_bits": side, "blocks": len(pieces), "excess_bytes": int(np.ceil(excess))}


def measure(recording: Recording, lengths: Sequence[float] = (SECONDS,)) -> dict[str, Any]:
    """Return one recording's sizes: those of blocks for the last of `lengths`, and in `lengths` for each."""
    raw = recording.samples.astype("<i2" if recording.bits <= 16 else "<i4").tobytes()
    each = {str(seconds): blocks_bits(recording, seconds) for seconds in lengths}
    return {
        "name": recording.name,
        "source": recording.source,
        "licence": recording.licence,
        "samples": len(recording.samples),
        "rate": recording.rate,
        "sample_bits": recording.bits,
        **each[str(lengths[-1])],
        "flac_bits": flac_bits(recording),
        "xz_bits": 8 * len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)),
        "zlib_bits": 8 * len(zlib.compress(raw, 9)),
        "raw_bits": len(recording.samples) * recording.bits,
        "lengths": {seconds: figures["bits"] for seconds, figures in each.items()},
    }


def run(
    files: Sequence[Path] = (),
    rate: float | None = None,
    lengths: Sequence[float] = LENGTHS,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Return the sizes of `files`, or without any of all published recordings, and their sums.

    `recordings` has for each the bits of blocks of the longest of `lengths` (seconds), of FLAC, xz, zlib and raw
    samples; `total_ratio` and `worst_ratio` are blocks / FLAC; `costs` says of each length what it costs. Raises what
    `load` or `load_file` raise.
    """
    recordings = [channel for file in files for channel in load_file(file, rate)] if files else load(folder)
    lengths = sorted(lengths)
    if len(recordings) < FEW:
        results = [measure(recording, lengths) for recording in recordings]
    else:
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(measure, recordings, [lengths] * len(recordings)))
    flac = sum(result["flac_bits"] for result in results)
    return {
        "recordings": results,
        "seconds": lengths[-1],
        "total_ratio": sum(result["bits"] for result in results) / flac,
        "worst_ratio": max(result["bits"] / result["flac_bits"] for result in results),
        "excess_bytes": max(result["excess_bytes"] for result in results),
        "costs": [_cost(seconds, results) for seconds in lengths],
    }


def _cost(seconds: float, results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what blocks of so many seconds cost: bits a sample of all recordings, and seconds.

    A sample waits in the ring until its block is full, the first of a block longest, the last not at all; a power cut
    takes what waits. So both are the block's length at most and half of it on average; frames that are made are in the
    journal and wait for nobody. Every block is a frame with a signature of its own.
    """
    totals = {key: sum(each[key] for each in results) for key in ("samples", "flac_bits")}
    bits = sum(each["lengths"][str(seconds)] for each in results)
    return {
        "seconds": seconds,
        "bits_per_sample": bits / totals["samples"],
        "ratio": bits / totals["flac_bits"],
        "worst_ratio": max(each["lengths"][str(seconds)] / each["flac_bits"] for each in results),
        "latency_most": seconds,
        "latency_mean": seconds / 2,
        "lost_most": seconds,
        "lost_mean": seconds / 2,
        "signatures_per_hour": 3600 / seconds,
    }


def render(result: dict[str, Any]) -> list[Table]:
    """Return the figures of `run` as tables for a person, bits a sample."""
    sizes = Table(title=f"size: bits a sample, blocks of at most {result['seconds']:g} s")
    for column in ("recording", "Hz", "raw", "zlib", "xz", "FLAC -8", "blocks", "of it side", "to FLAC"):
        sizes.add_column(column, justify="left" if column == "recording" else "right")
    for each in result["recordings"]:
        figures = (each[key] / each["samples"] for key in COLUMNS)
        ratio = each["bits"] / each["flac_bits"]
        row = [each["name"], f"{each['rate']:g}", str(each["sample_bits"]), *(f"{figure:.2f}" for figure in figures)]
        sizes.add_row(*row, f"{100 * ratio - 100:+.1f} %", style="red" if ratio > LIMIT else None)
    sizes.add_section()
    totals = [sum(each[key] for each in result["recordings"]) / 8000 for key in COLUMNS]
    sizes.add_row(
        "total, kB", "", "", *(f"{total:.0f}" for total in totals), f"{100 * result['total_ratio'] - 100:+.1f} %"
    )
    costs = Table(title="what a block's length costs")
    for column in ("block", "bits a sample", "to FLAC", "worst", "a sample waits", "a power cut takes", "signatures"):
        costs.add_column(column, justify="right")
    for each in result["costs"]:
        costs.add_row(
            f"{each['seconds']:g} s", f"{each['bits_per_sample']:.3f}", f"{100 * each['ratio'] - 100:+.1f} %",
            f"{100 * each['worst_ratio'] - 100:+.1f} %",
            f"{each['latency_mean']:g} s, {each['latency_most']:g} at most",
            f"{each['lost_mean']:g} s, {each['lost_most']:g} at most", f"{each['signatures_per_hour']:.0f} an hour",
        )  # fmt: skip
    return [sizes, costs]
