# Lets go of modules that nobody uses any more: they go with the next collection. Loaded for that.
import sys


def drop(*names):
    for name in names + ("unload",):
        if name in sys.modules:
            sys.modules[name] = None  # a deleted entry still holds its value
            del sys.modules[name]
