# Runs under MicroPython: chance with a seed, and what it does to inputs.
"""Mutations; see above."""
# ruff: noqa: D102

# bytes that say something in CBOR
BORING = (0, 1, 0x17, 0x18, 0x19, 0x1B, 0x1F, 0x40, 0x58, 0x5F, 0x7F, 0x80, 0x9F, 0xA0, 0xC0, 0xD1, 0xF4, 0xF6, 0xFF)


class Chance:
    """Numerical Recipes' generator; its low bits are poor."""

    def __init__(self, seed):
        self.state = seed * 2654435761 & 0xFFFFFFFF

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % n

    def some(self, n):
        return bytes([self.below(256) for _ in range(n)])


def mutate(chance, data, others):
    """Change an input in one to four places: bits, bytes, pieces taken out, put in, doubled, or of another input."""
    for _ in range(1 + chance.below(4)):
        at = chance.below(len(data) + 1)
        n = 1 + chance.below(8)
        how = chance.below(8)
        if how == 0 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << chance.below(8)]) + data[at + 1 :]
        elif how == 1:
            data = data[:at] + bytes([BORING[chance.below(len(BORING))]]) + data[at + 1 :]
        elif how == 2:
            data = data[:at] + data[at + n :]
        elif how == 3:
            data = data[:at] + chance.some(n) + data[at:]
        elif how == 4:
            data = data[:at]
        elif how == 5:
            data = data[: at + n] + data[at:]
        elif how == 6 and others:
            other = others[chance.below(len(others))]
            data = data[:at] + other[chance.below(len(other) + 1) :]
        else:
            data = data[:at] + b"\xff" * n + data[at + n :]
    return data
