"""How the MicroPython that pip installed is started: by this Python, so that no PATH has to lead to it."""

from __future__ import annotations

import sys

MICROPYTHON = (sys.executable, "-c", "import sys; from micropython_run import run_main; sys.exit(run_main(sys.argv))")
