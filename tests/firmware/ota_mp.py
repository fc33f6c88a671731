# Runs under MicroPython: the device's loader and updater on littlefs on NOR flash in a file, whose power can be cut at
# any operation: the process dies. Each line on stdin is evaluated and answered by its value in one line.
import json
import os
import sys

import ota
import slots
import vfs
import wire
from hal.virtual_flash import Cut, FlashFile

BLOCKS = 64
BOARD = "bench"
IMAGE_BLOCKS = 8


def _there(path):
    # whether there is such a file
    try:
        os.stat(path)
        return True
    except OSError:
        return False


class Spare(FlashFile):
    # An OTA partition, as esp32.Partition has them.
    def info(self):
        return 0, 0x10, 0, IMAGE_BLOCKS * 4096, self.label, False

    def set_boot(self):
        self.loader.choose(self.label)


class Loader:
    # The chip's own loader and its two OTA partitions (ESP-IDF, "App Rollback"): what was chosen runs at the next
    # start, and unless it is told to stay, the start after that takes the other one again.
    def __init__(self, path, cut):
        self.path, self.cut = path, cut
        self.partitions = {}
        for label in ("ota_0", "ota_1"):
            if not _there(path + label):
                with open(path + label, "wb") as f:
                    f.write(b"\xff" * 4096 * IMAGE_BLOCKS)
            self.partitions[label] = Spare(path + label, 0, IMAGE_BLOCKS * 4096, lambda kind, n: None, cut)
            self.partitions[label].label = label
            self.partitions[label].loader = self

    def load(self):
        try:
            with open(self.path + "ota") as f:
                return f.read().split()
        except OSError:
            return ["ota_0", "ota_0", "stays"]

    def store(self, *state):
        cut = self.cut and self.cut.due()
        if not cut or self.cut.random(2):
            with open(self.path + "ota.new", "w") as f:
                f.write(" ".join(state))
            os.rename(self.path + "ota.new", self.path + "ota")
        if cut:
            self.cut.end()

    def other(self, label):
        return "ota_1" if label == "ota_0" else "ota_0"

    def start(self):
        running, chosen, fate = self.load()
        if chosen != running:
            self.store(chosen, chosen, "tried")
        elif fate == "tried":
            self.store(self.other(running), self.other(running), "stays")

    def choose(self, label):
        running, _, fate = self.load()
        self.store(running, label, fate)

    def image(self):
        return self.load()[0]

    def keep_image(self):
        self.store(self.image(), self.image(), "stays")

    def spare(self):
        return self.partitions[self.other(self.image())]


class Device:
    # Packages by counter are bytes of (manifest's length, manifest and files). Of an App what later.py wants.
    trial = pending = utc_us = None
    low_battery = False

    def __init__(self, path, maker, packages, size=BLOCKS):
        self.path, self.maker, self.packages, self.size = path, maker, packages, size
        self.mounted = False
        self.asked = 0
        self.updater = self.loader = None

    def mount(self, cut=None):
        flash = FlashFile(self.path, 0, self.size * 4096, lambda kind, n: None, cut)
        if self.mounted:
            vfs.umount("/board")
        self.mounted = True
        vfs.mount(vfs.VfsLfs2(flash), "/board")
        self.loader = Loader(self.path, cut)

    def spare(self):
        return None  # as in stock builds

    def reboot(self, _):
        self.asked += 1

    @property
    def clock(self):
        return self

    def utc(self, ticks):
        return self.utc_us and (self.utc_us, 10)

    def configure(self, **settings):
        with open("/board/desired", "w") as f:
            json.dump({"newest": 1, "now": [1, settings]}, f)

    def look(self, utc=None, low=False):
        # a status frame: a day and hours; returns how often a reboot was asked for
        self.utc_us = utc and int((20_000 * 24 + utc) * 3600) * 1_000_000
        self.low_battery = low
        if self.trial:
            self.trial.check(0)
        return self.asked

    def files(self):
        return sorted([entry[0] for entry in os.ilistdir("/board")])

    def fill(self, n):
        with open("/board/full", "wb") as f:
            f.write(bytes(n))

    def start(self):
        # as both loaders do; returns the folder chosen
        self.loader.start()
        self.updater = ota.Updater("/board", self.maker, BOARD, self, self.spare)
        return slots.choose("/board")

    def tried(self):
        return slots.on_trial("/board", self.loader)

    def confirm(self):
        return slots.confirm("/board", self.loader)

    def ask(self, command, argument=None):
        fields = {}
        work = self.updater.handle(command, argument, fields)
        try:
            while True:
                next(work)
        except StopIteration as stop:
            self.pending = fields[wire.COMMANDKEY_PENDING]
            return stop.value, fields[wire.COMMANDKEY_OFFSET], fields[wire.COMMANDKEY_SIZE]

    def send(self, counter, most=200):
        # As the SDK does, at most so many blocks; returns the last result and where it began.
        size, digest, data = self.packages[counter]
        result, offset, _ = self.ask(wire.COMMAND_UPDATE_BEGIN, [size, digest])
        began = offset
        while result == wire.RESULT_OK and offset < len(data) and most:
            most -= 1
            result, offset, _ = self.ask(wire.COMMAND_UPDATE_WRITE, [offset, data[offset : offset + 384]])
        return result, began

    def holds(self, folder, counter):
        # whether the application in a folder is the one of this counter, whole
        size, _, data = self.packages[counter]
        found = b""
        manifest = ota.decode(ota.open_sign1(data[:size]))
        for path, _, _ in manifest[wire.UPDATEKEY_FILES]:
            with open(folder + "/" + path, "rb") as f:
                found += f.read()
        return found == data[size:]

    def runs(self, counter):
        # whether the image of this counter runs, whole
        size, _, data = self.packages[counter]
        found = bytearray(len(data) - size)
        self.loader.partitions[self.loader.image()].readblocks(0, found)
        return found == data[size:]

    def story(self, failing, at=0, image=False):
        # From whatever is in flash to the newest of the packages, each confirmed, but that the first trial ever fails
        # where `failing`; the power goes at operation `at`. Returns the starts it took, or says what was wrong.
        self.mount(Cut(at, at) if at else None)
        if image:
            self.spare = self.loader.spare
        last = max(self.packages)
        confirmed = starts = 0
        while starts < 40:
            starts += 1
            folder = self.start()
            state = slots.load("/board")
            if state["counter"] < confirmed:
                return "older than confirmed"
            confirmed = state["counter"]
            trial = self.tried()
            running = state["image" if image else "next"] if trial else confirmed
            if running and not (self.runs(running) if image else self.holds(folder, running)):
                return "half an application"
            if trial:
                if failing and not _there(self.path + ".failed"):
                    open(self.path + ".failed", "w").close()
                else:
                    self.confirm()
                continue
            slots.take_failed("/board")
            if confirmed == last:
                return starts
            result, _ = self.send(min([c for c in self.packages if c > confirmed]))
            if result != wire.RESULT_OK:
                return "refused: " + str(result)
            if self.ask(wire.COMMAND_UPDATE_APPLY, 1)[0] != wire.RESULT_OK:
                return "not applied"
        return "never done"


def fresh(path, size=BLOCKS):  # noqa: D103
    # an empty file system
    with open(path, "wb") as f:
        for _ in range(size):
            f.write(b"\xff" * 4096)
    vfs.VfsLfs2.mkfs(FlashFile(path, 0, size * 4096, lambda kind, n: None))


names = globals()
while True:
    line = sys.stdin.readline()
    if not line:
        break
    try:
        print(repr(eval(line, names)))
    except SyntaxError:
        exec(line, names)
        print("None")
