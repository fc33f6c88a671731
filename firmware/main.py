# Puts the parts together for this chip and starts them; when run() returns, MicroPython's own prompt follows.
import sys

if sys.platform == "esp32":
    import hal.esp32 as hal
else:
    import hal.virtual as hal
import board
from app import App, Refused
from config import Config

try:
    App(hal, board, Config(hal.files())).run()
except Refused as e:
    print("vitalwire:", e)
hal.prompt()
