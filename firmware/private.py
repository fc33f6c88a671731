# Policy `private`: what stays readable of a frame, and the rest as COSE_Encrypt0 with AES-CCM-16-64-128 (SPEC.md
# section 5), encrypted where it stands. cryptolib has no CCM: its CBC gives the MAC, its ECB of counters the key
# stream (RFC 3610). Nobody may encrypt twice under one boot and seq.
from cbor import ARRAY, BYTES, MAP, put_bytes, put_head, put_int
from cryptolib import aes
from micropython import const
from wire import (
    AAD_PRIVATE,
    ALG_AES_CCM_16_64_128,
    CCM_TAG_SIZE,
    EVENT_BOOT,
    EVENT_DROPPED,
    HEADER_ALG,
    KEY_PRIVATE,
    KIND_DATA,
    PRIVATE_NONCE,
    pack,
)

_ECB = const(1)
_CBC = const(2)
_BLOCK = const(16)
_CHUNK = const(128)  # bytes encrypted in one slice
_HEAD = const(3)  # bytes reserved in front of the ciphertext, as for the blocks in it
_SIZED = const(2)  # bytes of a length, in CCM
_FIRST = 0x40 | (CCM_TAG_SIZE - 2) << 2 | _SIZED - 1  # flags of the MAC's first block (RFC 3610 2.2)
_COUNTER = const(_SIZED - 1)  # flags of a counter block
_PROTECTED = bytes((0xA1, HEADER_ALG, ALG_AES_CCM_16_64_128))
_STRUCTURE = b"\x83\x68Encrypt0\x43" + _PROTECTED + bytes((0x40 | len(AAD_PRIVATE),)) + AAD_PRIVATE


class Private:
    def __init__(self, key):
        self._key = key
        self._at = self._n = 0  # where the plaintext of the frame in the making stands
        self._in = memoryview(bytearray(_CHUNK))
        self._out = memoryview(bytearray(_CHUNK))

    def wrap(self, kind, fill, content, entries):
        # (fill, content, entries) of a frame's map that keeps this private
        if kind != KIND_DATA:
            told = [row for row in content if row[0] == EVENT_BOOT or row[0] == EVENT_DROPPED]
            kept = [row for row in content if not (row[0] == EVENT_BOOT or row[0] == EVENT_DROPPED)]
            if kept:
                return self._fill, (fill, told, kept, 1), 1 + bool(told)
        elif entries:
            return self._fill, (fill, None, content, entries), 1
        return fill, content, entries

    def _fill(self, buf, pos, parts):
        fill, told, kept, entries = parts
        if told:
            pos = yield from fill(buf, pos, told)
        head = self.begin(buf, pos)
        pos = yield from fill(buf, put_head(buf, head + _HEAD, MAP, entries), kept)
        return self.end(buf, head, pos)

    def begin(self, buf, pos):
        pos = put_head(buf, put_int(buf, pos, KEY_PRIVATE), ARRAY, 3)
        return put_head(buf, put_bytes(buf, pos, _PROTECTED), MAP, 0)

    def end(self, buf, head, pos):
        # The plaintext stands from head + 3 to pos; returns where its tag will end.
        start = head + _HEAD
        self._n = n = pos - start
        self._at = at = put_head(buf, head, BYTES, n + CCM_TAG_SIZE)
        if at != start:
            buf[at : at + n] = buf[start:pos]
        end = at + n + CCM_TAG_SIZE
        buf[end - 1] = 0  # or there is no room for it
        return end

    def conceal(self, buf, boot, seq):
        # what end() was last told of, in slices
        at = self._at
        n = self._n
        self._n = 0
        if not n:
            return
        block = memoryview(bytearray(_BLOCK))
        pack(PRIVATE_NONCE, block, 1, boot, seq, bytes(5))
        counters = self._in
        out = self._out
        cbc = aes(self._key, _CBC, bytes(_BLOCK))
        ecb = aes(self._key, _ECB)
        # the MAC: nonce and length, what is authenticated besides, the plaintext, each filled up with zeros
        block[0] = _FIRST
        block[14:] = n.to_bytes(2, "big")
        cbc.encrypt(block, out[:_BLOCK])
        self._padded(cbc, len(_STRUCTURE).to_bytes(2, "big") + _STRUCTURE)
        yield ("bytecode", 300)
        for i in range(at, at + n, _CHUNK):
            tag = self._padded(cbc, buf[i : min(i + _CHUNK, at + n)])
            yield ("bytecode", 60)
        block[0] = _COUNTER
        block[14:] = bytes(2)
        ecb.encrypt(block, out[:_BLOCK])
        end = at + n
        for i in range(CCM_TAG_SIZE):
            buf[end + i] = tag[i] ^ out[i]
        for i in range(0, _CHUNK, _BLOCK):
            counters[i : i + _BLOCK] = block
        count = 0
        for i in range(at, end, _CHUNK):
            for j in range(14, _CHUNK, _BLOCK):
                count += 1
                counters[j] = count >> 8
                counters[j + 1] = count & 0xFF
            ecb.encrypt(counters, out)
            part = min(_CHUNK, end - i)
            mixed = int.from_bytes(buf[i : i + part], "big") ^ int.from_bytes(out[:part], "big")
            buf[i : i + part] = mixed.to_bytes(part, "big")
            yield ("bytecode", 120)

    def _padded(self, cbc, data):
        # the last block of the MAC over at most a chunk more
        out = self._out
        n = len(data)
        whole = n & -_BLOCK
        if whole:
            cbc.encrypt(data[:whole], out[:whole])
        if whole != n:
            last = bytes(data[whole:])
            cbc.encrypt(last + bytes(_BLOCK - len(last)), out[:_BLOCK])
            whole = _BLOCK
        return bytes(out[whole - _BLOCK : whole])
