"""A virtual board as a process of its own: orders come in on stdin, events go out on stdout, one JSON object a line."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

from .machine import Machine, Options


def _say(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


def _listen(machine: Machine) -> None:
    for line in sys.stdin:
        machine.order(json.loads(line))
    machine.order({"do": "stop"})  # whoever gave the orders is gone


def main() -> None:
    """Run the board whose options are the one argument, as JSON."""
    given = json.loads(sys.argv[1])
    listen = tuple(given["listen"]) if given.get("listen") else None
    faults = tuple(given.get("faults", ()))
    machine = Machine(Options(**{**given, "folder": Path(given["folder"]), "listen": listen, "faults": faults}), _say)
    _say({"event": "ready", "port": machine.port, "address": machine.address, **machine.about})
    threading.Thread(target=_listen, args=(machine,), daemon=True).start()
    machine.run()


if __name__ == "__main__":
    main()
