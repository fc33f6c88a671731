# Makes MicroPython on this computer look like the one on an ESP32: its platform, its root, its modules, over the
# virtual board's chips, flash and clock. VITALWIRE_CHIP_* of the environment is a test's, the rest hal/virtual.py's.
import os
import sys

import hal
import vfs
from hal import virtual  # before the modules that hide this computer's

HOST = "/host"
HERE = os.getcwd()
FOLDER = HOST + HERE  # of this board
_KEYS = ("key", "secret", "maker", "operator")  # which an image has in NVS


class Console:
    def __init__(self, buffer):
        self.buffer = buffer


class Sys:
    platform = "esp32"
    stdin = Console(open(0, "rb"))
    stdout = Console(open(1, "wb"))
    path = sys.path
    modules = sys.modules
    implementation = sys.implementation
    print_exception = sys.print_exception
    exit = sys.exit


def begin(here):
    # here: the folder with the other stand-ins
    flash = virtual.partition("vfs")
    vfs.umount("/")
    vfs.mount(vfs.VfsPosix("/"), HOST)
    vfs.mount(vfs.VfsLfs2(flash), "/")
    os.putenv("VITALWIRE_FLASH", HOST + os.getenv("VITALWIRE_FLASH"))
    for i, path in enumerate(sys.path):
        if path and path[0] != ".":
            sys.path[i] = HOST + (path if path[0] == "/" else HERE + "/" + path)
    hal.__path__ = FOLDER + "/" + hal.__path__
    sys.path.insert(0, HOST + here)
    try:
        os.mkdir(FOLDER + "/nvs")
    except OSError:
        pass
    for name in os.listdir("/"):
        if name in _KEYS:
            with open("/" + name, "rb") as old, open(FOLDER + "/nvs/vitalwire." + name, "wb") as new:
                new.write(old.read())
            os.remove("/" + name)
    import clock

    sys.modules["time"] = sys.modules["select"] = clock
    sys.modules["sys"] = Sys
