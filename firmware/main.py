# The loader, which no update replaces: chooses the application and lets it import itself; see slots.py. Whatever is
# wrong with one on trial, the board starts over, with the one before: an exception does it, or the watchdog.
import sys

import slots

if sys.platform == "esp32":
    root = ""
else:
    from hal.virtual import files

    root = files()
slot = slots.choose(root)
if slots.load(root).get("tried"):
    import guard  # noqa: F401
slots = None
if slot:
    sys.path.insert(0, slot)
    # what the loader itself has imported may look different there
    for name in ("board", "slots"):
        sys.modules.pop(name, None)
try:
    import start  # noqa: F401
except Exception as e:
    if not slot:
        raise
    sys.print_exception(e)
    if sys.platform == "esp32":
        from machine import reset
    else:
        from hal.virtual import reset
    reset(1)
