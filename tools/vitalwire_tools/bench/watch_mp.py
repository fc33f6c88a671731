# Runs the board as main does, under MicroPython, and notes for what kind of work the virtual board's clock was charged.
# A slice is charged after it was done, so what is being done is noted when a slice is handed over. The status frame
# carries the sums in microseconds, the bytes of garbage, and how often these fill a heap of FREE bytes from one
# collection to the next, under the counters from FIRST on.
"""A board that watches itself; see above."""
# ruff: noqa: D101, D102, D103

import gc

import boot
import hal.virtual as hal
from app import App

FIRST = 1000
FREE = 0  # the benchmark fills this in
NAMES = ("sampling", "coding", "framing", "signing", "journal", "loop", "link", "collector")
OF_KIND = {
    "modmul": "signing",
    "gc": "collector",
    "flash_read": "journal",
    "flash_program": "journal",
    "flash_erase": "journal",
}
OF_FRAME = {"sha": "signing", "viper": "coding"}

spent = dict.fromkeys(NAMES, 0)
doing = "loop"
charge = hal.spend
held = garbage = since = full = 0


def spend(kind, n):
    global held, garbage, since, full
    now = gc.mem_alloc()
    if kind == "gc":
        since = 0
    else:
        garbage += now - held
        since += now - held
        if since > FREE:
            since -= FREE
            full += 1
    held = now
    before = hal.ticks()
    charge(kind, n)
    if doing != "sampling":
        name = OF_KIND.get(kind, doing)
        if name == "framing":
            name = OF_FRAME.get(kind, name)
        spent[name] += hal.ticks() - before


def watched(slices, name, after):
    global doing
    doing = name
    for slice in slices:
        yield slice
        doing = name
    doing = after


class Watch(App):
    def turn(self):
        global doing
        doing = "loop"
        super().turn()

    def sense(self, now, early):
        global doing
        was = doing
        doing = "sampling"
        before = hal.ticks()
        super().sense(now, early)
        spent["sampling"] += hal.ticks() - before
        doing = was

    def counters(self, now):
        found = super().counters(now)
        for i in range(len(NAMES)):
            found[FIRST + i] = spent[NAMES[i]]
        found[FIRST + len(NAMES)] = garbage
        found[FIRST + len(NAMES) + 1] = full
        return found


hal.spend = spend
app = Watch(hal)
boot.build(app)

choose = app.recorder.next
append = app.journal.append
step = app.links[0].step


def frame(now):
    job = choose(now)
    return watched(job, "framing", "loop") if job else None


def write(frame, type, declares=0):
    return watched(append(frame, type, declares), "journal", "framing")


def serve(now):
    global doing
    doing = "link"
    return step(now)


app.recorder.next = frame
app.journal.append = write
app.links[0].step = serve
gc.collect()
gc.disable()
held = gc.mem_alloc()
app.run()
