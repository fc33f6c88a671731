# CBOR (RFC 8949) in deterministic encoding and within the limits of SPEC.md section 1, into a buffer and out of one.
# Knows no meaning. A put function writes at pos and returns where the next goes; its buffer is a memoryview, so that
# ValueError or IndexError says it is full. Reading refuses with ValueError(reason), see protocol/vectors/README.md.
from micropython import const
from wire import MAX_DEPTH, MAX_ITEMS, MAX_TEXT

UINT = const(0)
NEGATIVE = const(1)
BYTES = const(2)
TEXT = const(3)
ARRAY = const(4)
MAP = const(5)
TAG = const(6)


def put_head(buf, pos, major, n):
    major <<= 5
    if n < 24:
        buf[pos] = major | n
        return pos + 1
    info = 24
    while n >> (8 << info - 24):
        info += 1
    if info > 27:
        raise ValueError("range")
    buf[pos] = major | info
    pos += 1
    end = pos + (1 << info - 24)
    buf[pos:end] = n.to_bytes(end - pos, "big")
    return end


def put_int(buf, pos, n):
    if n < 0:
        n = -1 - n
        if n >> 63:
            raise ValueError("range")
        return put_head(buf, pos, NEGATIVE, n)
    return put_head(buf, pos, UINT, n)


def put_bytes(buf, pos, data, major=BYTES):
    pos = put_head(buf, pos, major, len(data))
    end = pos + len(data)
    buf[pos:end] = data
    return end


def _order(key):
    # integers in the bytewise order of their encodings
    return key if key >= 0 else (1 << 64) - key


def put(buf, pos, item):
    if item is True or item is False:
        buf[pos] = 0xF4 + item
        return pos + 1
    if isinstance(item, int):
        return put_int(buf, pos, item)
    if isinstance(item, str):
        return put_bytes(buf, pos, item.encode(), TEXT)
    if isinstance(item, (list, tuple)):
        pos = put_head(buf, pos, ARRAY, len(item))
        for part in item:
            pos = put(buf, pos, part)
        return pos
    if isinstance(item, dict):
        pos = put_head(buf, pos, MAP, len(item))
        for key in sorted(item, key=_order):
            pos = put(buf, put_int(buf, pos, key), item[key])
        return pos
    return put_bytes(buf, pos, item)


def _utf8(data):
    # Unicode 15.0, table 3-7; bytes.decode() lets overlong forms, surrogates and stray bytes pass here
    need = 0
    low = 0x80
    high = 0xBF
    for c in data:
        if need:
            if not low <= c <= high:
                return False
            low = 0x80
            high = 0xBF
            need -= 1
        elif c > 0x7F:
            if not 0xC2 <= c <= 0xF4:
                return False
            need = 1 + (c >= 0xE0) + (c >= 0xF0)
            if c == 0xE0:
                low = 0xA0
            elif c == 0xED:
                high = 0x9F
            elif c == 0xF0:
                low = 0x90
            elif c == 0xF4:
                high = 0x8F
    return not need


class Reader:
    # Reads buf[pos:end] item by item. head() returns the major type and leaves the argument in n.
    def __init__(self, buf, pos=0, end=-1):
        self.buf = buf
        self.pos = pos
        self.end = len(buf) if end < 0 else end
        self.n = 0

    def take(self, n):
        pos = self.pos
        if n > self.end - pos:
            raise ValueError("truncated")
        self.pos = pos + n
        return self.buf[pos : pos + n]

    def head(self):
        if self.pos >= self.end:
            raise ValueError("truncated")
        first = self.buf[self.pos]
        self.pos += 1
        info = first & 31
        if info > 27:
            raise ValueError("indefinite" if info == 31 else "reserved")
        major = first >> 5
        if major == 7:
            if info & 30 != 20:
                raise ValueError("float" if info > 24 else "simple")
            self.n = info & 1
        elif info < 24:
            self.n = info
        else:
            self.n = n = int.from_bytes(self.take(1 << info - 24), "big")
            if n < 24 or info > 24 and not n >> (4 << info - 24):
                raise ValueError("not-deterministic")
        return major

    def data(self):
        # the byte string that comes next, not copied if buf is a memoryview
        if self.head() != BYTES:
            raise ValueError("form")
        return self.take(self.n)

    def item(self, depth=0):
        if self.pos < self.end and 0xC0 <= self.buf[self.pos] < 0xDC:
            raise ValueError("tag")
        major = self.head()
        n = self.n
        if major == UINT:
            return n
        if major == NEGATIVE:
            if n >> 63:
                raise ValueError("range")
            return -1 - n
        if major == BYTES:
            return bytes(self.take(n))
        if major == TEXT:
            if n > MAX_TEXT:
                raise ValueError("text")
            text = bytes(self.take(n))
            if not _utf8(text):
                raise ValueError("utf8")
            return text.decode()
        if major > TAG:
            return n == 1
        if depth == MAX_DEPTH:
            raise ValueError("depth")
        if n > MAX_ITEMS:
            raise ValueError("items")
        depth += 1
        if major == ARRAY:
            return [self.item(depth) for _ in range(n)]
        entries = {}
        last = -1
        for _ in range(n):
            key = self.item(depth)
            if not isinstance(key, int):  # here a bool is none
                raise ValueError("key-type")
            order = _order(key)
            if order <= last:
                raise ValueError("duplicate-key" if key in entries else "not-deterministic")
            last = order
            entries[key] = self.item(depth)
        return entries


def decode(buf, pos=0, end=-1):
    # the one item that buf[pos:end] is
    reader = Reader(buf, pos, end)
    item = reader.item()
    if reader.pos != reader.end:
        raise ValueError("trailing")
    return item
