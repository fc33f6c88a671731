"""What the `fhir` sink can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, HttpUrl

from vitalwire.fhir.mapping import READING_SECONDS, WAVE_SECONDS
from vitalwire.settings import Existing, Secret, Tls, Written
from vitalwire.sinks.settings import SinkSettings


class Settings(SinkSettings):
    """`url` is the server's base; `key` signs Provenances; `assignments` is what `vitalwire fhir assign` writes.

    `store` keeps frames until the server has what is made of them, at most `hold` of them. `within` is for devices
    whose clock nobody ever reads: take it that their frames arrived at most so many seconds after they were made.
    """

    kind: Literal["fhir"]
    url: HttpUrl
    key: Existing
    assignments: Annotated[Existing, Written]
    store: Annotated[Existing, Written]
    token: Secret | None = None
    tls: Tls = Tls()
    wave: int = Field(WAVE_SECONDS, ge=1, le=3600)  # seconds of waveform in an Observation
    readings: int = Field(READING_SECONDS, ge=10, le=3600)  # seconds that a reading is made of
    phd: bool = False  # waveforms after HL7's Personal Health Device guide
    wait: float = Field(30.0, gt=0)  # seconds that a window waits for frames that are missing
    within: float | None = Field(None, gt=0, le=1e9)
    hold: int = Field(100_000, ge=32)  # frames
    bundle: int = Field(50, ge=1, le=500)  # reads or writes in one request
