# For an application on trial: should it hang before it feeds the watchdog itself, the board starts over, with the one
# before. Loaded for its start.
import sys

if sys.platform == "esp32":
    from machine import WDT

    WDT(timeout=120000)
else:
    from hal.virtual import feed

    feed()
