# A stream over MQTT 3.1.1 and TLS, by the conventions of Azure's IoT Hub, to any broker: frames and packets go out as
# messages, what packets come to this device are read as one stream. Knows no frame.
#
# A frame is published with quality of service 1; the broker's PUBACK frees its place among those in flight, and means
# no more, unless `stored` is set: then it is told the frame's number. Other packets may be lost, and go with 0. The
# session is a clean one: what it would keep stands in the journal. What a broker sends is bounded, and none of it kept.
from micropython import const
from packet import encode
from wire import PACKETTYPE_FRAME

from links.tls import Tls, context
from links.wifi import start

_KEEP_ALIVE = const(60)  # s
_PING = const(10_000_000)  # us without a byte until the broker is asked for one
_UNTAKEN = const(20_000_000)  # us a message waits for its PUBACK
_HAIL = const(5_000_000)  # us until it is said again that we are here, while nobody answers; doubles
_HAILS = const(4)  # times
_MOST = const(16384)  # bytes of a packet from the broker
_MOST_TOPIC = const(1024)
_PACKETS = const(7)  # and one more are read at once, so that a broker that never pauses stops nothing else
_MOST_SAID = const(64)  # bytes of our answers that wait to be written
_ROOM = const(320)  # in front of a message: what _head() makes, with a name of 64 bytes, each quoted
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_SUBACK = const(0x90)
_PINGRESP = const(0xD0)


def make(hal, config, peer):
    return Mqtt(hal, peer, context(hal, config), start(hal, config), config.device, config.window)


def _text(data):
    return bytes((len(data) >> 8, len(data) & 255)) + data


def _head(kind, n):
    return bytes((kind, n) if n < 128 else (kind, n & 127 | 128, n >> 7))  # we send less than 16 KiB


def _packet(kind, body):
    return _head(kind, len(body)) + body


def publication(topic, body):
    # one that may be lost
    return _packet(_PUBLISH, _text(topic.encode()) + body)


def _quoted(name):
    # as a level of a topic
    return "".join([chr(c) if 32 < c < 127 and chr(c) not in "/+#%" else "%%%02X" % c for c in name.encode()])


class Mqtt(Tls):
    room = _ROOM  # a Link keeps so much free in front of a body
    _most = _MOST
    ready = False  # connected and subscribed
    stored = None
    proven = False
    _next_id = 0

    def __init__(self, hal, peer, context, online, name, window):
        Tls.__init__(self, hal, peer, context, online)
        user = "%s/%s/?api-version=2021-04-12" % (self._host, name)
        body = _text(b"MQTT") + b"\4\x82" + bytes((0, _KEEP_ALIVE)) + _text(name.encode()) + _text(user.encode())
        self.hello = _packet(0x10, body)
        base = "devices/%s/messages/" % _quoted(name)
        self._down = (base + "devicebound/#",)  # what is subscribed to
        base += "events/$.ct=application%2F"
        self._topics = _text((base + "vnd.vitalwire.packets").encode()), _text((base + "cose").encode())
        self._flight = [0] * window  # packet ids; 0 is none
        self._seqs = [0] * window
        self._sent = [0] * window  # when
        self._id = self._seq = 0  # of the frame being written
        self._unsent = 0  # bytes of the message being written
        self._said = self._saying = b""  # answers to be written between two messages; those being written
        self._left = 0  # bytes of the message being read
        self._head = memoryview(bytearray(32))
        self._call = 0
        self._calls = 0

    def lose(self, why):
        self.ready = self.proven = False
        self._unsent = self._left = 0
        self._said = self._saying = b""
        for i in range(len(self._flight)):
            self._flight[i] = 0
        Tls.lose(self, why)

    def off(self):
        if self.ready and not self._begun and not self._saying:
            Tls.write(self, b"\xe0\0", 2)
        return Tls.off(self)

    def hail(self, now):
        # Whether it is time to say anything, so that who reads there knows of us.
        if not self.ready or now < self._call:
            return False
        self._call = now + (_HAIL << self._calls)
        self._calls = min(self._calls + 1, _HAILS)
        return True

    def hold(self, now):
        Tls.hold(self, now)
        for i in range(len(self._flight)):
            if self._flight[i] and now - self._sent[i] > _UNTAKEN:
                raise OSError("no PUBACK")
        if self.ready and now - self._heard > _PING and now - self._pinged > _PING:
            self._pinged = now
            self._say(b"\xc0\0")
        if self._said and not self._begun and not self._saying:
            self._saying = self._said
            self._said = b""
        if not self._saying:
            return None
        self._saying = self._saying[Tls.write(self, self._saying, len(self._saying)) or 0 :]
        return ("bytecode", 300)

    def begin(self, now):
        self._begun = False
        self._pinged = now
        self._reading = self._read()

    # ------------------------------------------------------------ out

    def _say(self, data):
        self._said += data
        if len(self._said) > _MOST_SAID:
            raise OSError("the broker takes nothing")

    def message(self, buf, body, n, type, id, seq):
        # buf[body:body+n], behind a Link's gap and `room`, becomes a message; returns where it begins and ends.
        frame = type == PACKETTYPE_FRAME
        if not frame:
            n = encode(buf[_ROOM:], body - _ROOM, n, type, id)
            body = _ROOM
        topic = self._topics[frame]
        self._seq = seq
        self._id = 0
        if frame:
            self._next_id = self._next_id % 65535 + 1
            self._id = self._next_id
            topic += bytes((self._id >> 8, self._id & 255))
        n += len(topic)
        head = _head(_PUBLISH | frame << 1, n) + topic
        start = body - len(head)
        buf[start:body] = head
        end = body - len(topic) + n
        self._unsent = end - start
        self._begun = False
        return start, end

    def write(self, buffer, n):
        if not self.ready or self._saying or (self._id and 0 not in self._flight):
            return 0
        self._begun = True
        n = Tls.write(self, buffer, n)
        if n and self.up:
            self._unsent -= n
            if not self._unsent:
                self._begun = False
                if self._id:
                    i = self._flight.index(0)
                    self._flight[i] = self._id
                    self._seqs[i] = self._seq
                    self._sent[i] = self._now
        return n

    # ------------------------------------------------------------ in

    def readinto(self, buffer):
        # bytes that are for this device
        if not self.up:
            return 0
        if not self._left:
            try:
                next(self._reading)
            except OSError as e:
                self.lose(str(e.args[0]))
            except MemoryError:
                self.lose("no memory")
        n = Tls.readinto(self, buffer[: self._left]) if self._left else 0
        if n:
            self._left -= n
        return n

    def _take(self, n):
        # the next n bytes, into _head
        have = 0
        while have < n:
            got = Tls.readinto(self, self._head[have:n])
            if got:
                have += got
            else:
                yield

    def _skip(self, n):
        while n:
            part = min(n, len(self._head))
            yield from self._take(part)
            n -= part

    _topic = _skip  # the next n bytes, a topic; returns what reads a message that is not for the device

    def _read(self):
        # packet by packet; yields while there is nothing to read but what is for this device
        head = self._head
        turns = 0
        while True:
            turns = turns + 1 & _PACKETS
            if not turns:
                yield
            yield from self._take(1)
            kind = head[0]
            n = shift = 0
            while True:
                yield from self._take(1)
                n |= (head[0] & 127) << shift
                shift += 7
                if head[0] < 128:
                    break
                if shift > 21:
                    raise OSError("a length of more than four bytes")
            if n > self._most:
                raise OSError("too long a message")
            if kind & 0xF0 == _PUBLISH and self.ready:
                yield from self._message(kind, n)
            elif kind in _ANSWERS and n == _ANSWERS[kind] + (kind == _SUBACK and len(self._down)):
                yield from self._take(n)
                self._answered(kind)
            else:
                raise OSError("not MQTT")

    def _answered(self, kind):
        head = self._head
        if kind == _CONNACK:
            if head[1] or self.ready:
                raise OSError("refused by the broker: %d" % head[1])
            # nothing else waits to be said yet
            self._said = _packet(0x82, b"\0\1" + b"".join([_text(each.encode()) + b"\1" for each in self._down]))
        elif kind == _SUBACK:
            if max(head[2 : 2 + len(self._down)]) > 1:
                raise OSError("subscription refused")
            self.ready = True
            self._calls = self._call = 0
        elif kind == _PUBACK:
            id = head[0] << 8 | head[1]
            if id in self._flight and id:
                i = self._flight.index(id)
                self._flight[i] = 0
                self.proven = True  # some accept a subscription and end the connection at what they then deny
                if self.stored and self._seqs[i]:
                    self.stored(self._seqs[i])

    def _message(self, kind, n):
        # We asked for a quality of service of at most 1.
        if kind & 6 > 2 or n < 2:
            raise OSError("not MQTT")
        yield from self._take(2)
        topic = self._head[0] << 8 | self._head[1]
        n -= 2 + topic + (kind & 2)
        if topic > _MOST_TOPIC or n < 0:
            raise OSError("too long a topic")
        read = yield from self._topic(topic)
        answer = None
        if kind & 2:
            yield from self._take(2)
            answer = b"\x40\2" + bytes(self._head[:2])
        if read:
            yield from read(n)
        else:
            self._calls = 0
            self._left = n
            while self._left:
                yield
        if answer:
            self._say(answer)


_ANSWERS = {_CONNACK: 2, _PUBACK: 2, _SUBACK: 2, _PINGRESP: 0}
