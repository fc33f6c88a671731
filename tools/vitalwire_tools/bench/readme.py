"""Writes the README's figures: runs every benchmark and fills the table between the `bench` markers.

Each row of the design's table of numbers is here, met or not; a row nobody can measure yet says so.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import device, fhir, fhirserver, gateway, host, latency, memory, policies, rates, readings, sign, size, wire

MARKER = re.compile(r"(<!-- bench -->\n).*?(<!-- end -->)", re.DOTALL)
Row = tuple[str, str, str]  # what, target, measured


def _size(result: dict[str, Any]) -> list[Row]:
    recordings = result["recordings"]
    ours, flac = (sum(one[key] for one in recordings) for key in ("bits", "flac_bits"))
    worst = max(recordings, key=lambda one: one["bits"] / one["flac_bits"])
    over = 100 * (worst["bits"] / worst["flac_bits"] - 1)
    return [
        (f"size of {len(recordings)} real recordings, blocks of at most 8 s, against FLAC -8 on whole files",
         "at or below 1", f"{ours / flac:.3f}"),
        ("the worst of them", "8 % above (stretch 3 %)", f"{over:+.1f} % ({worst['name']})"),
    ]  # fmt: skip


def _wire(result: dict[str, Any]) -> list[Row]:
    return [
        ("frame overhead on the standard profile", "170 bytes", f"{result['overhead_bytes']:.0f} bytes"),
        ("bytes against one MedTech JSON event a sample", "1/40", f"1/{1 / result['json_event_ratio']:.0f}"),
        ("bytes against JSON with arrays of samples", "1/5", f"1/{1 / result['json_array_ratio']:.1f}"),
        ("bytes against SenML-CBOR", "1/5", f"1/{1 / result['senml_ratio']:.1f}"),
    ]


def _sign(result: dict[str, Any]) -> list[Row]:
    return [
        ("ES256 under MicroPython, in 256-bit `a*b%p`", "800 (stretch 700)", f"{result['modmul_ratio']:.0f}"),
        ("the same in a 128 KiB heap", "800 (stretch 700)", f"{result['modmul_ratio_128k']:.0f}"),
    ]


def _device(result: dict[str, Any]) -> list[Row]:
    parts = ", ".join(f"{name} {100 * part:.1f}" for name, part in result["parts"].items() if name != "link")
    return [
        ("share of a stock ESP32's time, without the link", "15 %", f"{100 * result['share']:.1f} %"),
        ("of it, in per cent", "-", parts),
        ("the same under policy `seal`", "-", f"{100 * result['seal']['share']:.1f} %"),
        ("the link to a reader besides", "-", f"{100 * result['parts']['link']:.1f} %"),
    ]


def _policies(result: dict[str, Any]) -> list[Row]:
    figures = (f"{name} {100 * one['share']:.1f} %, {one['frame_bytes']:.0f} bytes" for name, one in result.items())
    return [("share of a stock ESP32's time and bytes of a data frame, by policy", "-", "; ".join(figures))]


def _rates(result: dict[str, Any]) -> list[Row]:
    figures = (f"{name} {100 * one['share']:.1f} %" for name, one in result.items())
    return [("share of a stock ESP32's time, by sampling rates", "-", "; ".join(figures))]


def _memory(result: dict[str, Any]) -> list[Row]:
    return [
        ("heap that the whole firmware needs for the standard profile, 64-bit port", "128 KiB, 10 % of it free",
         f"{result['heap_bytes'] // 1024} KiB, {100 * result['heap_low'] / result['heap_bytes']:.1f} % free"),
        (memory.MOST, "-", f"{result['most_bytes'] // 1024} KiB"),
        ("allocations a sample on its way from chip to ring", "0", f"{result['allocations_per_sample']:.2g}"),
    ]  # fmt: skip


def _host(result: dict[str, Any]) -> list[Row]:
    return [
        ("verify + decode against bare P-256 verification, one core", "0.45 (stretch 0.6)",
         f"{result['verify_decode_ratio']:.2f}"),
        ("a capture by chain against by signatures", "10", f"{result['chain_ratio']:.1f}"),
        ("verify + decode against `cwt` + `cbor2` + a loop", "10", f"{result['peer_ratio']:.1f}"),
    ]  # fmt: skip


def _latency(result: dict[str, Any]) -> list[Row]:
    return [("one live frame, last byte to arrays: median, 99th percentile", "-",
             f"{result['median_ms']:.2f} ms, {result['p99_ms']:.2f} ms")]  # fmt: skip


def _readings(result: dict[str, Any]) -> list[Row]:
    rows = []
    for name, kind in readings.KINDS.items():
        found = readings.summary(result, name)
        rows.append(
            (f"{kind.reading} against {kind.judge}: stretches with a reading, judge within {kind.close:g}"
             f" {kind.unit or '%'}, minutes of noise with one", "-",
             f"{found['given']} of {found['minutes']}, {found['close']}, {result['noise'][name]} of"
             f" {result['noise']['minutes']}")
        )  # fmt: skip
    moved = result["activity"]
    rows.append(
        ("activity against the mean amplitude deviation: half minutes, rank correlation", "-",
         f"{moved['stretches']}, {moved['rank']:.2f}")
    )  # fmt: skip
    whole, right, wrong = readings.spoiled(result)
    what = "heart and pulse rates under noise and somebody's walking, 20 to -10 dB: right, absent, off by more than 5 %"
    return [*rows, (what, "-", f"{right}, {whole - right - wrong}, {wrong} of {whole}")]


def _gateway(result: dict[str, Any]) -> list[Row]:
    return [
        ("gateway: frame to broker acknowledgement, 99th percentile; durable frames a second", "50 ms; 2,000",
         f"{result['latency_p99_ms']:.0f} ms; {result['frames_per_second']:,.0f}"),
    ]  # fmt: skip


def _fhir(result: dict[str, Any]) -> list[Row]:
    size = result["bytes_per_minute"]
    return [
        ("frames to proven FHIR, against one `fhir.resources` model for each Observation without a proof", "-",
         f"{result['ratio']:.2f} ({result['ours_per_second']:.0f} Observations a second)"),
        ("a minute of the standard profile as FHIR, compressed", "-",
         f"{size['plain'] / 1000:.0f} kB, {size['plain_gzip'] / 1000:.0f} kB"),
    ]  # fmt: skip


def _fhirserver(result: dict[str, Any]) -> list[Row]:
    wave, readings = result["wave"]["max_s"], result["readings"]["max_s"]
    return [
        ("frame to Observation that a FHIR server has acknowledged, at the longest: 10 s of waveform, readings of 60 s",
         "5 minutes (MedTech's)", f"{wave:.1f} s, {readings:.1f} s"),
        ("Observations a second to that server in Bundles, against a request for each", "-",
         f"{result['ratio']:.1f} ({result['bundles_per_second']:.0f})"),
        ("the same with their proof, against one `fhir.resources` model and one request for each without a proof", "-",
         f"{result['plain_ratio']:.1f}"),
    ]  # fmt: skip


PARTS: tuple[tuple[str, Callable[[], dict[str, Any]], Callable[[dict[str, Any]], list[Row]]], ...] = (
    ("size", lambda: size.run(lengths=(8,)), _size),
    ("wire", wire.run, _wire),
    ("sign", sign.run, _sign),
    ("device", device.run, _device),
    ("policies", policies.run, _policies),
    ("rates", rates.run, _rates),
    ("memory", memory.run, _memory),
    ("host", host.run, _host),
    ("latency", latency.run, _latency),
    ("gateway", gateway.run, _gateway),
    ("readings", readings.run, _readings),
    ("fhir", fhir.run, _fhir),
    ("fhirserver", fhirserver.run, _fhirserver),
)


def table() -> str:
    """Run everything and return the table, with the date."""
    lines = ["| what | command | target | measured |", "|---|---|---|---|"]
    for name, run, rows in PARTS:
        lines += [f"| {what} | `bench {name}` | {target} | {got} |" for what, target, got in rows(run())]
    return f"\n{datetime.date.today().isoformat()}, two shared cores:\n\n" + "\n".join(lines) + "\n\n"


def write(readme: Path) -> None:
    """Fill the README's table with a fresh run."""
    text = readme.read_text()
    body = table()
    readme.write_text(MARKER.sub(lambda match: match[1] + body + match[2], text))
