"""Measures the block encoder under MicroPython, as viper and as plain bytecode: samples a second of each coding."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ..folders import FIRMWARE
from ..interpreter import MICROPYTHON

SAMPLES = 512  # a block: two seconds of the standard profile's ECG
ESP32_NS = {"viper": 310, "bytecode": 13_700}  # of a loop's iteration, as in boards/virtual/board.toml
VIPER = re.compile(r"^@micropython\.viper$", re.MULTILINE)

# A walk of small steps is what an ECG is to the encoder; noise over the full range is stored raw. The least disturbed
# round counts. The loop that it is compared with is compiled as the encoder is.
SCRIPT = """
import builtins, json, sys, time
from array import array
if sys.argv[1] == "bytecode":
    builtins.ptr8 = builtins.ptr16 = builtins.ptr32 = lambda it: it
    builtins.uint = lambda it: it & 0xFFFFFFFF
import loop
from codec import Encoder
from wire import CODING_BITS, CODING_LIFT, CODING_RAW

def least(work, *arguments):
    times = []
    for _ in range(rounds):
        start = time.ticks_us()
        for _ in range(times_each):
            work(*arguments)
        times.append(time.ticks_diff(time.ticks_us(), start) / times_each)
    return min(times)

count, rounds = int(sys.argv[2]), int(sys.argv[3])
times_each = 1
iteration = least(loop.loop, 100000) / 100000
state, value = 1, 0
signals = {CODING_LIFT: array("i"), CODING_RAW: array("i")}
for _ in range(count):
    state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
    value += (state >> 16) % 63 - 31
    signals[CODING_LIFT].append(value)
    signals[CODING_RAW].append((state >> 14) - (1 << 17))
encoder, out = Encoder(count), bytearray(4 * count)
result = {"iteration_us": iteration}
times_each = 20 if sys.argv[1] == "viper" else 1
for name, coding in (("lift", CODING_LIFT), ("raw", CODING_RAW)):
    encoder.encode(signals[coding], 0, count, 18, out, 0)
    assert out[0] & (1 << CODING_BITS) - 1 == coding
    us = least(encoder.encode, signals[coding], 0, count, 18, out, 0)
    result[name] = {"samples_per_s": 1e6 * count / us, "iterations": us / iteration / count}
print(json.dumps(result))
"""
LOOP = """
import micropython

@micropython.viper
def loop(n: int) -> int:
    total = 0
    for i in range(n):
        total += i & 1
    return total
"""


def measure(how: str, rounds: int) -> dict[str, Any]:
    """Return for each way of coding samples a second here and loop iterations a sample; `how` is viper or bytecode."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for module in ("codec", "lift", "rice", "wire"):
            shutil.copy(FIRMWARE / f"{module}.py", folder)
        (folder / "loop.py").write_text(LOOP)
        if how == "bytecode":
            for file in folder.glob("*.py"):
                file.write_text(VIPER.sub("", file.read_text()))
        command = [*MICROPYTHON, "-X", "heapsize=1m", "-c", SCRIPT, how, str(SAMPLES), str(rounds)]
        environment = {**os.environ, "MICROPYPATH": f"{folder}:.frozen"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"MicroPython failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def run(rounds: int = 10) -> dict[str, dict[str, dict[str, float]]]:
    """Return how -> coding -> `samples_per_s` here, `iterations` of a loop a sample, `esp32_samples_per_s` by those."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for how, nanoseconds in ESP32_NS.items():
        result = measure(how, rounds)
        found[how] = {name: result[name] for name in ("lift", "raw")}
        for one in found[how].values():
            one["esp32_samples_per_s"] = 1e9 / (one["iterations"] * nanoseconds)
    return found
