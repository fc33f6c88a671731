# One link to whoever reads this device: which packet goes out next on a stream, replies before log lines before
# frames, and what comes in. Knows neither what a command means nor which frame is next. Each link has a window of its
# own over the one journal; what is acknowledged on one is on all.
from micropython import const
from packet import Receiver, encode, gap, room
from window import Window
from wire import (
    LOG_HEADER,
    LOG_HEADER_SIZE,
    LOGLEVEL_INFO,
    LOGLEVEL_WARNING,
    MAX_COMMAND,
    MAX_FRAME,
    MAX_LOG,
    PACKETTYPE_COMMAND,
    PACKETTYPE_FRAME,
    PACKETTYPE_LOG,
    PACKETTYPE_REPLY,
    pack,
)

_LINKED = const(10_000_000)  # us since the last valid packet for which somebody counts as reading
_PAUSE = const(1_000_000)  # us without a byte after which a begun packet is given up
_READ = const(64)  # bytes taken from the stream in one step
_CTRL_C = const(3)
_CR = const(13)


class Link:
    # stream: as links/__init__.py says. journal: as for Window, and read(seq, buf), read_descriptor(buf). control:
    # handle(body, reply), a generator of slices. No frame longer than `size` is sent. `now` is real time in
    # microseconds, whatever the samples' clock is.
    level = LOGLEVEL_INFO
    repl_requested = False
    _line = None  # the log line that waits, as it goes out
    _command = None  # the command being handled, slice by slice
    _keeps = False  # whether what the stream's other end has taken is durable

    def __init__(self, stream, journal, control, window=8, repl=True, size=MAX_FRAME, resend=3_000_000):
        self.stream = stream
        self.journal = journal
        self.control = control
        control.links.append(self)  # it tells acknowledged(), and the one that asks restart(), level, repl_requested
        self.repl = repl  # whether anybody may ever have the REPL
        self.window = Window(journal, window, resend)
        self._receiver = Receiver(MAX_COMMAND)
        self._chunk = memoryview(bytearray(_READ))
        self._one = self._chunk[:1]
        self._taken = 0  # bytes of the chunk the receiver has seen
        self._have = 0
        self._heard = None  # when the last valid packet came
        self._byte_at = 0  # when the last byte came
        self._clean = True  # nothing but REPL bytes since the last delimiter
        self._ctrl_c = False
        # However talkative the peer is, something is sent after each read, and a frame may go after each reply.
        self._listened = self._owing = False
        self._message = getattr(stream, "message", None)
        self._hail = getattr(stream, "hail", None)
        before = getattr(stream, "room", 0)
        self._gap = body = before + gap(size)
        self._out = memoryview(bytearray(before + room(size)))
        self._body = self._out[body : body + size]
        self._reply = self._out[body : body + MAX_COMMAND]
        self._loaded = -1  # bytes of a body that waits to be made a packet
        self._type = self._id = 0
        self._seq = 0  # of the frame that is loaded, 0 if what is loaded is none
        self._position = 0
        self._end = 0
        self._session = stream.session
        self._tend = getattr(stream, "step", None)
        self._asked = -1  # id of the command to be answered
        self._count = 0  # id of the last packet that was no reply
        self._describe = False

    def linked(self, now):
        return self._heard is not None and now - self._heard < _LINKED

    def bad(self):
        return self._receiver.bad

    def idle(self):
        # whether everything said was given to the stream: a reboot waits for that
        return not (self._end or self._asked >= 0 or self._loaded >= 0)

    def restart(self):
        # somebody new reads: the descriptor goes again, then everything unacknowledged
        self._describe = True
        self.window.restart()

    def acknowledged(self, first, last):
        self.window.acknowledged(first, last)

    def keep(self):
        # From now on what the stream's other end has taken is durable, whoever reads there.
        self._keeps = True
        self.stream.stored = self.control.stored

    def log(self, level, text):
        # never keys, never personal data
        if level < self.level:
            return
        if self._line:
            return
        data = text.encode()
        n = len(data)
        if n > MAX_LOG:
            n = MAX_LOG
            while data[n] & 0xC0 == 0x80:
                n -= 1
        self._line = bytearray(LOG_HEADER_SIZE) + data[:n]
        pack(LOG_HEADER, self._line, 0, level)

    def step(self, now):
        # One slice of work, at most about 10 ms on the chip; returns (kind, units) of it for the clock, or None.
        done = self._tend(now) if self._tend else None
        if self.stream.session != self._session:
            self._begin()
        if done:
            return done
        if not (self._listened or self._command or self._asked >= 0 or self._owing or self.repl_requested):
            n = self._receive(now)
            if n:
                self._listened = True
                return ("bytecode", 200)
        self._listened = False
        if self._end:
            return self._send(now)
        if self._loaded >= 0:
            return self._encode()
        if self._command or self._asked >= 0:
            return self._handle()
        self._owing = False
        if self._keeps and self.stream.ready:
            if self._heard is None:
                self._describe = True
                self.window.catch_up()
            self._heard = now
        if not self.linked(now):
            if not (self._hail and self._hail(now)):
                return None
            self.log(LOGLEVEL_INFO, "here")
        return self._load(now)

    def _begin(self):
        # Somebody else may be at the other end: what was under way is dropped. A command goes on, unanswered.
        self._session = self.stream.session
        self._receiver.reset()
        self._taken = self._have = self._end = 0
        self._loaded = self._asked = -1
        self._heard = None
        self._describe = self._owing = False
        self.window.restart()
        why = getattr(self.stream, "why", None)
        if why:
            for link in self.control.links:
                link.log(LOGLEVEL_WARNING, why)

    # ------------------------------------------------------------ in

    def _receive(self, now):
        if self._taken == self._have and not self._read(now):
            return 0
        start = self._taken
        receiver = self._receiver
        while self._taken < self._have:
            self._taken = receiver.take(self._chunk, self._taken, self._have)
            if receiver.body is not None:
                if not self.linked(now):
                    self.window.catch_up()
                self._heard = now
                if receiver.type == PACKETTYPE_COMMAND:
                    # the rest of the chunk waits until this one is answered
                    self._asked = receiver.id
                    break
        return self._taken - start

    def _read(self, now):
        # While a REPL byte may come next, take none beyond it: what follows is meant for the REPL.
        watching = self._clean and not self._tend and not self.linked(now)
        n = self.stream.readinto(self._one if watching else self._chunk)
        if n:
            self._byte_at = now
            self._taken = 0
            self._have = n
            self._clean = self._watch(self._chunk[0]) if watching else not self._chunk[n - 1]
        elif now - self._byte_at > _PAUSE:
            self._receiver.reset()
            self._clean = True
            self._ctrl_c = False
        return n

    def _watch(self, byte):
        # mpremote sends CR ctrl-C CR ctrl-A, older ones CR ctrl-C ctrl-C; no packet can begin with either. Returns
        # whether the REPL may still be meant.
        known = byte == _CTRL_C or byte == _CR
        if known and self._ctrl_c and self.repl:
            self.repl_requested = True
        self._ctrl_c = byte == _CTRL_C
        return known or not byte

    # ------------------------------------------------------------ out

    def _send(self, now):
        n = self.stream.write(self._out[self._position : self._end], self._end - self._position)
        if n:
            self._position += n
            if self._position == self._end:
                self._end = 0
                self.window.sent(now)
            return ("bytecode", 50)
        return None

    def _encode(self):
        n = self._loaded
        self._loaded = -1
        if self._message:
            self._position, self._end = self._message(self._out, self._gap, n, self._type, self._id, self._seq)
        else:
            self._position = 0
            self._end = encode(self._out, self._gap, n, self._type, self._id)
        return ("viper", 3000 + 2 * n)

    def _handle(self):
        # Control does one link's command at a time; the others' wait in their receivers.
        control = self.control
        if not self._command:
            if control.link:
                return None
            control.link = self
            self._command = control.handle(self._receiver.body, self._reply)
        try:
            return next(self._command)
        except StopIteration as stop:
            n = stop.value
        self._command = control.link = None
        if self._asked >= 0:
            self._owing = True
            self._put(PACKETTYPE_REPLY, n, self._asked)
            self._asked = -1
        return ("bytecode", 500)

    def _put(self, type, n, id=-1, seq=0):
        if id < 0:
            id = self._count = (self._count + 1) & 0xFF
        self._type = type
        self._id = id
        self._seq = seq
        self._loaded = n

    def _load(self, now):
        line = self._line
        if line:
            n = len(line)
            self._body[:n] = line
            self._line = None
            self._put(PACKETTYPE_LOG, n)
            return ("bytecode", 50)
        if self._describe:
            self._describe = False
            seq = 0
            n = self.journal.read_descriptor(self._body)
        else:
            seq = self.window.choose(now)
            if not seq:
                return None
            n = self.journal.read(seq, self._body)
            if not n:
                self.window.gone()
        if n:
            self._put(PACKETTYPE_FRAME, n, -1, seq)
        return ("bytecode", 600)
