"""From a table of TOML to a model, or one line that names file, key and what is allowed there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo

from vitalwire.errors import UsageError

FOLDER = "folder"  # of the validation's context: where relative paths begin


class Settings(BaseModel):
    """Base of all models: frozen, keys that nobody knows are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


Model = TypeVar("Model", bound=Settings)


def _beside(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get(FOLDER)
    return path if folder is None else Path(folder) / path


# A path of the file; a relative one begins at the folder of the configuration.
Existing = Annotated[Path, AfterValidator(_beside)]


class Written:
    """Marks a path that the program writes itself: a change there is none of the configuration (see `watch`)."""


def read_table(model: type[Model], table: Mapping[str, Any], *, file: Path, key: str = "") -> Model:
    """Return a table as `model`; `key` is where it stands in `file`. Raises UsageError for what the model refuses."""
    try:
        return model.model_validate(table, context={FOLDER: file.parent})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join([*([key] if key else []), *map(str, first["loc"])])
        raise UsageError(
            f"{file}: {where}: {_said(first['type'], first['msg'])}", advice=_known(model, first)
        ) from None


def _said(kind: str, message: str) -> str:
    return {"extra_forbidden": "no such key", "missing": "must be given"}.get(
        kind, message.removeprefix("Value error, ")
    )


def _known(model: type[Settings], error: Any) -> str:
    """Return the keys there are, where one was given that is not."""
    if error["type"] != "extra_forbidden" or len(error["loc"]) != 1:
        return ""
    return "there are " + ", ".join(sorted(model.model_fields))
