# The virtual board's hardware: chips that live in another process and a clock that advances only by work, bus transfers
# and idling, so that results do not depend on how fast this computer is. What the process is given stands in
# VITALWIRE_* of its environment, read here and nowhere else (written by vitalwire_tools/virtual/serving.py).
#
# A request is three 64-bit words: operation | a << 8 | b << 16 | register << 32 | bytes wanted << 40 | bytes sent << 52
# is the first, now and until the others; then the bytes sent. An answer is two: errno and now; then, if errno is 0, the
# bytes wanted.
import os
import select
import time
from array import array

import micropython
from micropython import const
from wire import CAUSE_DEEP_SLEEP, CAUSE_WATCHDOG

_I2C = const(1)
_SPI = const(2)
_IDLE = const(3)
_SYNC = const(4)
_LINE = const(5)
_LEVEL = const(6)
_ADC = const(7)
_SLEEP = const(8)
_ARM = const(9)
_LINES = const(8)
_WATCHDOG = const(10000000)
_EXIT = const(64)
_FLAGS = const(4)  # of a terminal's attributes; the control characters behind them take 2 KB


def _setting(name, default=""):
    return os.getenv("VITALWIRE_" + name) or default


_hardware = open(int(_setting("HARDWARE")), "r+b")
_speed = float(_setting("SPEED", "0"))
_costs = {k: int(v) for k, v in [p.split("=") for p in _setting("COSTS").split(",") if p]}
# "l" and not "q": MicroPython allocates for each element it takes out of a "q".
_request = array("l", (0, 0, 0))
_answer = array("l", (0, 0))
_news = array("l", [-1] * _LINES)
_edges = array("l", [-1] * _LINES)
_value = array("l", (0,))
_poll = select.poll()
_poll.register(0, select.POLLIN)

_now = 0  # microseconds
_rest = 0  # nanoseconds
_synced = -1  # _edges holds what happened until then
_fed = -1
_entered = -1  # when idle was last called: an older edge that nobody took wakes nobody
_waking = 0  # a bit for each line whose edges end idle()
_selected = 255
enough = 74000
_origin = time.ticks_us()


def _receive(buffer, n):
    # waits for all n bytes; fewer mean that the hardware is gone
    if _hardware.readinto(buffer, n) != n:
        _end(_EXIT)


def _call(word, until, out, into, wanted):
    global _now
    _request[0] = word
    _request[1] = _now
    _request[2] = until
    _hardware.write(_request)
    if out is not None:
        _hardware.write(out)
    _receive(_answer, 16)
    _now = _answer[1]
    if _answer[0]:
        raise OSError(_answer[0])
    if into is not None:
        _receive(into, wanted)


def ticks():
    return _now


def wall():
    return time.ticks_us()


def files():
    if "board" not in os.listdir("/"):
        import vfs

        vfs.mount(vfs.VfsLfs2(partition("vfs")), "/board")
    return "/board"


def recall(name):
    try:
        with open(files() + "/" + name, "rb") as f:
            return f.read(128)
    except OSError:
        return None


def keep(name, value):
    with open(files() + "/" + name, "wb") as f:
        f.write(value)


# The process is started so that the prompt follows whatever ends main, as on a chip; a reset is the exception.
def _end(code):
    os.unsetenv("MICROPYINSPECT")
    raise SystemExit(code)


# What the processor is wired to: a bus by its number, an interrupt line or an analogue input by its pin.
class _Part:
    def __init__(self, number):
        self._word = number << 8

    def readfrom_mem_into(self, address, register, buffer):
        n = len(buffer)
        _call(_I2C | self._word | address << 16 | register << 32 | n << 40, 0, None, buffer, n)

    def writeto_mem(self, address, register, buffer):
        _call(_I2C | self._word | address << 16 | register << 32 | len(buffer) << 52, 0, buffer, None, 0)

    def write_readinto(self, out, into):
        global _selected
        n = len(out)
        _call(_SPI | self._word | (_selected & 255) << 16 | (_selected >> 8) << 32 | n << 40 | n << 52, 0, out, into, n)
        _selected |= 256  # further bytes continue this selection

    def take(self):
        _sync()
        at = _edges[self.line]
        if at < 0:
            return -1
        _edges[self.line] = -1
        return at

    def seen(self):
        _sync()
        return _edges[self.line] >= 0

    def ask(self, operation):
        _call(operation | self._word, 0, None, _value, 8)
        return _value[0]

    def level(self):
        return self.ask(_LEVEL)

    def read_uv(self):
        return self.ask(_ADC)


i2c = _Part
adc = _Part


def spi(number, phase=0):
    return _Part(number | phase << 7)


def level(pin):
    return _Part(pin).level


# For virtual_handlers.
def set_time(now):
    global _now
    _now = now


def quiet(line, until):
    # nothing happens to that line before then
    _call(_IDLE | 256 << line.line, until, None, _value, 8)
    return _value[0]


def each(pin):
    from hal.virtual_handlers import Each

    return Each(pin)


def every(times, seconds):
    from hal.virtual_handlers import Every

    return Every(times, seconds)


def irq(pin, wakes=True):
    global _waking
    part = _Part(pin)
    part.line = part.ask(_LINE)
    if wakes:
        _waking |= 1 << part.line
    return part


def output(pin):
    def write(level):
        global _selected
        _selected = 255 if level else pin

    return write


def _sync():
    global _synced
    if _synced == _now:
        return
    _call(_SYNC, 0, None, _news, 8 * _LINES)
    _synced = _now
    for i in range(_LINES):
        if _edges[i] < 0:
            _edges[i] = _news[i]


def edge():
    _sync()
    return max(_edges) >= 0


def idle(until):
    global _now, _entered
    _watch()
    _sync()
    start = _now
    before = _entered
    _entered = start
    if until <= start:
        return
    for i in range(_LINES):
        if _edges[i] > before and _waking >> i & 1:
            return
    _call(_IDLE | _waking << 8, until, None, _value, 8)
    until = _value[0]
    if _speed:
        due = _origin + int(until / _speed)
        while True:
            wait = time.ticks_diff(due, time.ticks_us())
            if wait <= 0:
                break
            if _poll.poll((wait + 999) // 1000):
                passed = int(time.ticks_diff(time.ticks_us(), _origin) * _speed)
                until = min(max(passed, start), until)
                break
    _now = max(_now, until)


def spend(kind, n):
    global _now, _rest
    cost = _costs.get(kind)
    if cost:
        _rest += cost * n
        _now += _rest // 1000
        _rest %= 1000
        _watch()


def partition(name):
    import board

    from hal.virtual_flash import FlashFile

    for label, offset, size in board.PARTITIONS:
        if label == name:
            return FlashFile(_setting("FLASH"), offset, size, spend)
    raise OSError(19)


def spare():
    return None


class _Stream:
    session = 0

    def __init__(self):
        self._input = open(0, "rb")
        self._output = open(1, "wb")
        self._poll = select.poll()
        self._poll.register(1, select.POLLOUT)
        self._mode = None
        self._byte = bytearray(1)

    def open(self):
        import termios

        micropython.kbd_intr(-1)
        try:
            self._mode = termios.tcgetattr(0)[:_FLAGS]
            termios.setraw(0)
        except OSError:
            self._mode = None  # a pipe

    def close(self):
        import termios

        micropython.kbd_intr(3)
        if self._mode:
            mode = termios.tcgetattr(0)
            mode[:_FLAGS] = self._mode
            termios.tcsetattr(0, 0, mode)

    def readinto(self, buffer):
        # Byte by byte, because MicroPython waits until a whole buffer is full.
        n = 0
        while n < len(buffer):
            for _, event in _poll.ipoll(0):
                if event & select.POLLIN and self._input.readinto(self._byte):
                    buffer[n] = self._byte[0]
                    n += 1
                    break
                _poll.unregister(0)  # nobody is left at the other end
                return n
            else:
                break
        return n

    def write(self, buffer, n):
        for _, event in self._poll.ipoll(0):
            if event & select.POLLOUT:
                return self._output.write(buffer, min(n, 256)) or 0
        return 0


stream = _Stream()


def random(n):
    return os.urandom(n)


def entropy(on):
    return not _setting("DETERMINISTIC")


def station():
    air = _setting("AIR")
    if not air:
        return None
    from hal.virtual_network import WLAN

    return WLAN(air, ticks)


def date(seconds=None):
    return int(time.time())


def unique_id():
    return bytes.fromhex(_setting("ID", "000000000000"))


def reset(cause):
    _sync()  # tells the hardware how late it is
    _end(_EXIT + cause)


def reset_cause():
    return int(_setting("CAUSE", "1"))


def sleep(seconds):
    _call(_SLEEP, _now + 1000000 * seconds, None, None, 0)
    _end(_EXIT + CAUSE_DEEP_SLEEP)


# The hardware resets a process that hangs; what is late by the board's own clock is found here.
def feed():
    global _fed
    if _fed < 0:
        _call(_ARM | 1 << 8, 0, None, None, 0)
    _fed = _now


def leave():
    global _fed
    if _fed >= 0:
        _call(_ARM, 0, None, None, 0)
    _fed = -1


def _watch():
    if _fed >= 0 and _now - _fed > _WATCHDOG:
        _end(_EXIT + CAUSE_WATCHDOG)
