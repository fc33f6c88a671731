"""Measures one ES256 signature on the device in 256-bit modular multiplications of the same MicroPython process."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from ..folders import FIRMWARE
from ..interpreter import MICROPYTHON

ESP32_MODMUL_US = 226  # `a * b % p` in stock MicroPython on an ESP32 at 160 MHz
HEAPS = {"": "2m", "_128k": "128k"}  # the unix port's own default, and the budget of a device

# Rounds are interleaved, so that a change of the machine's speed meets both sides of the ratio. A signature is timed
# whole and the median taken. Of slices and verifications, measured apart, the least disturbed counts: an interruption
# of the process would otherwise pass for a long slice.
SCRIPT = """
import gc, hashlib, json, sys, time
import identity, p256, p256_verify
rounds = int(sys.argv[1])
p, d = p256.P, p256.N // 3
signer = p256.Signer(d.to_bytes(32, "big"))
public = x, y = identity.public_key(d)

def multiplications(n):
    a, b, m = x, y, p
    start = time.ticks_us()
    for _ in range(n):
        a * b % m
    return time.ticks_diff(time.ticks_us(), start) / n

def whole(steps):
    start = time.ticks_us()
    result = p256.run(steps)
    return time.ticks_diff(time.ticks_us(), start), result

def slices(steps):
    times = []
    start = time.ticks_us()
    while True:
        try:
            next(steps)
        except StopIteration:
            return times + [time.ticks_diff(time.ticks_us(), start)]
        now = time.ticks_us()
        times.append(time.ticks_diff(now, start))
        start = now

gc.collect()
signs, muls, verifies, parts = [], [], [], []
for i in range(rounds):
    digest = hashlib.sha256(str(i)).digest()
    muls.append(multiplications(500))
    time_taken, signature = whole(signer.sign(digest))
    signs.append(time_taken)
    muls.append(multiplications(500))
    if i < 9:
        parts.append(slices(signer.sign(digest)))
        time_taken, verdict = whole(p256_verify.verify(public, digest, signature))
        assert verdict
        verifies.append(time_taken)
json.dump([signs, muls, verifies, parts, len(p256.TABLE)], sys.stdout)  # a text of it all might find no room
"""


def measure(rounds: int, heap: str, firmware: Path) -> dict[str, Any]:
    """Return one process's figures: times in microseconds, ratios and the longest slice in multiplications."""
    command = [*MICROPYTHON, "-X", f"heapsize={heap}", "-c", SCRIPT, str(rounds)]
    environment = {**os.environ, "MICROPYPATH": f"{firmware}:.frozen"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"MicroPython failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    signs, muls, verifies, parts, table = json.loads(done.stdout)
    modmul = median(muls)
    return {
        "modmul_us": modmul,
        "sign_us": median(signs),
        "modmul_ratio": median(signs) / modmul,
        "verify_ratio": min(verifies) / min(muls),
        "slices": median(len(times) for times in parts),
        "longest_slice": min(max(times) for times in parts) / min(muls),
        "table_bytes": table,
    }


def run(rounds: int = 100, firmware: Path = FIRMWARE) -> dict[str, Any]:
    """Return the medians over `rounds` signatures; `modmul_ratio` in a heap of 2 MiB, `modmul_ratio_128k` in 128 KiB.

    RFC 6979, the blinded inverse of the nonce and the low s are included. `esp32_ms` and `esp32_longest_slice_ms` are
    estimates: the ratio times ESP32_MODMUL_US. Raises RuntimeError with MicroPython's last line when it fails.
    """
    results = {suffix: measure(rounds, heap, firmware) for suffix, heap in HEAPS.items()}
    result = results[""]
    result |= {f"modmul_ratio{suffix}": other["modmul_ratio"] for suffix, other in results.items()}
    result["esp32_ms"] = result["modmul_ratio"] * ESP32_MODMUL_US / 1000
    result["esp32_longest_slice_ms"] = result["longest_slice"] * ESP32_MODMUL_US / 1000
    return result


def render(result: dict[str, Any]) -> Table:
    """Return the figures of `run` as a table for a person."""
    table = Table("ES256 under MicroPython", "measured", "target", title="sign")
    table.add_row("signature, in 256-bit a*b%p", f"{result['modmul_ratio']:.0f}", "800 (stretch 700)")
    table.add_row("the same in a heap of 128 KiB", f"{result['modmul_ratio_128k']:.0f}", "800 (stretch 700)")
    table.add_row("estimate for an ESP32", f"{result['esp32_ms']:.0f} ms", "160 to 190 ms")
    longest = f"{result['longest_slice']:.0f}, {result['esp32_longest_slice_ms']:.1f} ms"
    table.add_row(f"longest of {result['slices']} slices", longest, "10 ms")
    table.add_row("fixed-base table", f"{result['table_bytes']} bytes", "8192 bytes")
    table.add_row("verification, in 256-bit a*b%p", f"{result['verify_ratio']:.0f}", "")
    return table
