"""The `vitalwire` command. One small file a command; what any of them can fail with ends here, in one line."""

from __future__ import annotations

import errno
import sqlite3
import sys
from collections.abc import Sequence

from vitalwire.errors import TransportError, UsageError, VitalwireError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 to 6 as `vitalwire.errors` and `verify --help` say, or 130."""
    try:
        from .app import app
    except ImportError as error:
        return _fail(f"this command needs {error.name}", 'pip install "vitalwire[cli]"', UsageError.exit_code)
    try:
        code = app(
            args=list(sys.argv[1:] if arguments is None else arguments), prog_name="vitalwire", standalone_mode=False
        )
    except VitalwireError as error:
        return _fail(str(error), error.advice, error.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has enough
        sys.stderr.close()
        return 0
    except OSError as error:
        where = f"cannot use {error.filename}: " if error.filename else ""
        advice = "make room, then do it again" if error.errno == errno.ENOSPC else ""
        return _fail(f"{where}{error.strerror or error}", advice, TransportError.exit_code)
    except sqlite3.OperationalError as error:
        return _fail(f"cannot write to a database: {error}", "nothing was changed", TransportError.exit_code)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer's parser raises has one; all else is a bug of ours
            raise
        return _misused(error)
    return code if isinstance(code, int) else 0


def _misused(error: Exception) -> int:
    """Say what is wrong with the arguments, or show the help that was asked for by giving none."""
    context = getattr(error, "ctx", None)
    message = error.format_message()  # type: ignore[attr-defined]
    if type(error).__name__ == "NoArgsIsHelpError":
        print(context.get_help() if context and not message else message)
        return UsageError.exit_code
    command = context.command_path if context else "vitalwire"
    return _fail(message.rstrip("."), f"`{command} --help` says more", UsageError.exit_code)


def _fail(message: str, advice: str, code: int) -> int:
    text = f"vitalwire: {message}" + (f"; {advice}" if advice else "")
    print(" ".join(text.split()), file=sys.stderr)
    return code
