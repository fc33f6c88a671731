"""Whether what settings refer to is there and can be used: secrets that can be read, certificates that fit."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from vitalwire.errors import UsageError

from .secret import Secret
from .tls import Tls


def prove(value: object, where: str) -> None:
    """Look at every secret and certificate in a model; raises UsageError that names the first that is not usable."""
    try:
        match value:
            case Secret():
                value.read()
            case Tls():
                value.context()
    except UsageError as error:
        raise UsageError(f"{where}: {error}", advice=error.advice) from None
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            prove(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, Mapping):
        for name, each in value.items():
            prove(each, f"{where}.{name}")
