"""Measures FHIR: Observations a second on one core, and bytes of a minute of the standard profile.

Both ways begin with decoded frames and end with JSON, and the windows and readings are the same. The plain way makes
one `fhir.resources` model (R4B) of each Observation, and no proof; ours hashes each and signs a Provenance a window.
"""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from rich.table import Table

from vitalwire.charts import source
from vitalwire.fhir import Entry, Gateway, Mapper, Plan, Source, dumps
from vitalwire.fhir.clockfit import fit_of
from vitalwire.fhir.gather import Gatherer
from vitalwire.fhir.observations import observations
from vitalwire.fhir.windows import Window

from .standard import Minute, minute, rates

ROUNDS = 5
BEGAN_US = 1_760_000_000_000_000


def sources(signal: Minute) -> list[Source]:
    """Return the minute's frames, as if the board had known UTC."""
    found = [source(frame, frame.signals) for frame in signal.frames]
    return [replace(each, utc_us=BEGAN_US + each.frame.ticks, accuracy_us=1000) for each in found]


def charted(gateway: Gateway, frames: list[Source], plan: Plan) -> list[Entry]:
    """Return all windows of the frames, written."""
    mapper = Mapper(gateway, lambda *_: "Patient/p", plan)
    results = [result for frame in frames for result in mapper.add(frame)] + list(mapper.flush())
    return [result for result in results if isinstance(result, Entry)]


def run() -> dict[str, Any]:
    """Return rates (Observations a second), their ratio, and bytes of a minute."""
    from fhir.resources.R4B.observation import Observation

    gateway = Gateway(ec.generate_private_key(ec.SECP256R1()))
    signal = minute()
    frames = sources(signal)
    entries = charted(gateway, frames, Plan())
    resources = [each.resource for entry in entries for each in entry.observations]

    def ours() -> None:
        for entry in charted(gateway, frames, Plan()):
            for each in entry.resources:
                dumps(each)

    def plain() -> None:
        for form, length in Plan().forms:
            gatherer = Gatherer(form, length)
            windows = [window for frame in frames for window in gatherer.add(frame)] + list(gatherer.flush())
            for window in windows:
                if isinstance(window, Window) and (fit := fit_of(window.sources)):
                    for each in observations(window, fit, "Patient/p"):
                        Observation.model_validate(each.resource).model_dump_json()

    own, other = rates([ours, plain], len(resources), ROUNDS)
    per_minute = 60 / signal.seconds
    size: dict[str, int] = {"frames": sum(map(len, signal.everything))}
    for name, plan in {"plain": Plan(), "phd": Plan(phd=True)}.items():
        text = "\n".join(dumps(each) for entry in charted(gateway, frames, plan) for each in entry.resources)
        size[name], size[f"{name}_gzip"] = len(text), len(gzip.compress(text.encode()))
    proofs = sum(len(dumps(entry.provenance)) for entry in entries)
    return {
        "observations": len(resources),
        "ours_per_second": own,
        "plain_per_second": other,
        "ratio": own / other,
        "bytes_per_minute": {name: round(count * per_minute) for name, count in size.items()},
        "proof_share": proofs / size["plain"],
    }


def render(result: dict[str, Any]) -> Table:
    """Return the table."""
    size = result["bytes_per_minute"]
    table = Table("", "", title="FHIR of the standard profile", show_header=False)
    table.add_row("Observations a second, one core, proof included", f"{result['ours_per_second']:.0f}")
    table.add_row("the same with a fhir.resources model for each, no proof", f"{result['plain_per_second']:.0f}")
    table.add_row("ratio", f"{result['ratio']:.2f}")
    table.add_row("bytes a minute", f"{size['plain']} ({size['plain_gzip']} compressed)")
    table.add_row("after the Personal Health Device guide", f"{size['phd']} ({size['phd_gzip']} compressed)")
    table.add_row("the signed frames they come from", f"{size['frames']}")
    table.add_row("share of the proofs", f"{100 * result['proof_share']:.0f} %")
    return table
