# Runs under MicroPython: a journal on real NOR semantics, driven by a seeded script and cut by power failures, beside a
# model that remembers every frame. Used by journal/; prints one line, the counts of what was seen.
import sys
from hashlib import sha256

from cbor import put_bytes, put_head, put_int
from cose import PAYLOAD, sign1_end, sign1_start
from hal.virtual_flash import Cut, FlashFile
from journal import Journal
from records import MAX_KEPT
from wire import MAX_FRAME, RECORD_DESCRIPTOR, RECORD_FRAME, SECTOR_SIZE


class PowerCut(BaseException):
    pass


def fail_power():
    """End this life, as far as the journal can tell."""
    raise PowerCut


class Random:
    def __init__(self, seed):
        self.state = seed * 2654435761 & 0xFFFFFFFF

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % n


class Chip(FlashFile):
    """Flash that counts what wears it out."""

    def __init__(self, path, sectors, cut=None):
        super().__init__(path, 0, sectors * SECTOR_SIZE, lambda kind, n: None, cut)
        self.erases = [0] * sectors
        self.operations = 0

    def writeblocks(self, block, buf, offset=-1):
        self.operations += 1
        super().writeblocks(block, buf, offset)

    def _erase(self, block):
        self.operations += 1
        self.erases[block] += 1
        super()._erase(block)


def blank(path, sectors):
    """Make a new chip."""
    with open(path, "wb") as file:
        for _ in range(sectors):
            file.write(b"\xff" * SECTOR_SIZE)


def check(truth, *what):
    """Assert, also where asserts are compiled away."""
    if not truth:
        raise AssertionError(what)


work = memoryview(bytearray(MAX_FRAME))
back = memoryview(bytearray(MAX_FRAME))


def frame(random, journal, size):
    """Return a frame as the journal sees one: the real head and chain, filler where signer and codec would be."""
    pos = put_head(work, PAYLOAD, 5, 5)
    for key, value in ((1, 2), (2, journal.boot), (3, journal.next)):
        pos = put_int(work, put_int(work, pos, key), value)
    pos = put_bytes(work, put_int(work, pos, 4), journal.prev)
    size = max(0, min(size, MAX_KEPT - pos - 66 - 4))
    pos = put_bytes(work, put_int(work, pos, 9), bytes([random.below(256)]) * size)
    end = sign1_end(work, sign1_start(work, pos), bytes([random.below(256)]) * 64)
    return work[:end]


class Model:
    """What a device has promised, told by what its calls returned, whatever became of its flash."""

    def __init__(self, attention):
        self.attention = attention  # how readily a reader acknowledges
        self.frames = {}  # seq: bytes, durable
        self.descriptors = []  # seqs of durable ones
        self.acked = set()
        self.declared = []  # (first, last, seq) of durable DROPPED events, and which frames these are in
        self.boots = []
        self.tried = 0  # the highest seq anything was ever made with
        self.making = None  # (seq, bytes, type, declares), not yet known to be durable
        self.cuts = self.drops = self.torn = self.refused = 0

    def settle(self):
        seq, data, type, declares = self.making
        self.frames[seq] = data
        if type == RECORD_DESCRIPTOR:
            self.descriptors.append(seq)
        if declares:
            self.declared.append(declares + (seq,))  # noqa: RUF005 - MicroPython
        self.making = None

    def mounted(self, journal, found):
        check(found or not self.boots, "lost a journal")
        if self.making:
            if journal.newest == self.making[0]:
                self.settle()
            else:
                self.torn += 1
        self.making = None

    def begun(self, journal):
        last = max(self.frames) if self.frames else 0
        check(journal.boot not in self.boots and journal.boot > max(self.boots or [0]), "boot", journal.boot)
        self.boots.append(journal.boot)
        check(journal.newest == last, "newest", journal.newest, last)
        check(journal.next > self.tried, "seq reused", journal.next, self.tried)
        check(journal.prev == (self.digest(last) if last else bytes(16)), "prev")
        if len(self.boots) > 1:
            check(journal.burned == (last + 1, journal.next - 1, journal.prev), "burned", journal.burned)

    def digest(self, seq):
        return sha256(self.frames[seq]).digest()[:16]

    def governing(self, seq):
        return max([d for d in self.descriptors if d <= seq] or [0])

    def excused(self, journal, kept):
        # by what a reader has read or still will
        ranges = [(first, last) for first, last, seq in self.declared if seq in kept or seq in self.acked]
        ranges += [journal.dropped[:2]] if journal.dropped else []
        return [seq for seq in self.frames if any(first <= seq <= last for first, last in ranges)]

    def verify(self, journal):
        """Everything that was promised is there, byte for byte, or its loss is declared."""
        if journal.dropped:
            first, last, prev, digest = journal.dropped
            check(bytes(self.frames[first]).find(prev) > 0, "PREV of a drop", first)
            check(digest == self.digest(last), "DIGEST of a drop", last)
        kept = []
        seq = 0
        while True:
            seq = journal.next_unacked(seq)
            if not seq:
                break
            check(not kept or seq > kept[-1], "order")
            kept.append(seq)
            n = journal.read(seq, back)
            check(seq in self.frames and bytes(back[:n]) == self.frames[seq], "bytes", seq, n)
        gone = set(self.frames) - set(kept) - self.acked
        if gone:
            check(gone <= set(self.excused(journal, kept)), "lost", sorted(gone), kept[:3], journal.dropped)
        if self.descriptors:
            n = journal.read_descriptor(back)
            check(bytes(back[:n]) == self.frames[self.descriptors[-1]], "descriptor", self.descriptors, n)
        for governor in {self.governing(seq) for seq in kept}:
            if governor:
                n = journal.read(governor, back)
                check(bytes(back[:n]) == self.frames[governor], "descriptor of a kept frame", governor)
        check(len(kept) - 1 <= journal.unacked() or not kept, "unacked", len(kept), journal.unacked())
        return kept


def append(journal, model, random, size, type=RECORD_FRAME):
    """Append a frame, the link at work between its slices."""
    dropped = journal.dropped
    declares = dropped[:2] if dropped and type == RECORD_FRAME and random.below(4) else None
    data = frame(random, journal, size)
    model.making = (journal.next, bytes(data), type, declares)
    model.tried = max(model.tried, journal.next)
    lost = journal.lost
    for _ in journal.append(data, type, declares[1] if declares else 0):
        # the link goes on meanwhile
        if model.making and journal.newest == model.making[0]:
            model.settle()
        what = random.below(12)
        if what == 0 and random.below(30) < model.attention:
            acknowledge(journal, model, random)
        elif what == 1:
            seq = journal.next_unacked(random.below(journal.next))
            n = journal.read(seq, back)
            check(bytes(back[:n]) == (model.frames[seq] if seq else b""), "bytes while appending", seq, n)
        elif what == 2:
            journal.flush()
    if declares and journal.dropped and journal.dropped[1] == declares[1]:
        raise AssertionError("a declared drop is still pending")
    if model.making:
        model.settle()
    model.drops += journal.lost - lost
    check(journal.newest == journal.next - 1 and journal.prev == model.digest(journal.newest), "chain")


def acknowledge(journal, model, random):
    """Acknowledge some frames, as a reader would."""
    if not journal.newest:
        return
    first = journal.next_unacked(0) if random.below(3) else 1 + random.below(journal.newest)
    last = min(journal.newest, first + random.below(1 + random.below(30)))
    if first and journal.acknowledge(first, last):
        model.acked.update(range(first, last + 1))
        check(journal.acknowledge(first, last), "idempotent")


def step(journal, model, random, profile):
    """Do one thing."""
    what = random.below(100)
    if what < profile[0]:
        acknowledge(journal, model, random)
    elif what < 85:
        size = (30, 200, 900, 3000, 5000)[random.below(profile[1])]
        if journal.fits(size + 200, 4):
            append(journal, model, random, random.below(size))
        else:
            acknowledge(journal, model, random)
    elif what < 90:
        if journal.fits(profile[2] + 400, 3):
            append(journal, model, random, 200 + random.below(profile[2]), RECORD_DESCRIPTOR)
    elif what < 95:
        journal.flush()
    else:
        model.verify(journal)


def boot(path, sectors, model, cut, stop):
    """Begin a life and check what it finds."""
    journal = Journal(Chip(path, sectors, cut), stop)
    model.mounted(journal, journal.mount())
    while not journal.begin():
        check(stop, "full")
        model.refused += 1
        first = journal.next_unacked(0)
        check(journal.acknowledge(first, first), "acknowledge while full")
        model.acked.add(first)
    model.begun(journal)
    model.verify(journal)
    return journal


def run(path, sectors, seed, steps, cuts, stop, profile):
    """Live one life after another; `cuts` yields after how many operations the next one ends, 0 for never."""
    blank(path, sectors)
    model = Model(profile[0])
    random = Random(seed)
    done = 0
    while True:
        at = next(cuts)
        try:
            chip = Cut(at, seed + done, fail_power)
            journal = boot(path, sectors, model, chip, stop)
            while done < steps:
                done += 1
                step(journal, model, random, profile)
            break
        except PowerCut:
            model.cuts += 1
    model.verify(journal)
    journal = boot(path, sectors, model, None, stop)
    return model, journal


PROFILES = (
    (30, 4, 800),  # frames of all sizes, acknowledged about as fast as they come
    (3, 3, 800),  # nobody listens: full most of the time
    (10, 5, 3900),  # frames and descriptors as large as they may be
    (20, 1, 100),  # many small ones
)


def once(at):
    """Cut one life only."""
    yield at
    while True:
        yield 0


def often(seed):
    """Cut every life after some operations."""
    random = Random(seed)
    while True:
        yield 1 + random.below(1 + random.below(60))


def main(path, mode, sectors, seed, steps, first, last, stride):
    """Run a series; print what was seen in it."""
    counts = [0, 0, 0, 0, 0]  # cuts, frames, frames dropped, frames torn, boots refused
    for at in range(first, last, stride):
        profile = PROFILES[(seed if mode == "every" else at) % len(PROFILES)]
        stop = mode == "stop"
        cuts = once(at) if mode == "every" else often(at)
        number = seed if mode == "every" else at
        try:
            model, journal = run(path, sectors, number, steps, cuts, stop, profile)
        except Exception:
            print("failed", mode, "seed", number, "at", at)
            raise
        if stop:
            check(not model.drops and not journal.lost, "lost under stop")
        counts[0] += model.cuts
        counts[1] += len(model.frames)
        counts[2] += model.drops
        counts[3] += model.torn
        counts[4] += model.refused
        if mode == "every" and not model.cuts:
            break
    print(*counts)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *[int(x) for x in sys.argv[3:]])
