# Policy `seal`: which frame gets a MAC, and which the signature that seals all those before it (SPEC.md section 2).
from wire import KIND_DESCRIPTOR


class Seal:
    # key: of the frames' MACs. From one signature to the next come at most `frames` frames and about `us` microseconds.
    def __init__(self, key, frames, us):
        self.key = key
        self.frames = frames
        self.us = us
        self._count = 0
        self.at = -1  # ticks of the last one signed that is no descriptor

    def macs(self, kind, ticks, declares):
        # Whether a MAC is enough for the frame made now. Not for a descriptor, nor for what a reader takes the device's
        # word for: a boot's first event, and what was dropped.
        self._count += 1
        seals = kind == KIND_DESCRIPTOR or self.at < 0 or declares
        if not seals and self._count < self.frames and ticks - self.at < self.us:
            return True
        self._count = 0
        if kind != KIND_DESCRIPTOR:
            self.at = ticks
        return False
