"""A file is written whole or not at all: a full disk leaves what was there before, and no half of a new one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write(path: Path, data: bytes, *, new: bool = False, private: bool = False) -> None:
    """Write a file; OSError, which names it, leaves what was there.

    `new`: FileExistsError if it is there; `private`: only its owner can read it. What is there and no file, such as
    /dev/stdout, is written to.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    aside = path if new else path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if not new:
                os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
