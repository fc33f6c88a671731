"""Where the files go."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vitalwire import settings as base
from vitalwire.settings import Existing, Secret, Written

from ..settings import SinkSettings


class BlobSettings(base.Settings):
    """A container of Azure's blob storage; the connection string is the secret."""

    connection: Secret
    container: Annotated[str, Field(pattern=r"^[a-z0-9](-?[a-z0-9]){2,62}$")]
    prefix: Annotated[str, Field(pattern=r"^([^/]+/)*$")] = ""
    seconds: Annotated[float, Field(gt=0)] = 20.0  # to connect, and of silence


class Settings(SinkSettings):
    """One of `folder` and `blob`."""

    kind: Literal["parquet"]
    folder: Annotated[Existing | None, Written] = None
    blob: BlobSettings | None = None
    frames: Annotated[int, Field(ge=1, le=65536)] = 1024  # of one device in a file, at most

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.folder is None) == (self.blob is None):
            raise ValueError("one of folder and blob")
        return self
