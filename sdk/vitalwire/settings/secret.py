"""A secret by reference: `{ file = "..." }` or `{ env = "..." }`. It is read when it is used and is never in a text."""

from __future__ import annotations

import os
from typing import Self

from pydantic import model_validator

from vitalwire.errors import UsageError

from .model import Existing, Settings

MAX_BYTES = 65536


class Secret(Settings):
    """Where a secret is. What it is, only `read` says, anew each time: a changed file is used from then on."""

    file: Existing | None = None
    env: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError('a secret is given as { file = "..." } or as { env = "..." }')
        return self

    def read(self) -> str:
        """Return the secret as it is now, without a line's end. Raises UsageError where there is none."""
        if self.env is not None:
            found = os.environ.get(self.env)
            if not found:
                raise UsageError(f"the environment has no {self.env}")
            return found
        assert self.file is not None
        try:
            with self.file.open(encoding="utf-8") as file:
                found = file.read(MAX_BYTES).rstrip("\r\n")
        except OSError as error:
            raise UsageError(f"cannot read the secret in {self.file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"the secret in {self.file} is not text") from None
        if not found:
            raise UsageError(f"there is no secret in {self.file}")
        return found
