"""`vitalwire verify`: what captures prove, with an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from vitalwire import offline, survey
from vitalwire.capture import Damage
from vitalwire.verdict import Conclusion, Verdict, as_dict, conclude, missing, refused

from . import output
from .options import Fingerprints, Json, RegistryFile, StateFile, Workers, anchors_for, crew_for, opened

WORDS = {
    Conclusion.COMPLETE: "[green]complete[/green]: every frame verified, none missing",
    Conclusion.INCOMPLETE: "[yellow]incomplete[/yellow]: what is there is verified",
    Conclusion.UNSEALED: "[yellow]unsealed[/yellow]: complete as far as signatures reach, the rest has only MACs",
    Conclusion.REFUSED: "[red]not to be believed[/red]: some of it is refused",
}


def verify(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Captures, judged together; a rotated one by its first name."),
    ],
    registry: RegistryFile = None,
    fingerprint: Fingerprints = None,
    every_signature: Annotated[
        bool, typer.Option("--every-signature", help="Verify each signature, not only one in a run of the hash chain.")
    ] = False,
    state: StateFile = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Judge captures: who signed the frames, whether any is missing, forged, repeated or contradicts another.

    Exit code 0: every frame is verified, and none is missing between each device's first and last. 1: every frame that
    is there is verified, but frames are missing, bytes are damaged, or nothing is there. 4: frames are there that are
    not to be believed. 8: as 0 as far as signatures reach; behind them are frames of policy `seal` that only a MAC
    proves so far, which whoever has the device's secret can make. 2: a wrong argument. 3: not a capture. 6: a file
    that cannot be read.
    """
    paths = [part for file in files for part in survey.files(file)]
    with (
        opened(registry, fingerprint) as trusted,
        crew_for(paths, workers, survey.LONG_BY_SIGNATURES if every_signature else survey.LONG) as crew,
        output.progress("verifying", quiet=as_json) as step,
    ):
        anchors = anchors_for(paths, trusted, state)
        found = survey.survey(paths, trusted, by_chain=not every_signature, anchors=anchors, crew=crew, watch=step)
        verdict, damage = found.verdict, found.damage
        conclusion = conclude(verdict, sum(each.length for _, each in damage))
        if as_json:
            where = [
                {
                    "file": str(path),
                    "offset": each.offset,
                    "length": each.length,
                    "reason": each.reason,
                    "torn": each.torn,
                }
                for path, each in damage
            ]
            output.show_json(
                {"files": [str(path) for path in paths], "exit_code": int(conclusion), "damage": where}
                | as_dict(verdict, sum(each.length for _, each in damage))
            )
        else:
            _show(verdict, damage, conclusion)
            if verdict.refused.get("foreign"):  # type: ignore[call-overload]
                output.say(found.stranger(trusted))
            if any("revoked" in refused(device) and device.device not in anchors for device in verdict.devices):
                output.say(f"nothing known here was accepted before the revocation; {offline.ADVICE}")
    raise typer.Exit(int(conclusion))


def _show(verdict: Verdict, damage: Sequence[tuple[Path, Damage]], conclusion: Conclusion) -> None:
    for device in verdict.devices:
        table = output.plain(device.name or "a device no longer enrolled")
        table.add_row("fingerprint", device.device.hex())
        table.add_row("verified", f"{device.verified} frames, numbers {device.first} to {device.head}")
        table.add_row("head", f"{device.head}, digest {device.digest.hex()}")
        _counted(
            table, "missing", missing(device), ", ".join(f"{a}-{b}" if a != b else f"{a}" for a, b in device.missing)
        )
        _counted(table, "authentic", device.authentic, "by a MAC alone, no signature covers them")
        _counted(table, "unchecked", device.unchecked, "with a MAC that takes the secret to check, no signature covers")
        _counted(table, "burned", device.burned, "never used, by the device's signed word")
        _counted(
            table, "dropped", device.dropped, "given up by the device when its journal was full, by its signed word"
        )
        _counted(table, "duplicates", device.duplicates, "the same frames again")
        _counted(
            table, "contradictions", device.break_count, ", ".join(f"{why} at {seq}" for seq, why in device.breaks)
        )
        for reason, count in refused(device).items():
            _counted(table, reason, count, "refused")
        output.show(table)
    for reason, count in verdict.refused.items():
        output.console().print(f"[red]{count} frames refused: {reason.value}[/red]")
    for path, each in damage:
        torn = "torn end" if each.torn else "damaged bytes"
        output.console().print(f"[yellow]{path} at {each.offset}: {each.length} {torn}, {each.reason}[/yellow]")
    output.console().print(f"{verdict.frames} frames, {verdict.verified} verified: {WORDS[conclusion]}")


def _counted(table: Table, what: str, count: int, remark: str) -> None:
    if count:
        table.add_row(what, f"{count}  {remark}")
