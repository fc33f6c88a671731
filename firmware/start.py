# Puts the parts together for this chip and starts them; when this ends, MicroPython's own prompt follows.
import gc
import sys

if sys.platform == "esp32":
    import hal.esp32 as hal
else:
    import hal.virtual as hal
from micropython import const
from wire import CAUSE_FAULT

_TIDY = const(4096)  # bytes

try:
    # Garbage goes so soon that it leaves no holes between what stays.
    gc.threshold(_TIDY)
    import boot
    from app import App

    app = App(hal)
    ready = boot.build(app)
    boot.forget()
    boot = None
    gc.threshold(-1)
    if ready:
        app.run()
    hal.leave()
except Exception as e:
    # a bug of ours must not end the recording: say it to whoever listens, and start over
    sys.print_exception(e)
    hal.reset(CAUSE_FAULT)
