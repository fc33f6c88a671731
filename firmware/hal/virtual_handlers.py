# Handlers on the virtual board: what an edge or a timer calls between two bytecodes of whatever runs. Loaded where a
# sensor needs it; then time no longer just passes, but stops where a handler is due.
#
# What the processor does in one piece, no handler interrupts: it is called late, once, and a sample is lost as on the
# chip. (A chip's scheduler may hold several calls; the later ones find nothing.)
from hal import virtual as hal

_WHOLE = ("viper", "gc", "flash_program", "flash_erase", "flash_read")

_sources = []
_idle = hal.idle
_spend = hal.spend


class _Source:
    handler = None

    def start(self, handler):
        self.handler = handler
        self.last = hal.ticks()
        self.begin()
        if self not in _sources:
            _sources.append(self)

    def stop(self):
        if self in _sources:
            _sources.remove(self)

    def newest(self):
        return self.last

    def call(self):
        now = hal.ticks()
        elapsed = now - self.last
        self.last = now
        self.handler(elapsed)


class Each(_Source):
    def __init__(self, pin):
        self.line = hal.irq(pin, False)

    def begin(self):
        self.line.take()

    # Nothing happens to the line before then.
    def due(self, until):
        return hal.ticks() if self.line.seen() else hal.quiet(self.line, until)

    def ready(self):
        return self.line.take() >= 0


class Every(_Source):
    def __init__(self, times, seconds):
        self.times = times
        self.seconds = 1000000 * seconds

    def begin(self):
        self.origin = self.last
        self.number = 1

    def due(self, until):
        return self.origin - -self.number * self.seconds // self.times

    def ready(self):
        now = hal.ticks()
        if self.due(0) > now:
            return False
        self.number = (now - self.origin) * self.times // self.seconds + 1
        return True


def _serve():
    for source in _sources:
        if source.ready():
            source.call()


# Let time pass until then; step(t) lets it pass until t at most.
def _pass(until, step):
    while _sources:
        now = hal.ticks()
        due = until
        for source in _sources:
            due = min(due, source.due(until))
        if due > now:
            step(due)
            if hal.ticks() < due:
                return  # something else woke the board
        _serve()
        if due >= until:
            return
    step(until)


def idle(until):
    _serve()
    _pass(until, _idle)


def spend(kind, n):
    now = hal.ticks()
    _spend(kind, n)
    if not _sources:
        return
    until = hal.ticks()
    if kind not in _WHOLE:
        hal.set_time(now)
        _pass(until, hal.set_time)
    _serve()


hal.idle = idle
hal.spend = spend
