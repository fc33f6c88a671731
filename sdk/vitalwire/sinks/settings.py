"""What every sink can be told; a kind's own settings add to it."""

from __future__ import annotations

from pydantic import Field

from vitalwire.settings import Settings

from .forms import Form


class SinkSettings(Settings):
    """Common to all kinds; the gateway acts on these, the sink on those of its kind."""

    kind: str
    form: Form = Form.FRAME
    batch: int = Field(256, ge=1, le=4096)  # entries in one delivery, at most
    patience: float = Field(60.0, gt=0)  # seconds that one delivery may take
