# AES-128 for the 32-bit MicroPython build, which has no cryptolib: as much of that as private.py asks for, by hand
# (FIPS 197). Slow and full of leaks, for tests alone; the vectors hold it to the real one.

_SBOX = bytearray(256)
p = q = 1
while True:
    p = p ^ (p << 1) & 0xFF ^ (0x1B if p & 0x80 else 0)
    q ^= q << 1
    q ^= q << 2
    q ^= q << 4
    q &= 0xFF
    if q & 0x80:
        q ^= 0x09
    x = q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4)
    _SBOX[p] = (x ^ 0x63) & 0xFF
    if p == 1:
        break
_SBOX[0] = 0x63


def _doubled(a):
    return (a << 1) & 0xFF ^ (0x1B if a & 0x80 else 0)


class aes:  # noqa: N801 - MicroPython's name
    """Encrypts whole blocks in mode 1 (ECB) or 2 (CBC), which goes on from call to call."""

    def __init__(self, key, mode, iv=None):
        words = [list(key[i : i + 4]) for i in range(0, 16, 4)]
        constant = 1
        for i in range(4, 44):
            word = words[i - 1]
            if not i & 3:
                word = [_SBOX[word[1]] ^ constant, _SBOX[word[2]], _SBOX[word[3]], _SBOX[word[0]]]
                constant = _doubled(constant)
            words.append([a ^ b for a, b in zip(words[i - 4], word)])  # noqa: B905 - no strict in MicroPython
        self._keys = [[byte for word in words[i : i + 4] for byte in word] for i in range(0, 44, 4)]
        self._chain = bytes(iv) if mode == 2 else None

    def _block(self, data):
        state = [a ^ b for a, b in zip(data, self._keys[0])]  # noqa: B905
        for number in range(1, 11):
            state = [_SBOX[state[(5 * i) & 15]] for i in range(16)]
            if number < 10:
                mixed = []
                for i in range(0, 16, 4):
                    column = state[i : i + 4]
                    every = column[0] ^ column[1] ^ column[2] ^ column[3]
                    mixed += [column[j] ^ every ^ _doubled(column[j] ^ column[(j + 1) & 3]) for j in range(4)]
                state = mixed
            state = [a ^ b for a, b in zip(state, self._keys[number])]  # noqa: B905
        return bytes(state)

    def encrypt(self, data, out):
        """Encrypt into `out`."""
        if len(data) & 15 or len(out) < len(data):
            raise ValueError
        for i in range(0, len(data), 16):
            block = bytes(data[i : i + 16])
            if self._chain is not None:
                block = bytes([a ^ b for a, b in zip(block, self._chain)])  # noqa: B905
            block = self._block(block)
            out[i : i + 16] = block
            if self._chain is not None:
                self._chain = block
