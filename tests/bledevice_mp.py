# Runs under MicroPython: the device's Bluetooth link alone, its stream moved by lines of code on stdin, each answered
# by a line. What hal/virtual.py does with its interrupts is done here between two lines.
import select
import sys
import time


class Hal:
    def __init__(self):
        self.virtual = self
        self.kept = {}  # what a flash would keep
        self.later = 0  # us

    def feed(self):
        pass

    def idle(self, until):
        pass

    def wall(self):
        return time.ticks_us() + self.later

    def recall(self, name):
        return self.kept.get(name)

    def keep(self, name, value):
        self.kept[name] = value


hal = sys.modules["hal"] = Hal()
came = bytearray()  # from the central
going = bytearray()  # to it
sent = 0
chunk = bytearray(64)
stdin = select.poll()
stdin.register(0, select.POLLIN)
ble = None


def turn():
    """Do what a board's loop does."""
    global sent
    hal.feed()
    if ble:
        ble.step(hal.wall())
        n = ble.readinto(memoryview(chunk))
        if n:
            came.extend(chunk[:n])
        if sent < len(going):
            piece = memoryview(going)[sent : sent + 512]
            sent += ble.write(piece, len(piece))


while True:
    if stdin.poll(1):
        line = sys.stdin.readline()
        if not line:
            break
        try:
            print(repr(eval(line)))
        except SyntaxError:
            exec(line)
            print("None")
    turn()
