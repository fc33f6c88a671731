# Which frame goes next, and again: a window over the journal's unacknowledged frames. Live ones and the backlog take
# turns; each frame in flight is looked after in a slot until it is acknowledged. Moves no bytes and deletes nothing.
from micropython import const

_PATIENCE = const(3)  # times the wait for an acknowledgement doubles


def whole(group):
    # the size of a window whose backlog takes a group of so many frames
    return (4 * group + 2) // 3 + 1


class Window:
    # journal: newest, acked, next_unacked(after). `now` and `resend`, the first wait, are microseconds of real time.
    def __init__(self, journal, size, resend):
        self.journal = journal
        self.resent = 0
        self._size = size
        self._reserve = size // 4  # slots the backlog leaves to live frames, see whole()
        self._seqs = [0] * size  # frames in flight; 0 is none
        self._tries = bytearray(size)
        self._due = [0] * size
        self._resend = resend
        self._slot = -1  # of the frame that was chosen last, -1 if it found none
        self._cursor = 0  # up to here the backlog was looked at
        self._live = journal.newest  # up to here frames are backlog, or were sent when they were new
        self._look = 0  # when the backlog is looked through again for what found no slot
        self._turn = False

    def catch_up(self):
        # somebody listens again: what was made meanwhile is backlog
        self._live = self.journal.newest

    def restart(self):
        # somebody new listens: everything unacknowledged goes again, oldest first
        for slot in range(self._size):
            if self._seqs[slot]:
                self._seqs[slot] = 0
                self.resent += 1
        self._slot = -1
        self._cursor = 0
        self.catch_up()

    def acknowledged(self, first, last):
        for slot in range(self._size):
            if first <= self._seqs[slot] <= last:
                self._seqs[slot] = 0
            else:
                self._tries[slot] = 0  # somebody listens: no reason to hesitate

    def choose(self, now):
        # The next frame to send, 0 if there is none. sent() or gone() says what became of it.
        for _ in (0, 1):
            self._turn = not self._turn
            seq = self._live_frame() if self._turn else self._backlog_frame(now)
            if seq:
                return seq
        return 0

    def sent(self, now):
        # counted from here, so that a slow stream does not make a frame late before it has left
        if self._slot >= 0:
            self._due[self._slot] = now + (self._resend << self._tries[self._slot])
            self._slot = -1

    def gone(self):
        # the journal was full and gave it up
        if self._slot >= 0:
            self._seqs[self._slot] = 0
            self._slot = -1

    def _occupy(self, seq, reserve):
        # a slot for this frame, if that leaves `reserve` of them free
        free = -1
        for slot in range(self._size):
            if not self._seqs[slot]:
                free = slot
                reserve -= 1
        self._slot = free if reserve < 0 else -1
        if self._slot >= 0:
            self._seqs[free] = seq
            self._due[free] = 0
            self._tries[free] = 0

    def _live_frame(self):
        newest = self.journal.newest
        if self._live >= newest:
            return 0
        seq = self.journal.next_unacked(self._live)
        self._live = seq or newest
        if seq:
            self._occupy(seq, 0)
        return seq

    def _backlog_frame(self, now):
        journal = self.journal
        oldest = -1
        free = 0
        for slot in range(self._size):
            seq = self._seqs[slot]
            if not seq:
                free += 1
            elif now >= self._due[slot] and (oldest < 0 or seq < self._seqs[oldest]):
                oldest = slot
        if oldest >= 0:
            self._slot = oldest
            self._tries[oldest] = min(self._tries[oldest] + 1, _PATIENCE)
            self.resent += 1
            return self._seqs[oldest]
        if self._cursor >= self._live and journal.acked < self._live and now >= self._look:
            self._look = now + self._resend
            self._cursor = 0
        while free > self._reserve and self._cursor < self._live:
            seq = journal.next_unacked(self._cursor)
            if not seq or seq > self._live:
                self._cursor = self._live
            else:
                self._cursor = seq
                if seq not in self._seqs:
                    self._occupy(seq, self._reserve)
                    return seq
        return 0
