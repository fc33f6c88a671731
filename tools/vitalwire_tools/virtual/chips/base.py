"""What every chip model has: an oscillator of its own, timed faults, a recording to play and a log of it."""

from __future__ import annotations

import math
from array import array
from typing import ClassVar

import numpy as np

from ..faults import Fault


class Refused(Exception):  # noqa: N818 - it is the chip that refuses
    """The board did what the data sheet does not allow."""


class Oscillator:
    """Sample times in microseconds: nominal rate, drift in ppm, jitter that does not add up; reproducible."""

    def __init__(self, hertz: float, seed: int) -> None:
        self._nominal = 1e6 / hertz
        self._seed = seed
        self._period = self._nominal
        self._jitter = 0.0
        self._base = math.inf
        self._tick = 1

    def pace(self, hertz: float) -> None:
        """Change the nominal rate of a stopped oscillator; its drift goes with it."""
        self._period *= 1e6 / hertz / self._nominal
        self._nominal = 1e6 / hertz

    def start(self, now: float) -> None:
        """Begin a period now; the first sample comes at its end."""
        self._base, self._tick = now, 1

    def stop(self) -> None:
        """Take no more samples."""
        self._base = math.inf

    @property
    def running(self) -> bool:
        """Whether samples come."""
        return self._base != math.inf

    def tune(self, now: float, ppm: float, jitter: float) -> None:
        """Change drift and jitter; the phase within the present period is kept."""
        old, self._period = self._period, self._nominal / (1 + ppm * 1e-6)
        self._jitter = jitter
        if self.running:
            elapsed = (now - (self._base + (self._tick - 1) * old)) / old
            self._base, self._tick = now - elapsed * self._period, 1

    def at(self, ahead: int = 0) -> float:
        """Return the time of the next sample, or of the one `ahead` samples later, in whole microseconds."""
        if not self.running:
            return math.inf
        tick = self._tick + ahead
        mixed = (tick * 0x9E3779B97F4A7C15 + self._seed * 0xBF58476D1CE4E5B9) & (1 << 64) - 1
        mixed = ((mixed ^ mixed >> 31) * 0x94D049BB133111EB) & (1 << 64) - 1
        shift = ((mixed >> 40) / (1 << 23) - 1.0) * self._jitter
        return math.ceil(self._base + tick * self._period + shift)

    def step(self) -> None:
        """Go on to the next sample."""
        self._tick += 1


class Played:
    """Every sample a chip took, in order: its counts, when it was ready, whether the chip itself lost it again."""

    def __init__(self, channels: tuple[str, ...]) -> None:
        self.channels = channels
        self.times = array("q")
        self.counts = [array("i") for _ in channels]
        self.lost = bytearray()
        self.starts: list[int] = []  # index of the first sample after each start of the chip

    def __len__(self) -> int:
        return len(self.times)

    def add(self, time: int, counts: tuple[int, ...]) -> int:
        """Note a sample; returns its index."""
        for column, value in zip(self.counts, counts, strict=True):
            column.append(value)
        self.times.append(time)
        self.lost.append(0)
        return len(self.times) - 1


def resampled(recording: list[tuple[int, ...]], ratio: float, rails: tuple[int, int]) -> list[tuple[int, ...]]:
    """Return a recording that repeats, at `ratio` times its rate, by its Fourier series, in counts within the rails."""
    count = round(len(recording) * ratio)
    spectrum = np.fft.rfft(np.array(recording, float), axis=0)
    if count > len(recording) and len(recording) % 2 == 0:
        spectrum[-1] /= 2  # at half the rate, both of its sides stood in one
    samples = np.fft.irfft(spectrum[: count // 2 + 1], count, axis=0) * count / len(recording)
    return [tuple(row) for row in np.clip(np.rint(samples), *rails).astype(int).tolist()]


class Chip:
    """A chip on a bus. Times are microseconds of virtual time and never go back.

    Subclasses say what their registers do, take a sample (`store`), and tell when the interrupt line is low (`pulls`)
    and after how many further samples it will be (`until_pull`).
    """

    part: ClassVar[str]
    channels: ClassVar[tuple[str, ...]]
    signal: ClassVar[str] = ""  # name of the recording
    hertz: float = 1.0  # as it samples, and at first as the recording was sampled
    rails: ClassVar[tuple[int, int]] = (0, 0)

    def __init__(self, recording: list[tuple[int, ...]], faults: list[Fault], seed: int) -> None:
        self.recording = self._recording = recording
        self.played = Played(self.channels)
        self.clock = Oscillator(self.hertz, seed)
        self.active: dict[str, Fault] = {}
        self.deepest = 0  # most samples the FIFO ever held
        self.edge = -1  # first falling edge of the interrupt line that nobody has asked for yet
        self._bounds = sorted(
            [(f.start, False, f) for f in faults] + [(f.end, True, f) for f in faults if f.end < math.inf],
            key=lambda bound: bound[:2],
        )
        self._low = False
        self.power_on()

    # ---- what a subclass says

    def power_on(self) -> None:
        """Take the state of a chip that has just got power."""
        raise NotImplementedError

    def store(self, index: int) -> None:
        """Put the sample just taken where the chip keeps it."""
        raise NotImplementedError

    def held(self) -> list[int]:
        """Return the samples the chip still holds."""
        return []

    def pulls(self) -> bool:
        """Whether the chip itself pulls its interrupt line low."""
        return False

    def until_pull(self) -> int:
        """Return after how many samples it will, at least 1; 0 if it will not."""
        return 0

    # ---- time

    def advance(self, now: float) -> None:
        """Let everything happen that happens until now, in its order."""
        while True:
            bound = self._bounds[0][0] if self._bounds else math.inf
            sample = self.clock.at()
            time = min(bound, sample)
            if time > now:
                return
            if bound <= sample:
                self._turn()
            else:
                self.clock.step()
                if not self.active.keys() & {"wedged", "missing"}:
                    self._sample(int(sample))
            self.settle(int(time))

    def settle(self, now: int) -> None:
        """Look at the interrupt line after something may have changed it."""
        low = "missing" not in self.active and ("stuck_line" in self.active or self.pulls())
        if low and not self._low and self.edge < 0:
            self.edge = now
        self._low = low

    def wakes(self) -> float:
        """Return when something may next happen to the interrupt line; nothing happens before."""
        bound = self._bounds[0][0] if self._bounds else math.inf
        samples = 0 if self._low else self.until_pull()
        return min(bound, self.clock.at(samples - 1)) if samples else bound

    @property
    def low(self) -> bool:
        """Whether the interrupt line is low."""
        return self._low

    def _turn(self) -> None:
        time, ends, fault = self._bounds.pop(0)
        if ends:
            self.active.pop(fault.kind, None)
        else:
            self.active[fault.kind] = fault
        if fault.kind in {"drift", "jitter"}:
            ppm, jitter = (self.active[k].value if k in self.active else 0.0 for k in ("drift", "jitter"))
            self.clock.tune(time, ppm, jitter)
        if fault.kind == "missing":
            self.clock.stop()
            for index in self.held():
                self.played.lost[index] = 1
            self.power_on()

    def _sample(self, time: int) -> None:
        counts = self.recording[len(self.played) % len(self.recording)]
        if "saturate" in self.active or "lead_off" in self.active:
            rail = self.rails["saturate" not in self.active or self.active["saturate"].value > 0]
            counts = (rail,) * len(counts)
        self.store(self.played.add(time, counts))

    # ---- for subclasses

    def pace(self, hertz: float) -> None:
        """Sample at another rate from the next start on: the recording is resampled, with nothing above either's half.

        Its end is joined to its beginning, as it is played.
        """
        if hertz == self.hertz:
            return
        own = type(self).hertz
        self.recording = self._recording if hertz == own else resampled(self._recording, hertz / own, self.rails)
        self.hertz = hertz
        self.clock.pace(hertz)

    def begin(self) -> None:
        """Note that the FIFO is about to be emptied by command, and what that throws away."""
        for index in self.held():
            self.played.lost[index] = 1
        self.played.starts.append(len(self.played))

    def word(self, index: int, channel: int, bits: int) -> int:
        """Return a played sample as the chip shows it: two's complement or unsigned, `bits` wide."""
        return self.played.counts[channel][index] & (1 << bits) - 1


class I2cChip(Chip):
    """A chip with 8-bit registers behind a pointer that goes up by one after each byte."""

    names: ClassVar[dict[int, tuple[int, int]]] = {}  # register: (value after power-on, bits that may be written)

    def power_on(self) -> None:
        """See Chip."""
        self.registers = {address: value for address, (value, _) in self.names.items()}
        self.pointer = 0

    def select(self, register: int) -> None:
        """Set the register pointer."""
        if register not in self.names:
            raise Refused(f"{self.part}: there is no register 0x{register:02X}")
        self.pointer = register

    def read_byte(self, now: int) -> int:
        """Read where the pointer stands."""
        register = self.pointer
        if register not in self.names:
            raise Refused(f"{self.part}: there is no register 0x{register:02X} to read")
        self.pointer = self.after(register)
        return self.read(register, now) & 0xFF

    def write_byte(self, value: int, now: int) -> None:
        """Write where the pointer stands."""
        register = self.pointer
        writable = self.names.get(register, (0, 0))[1]
        if value & ~writable:
            raise Refused(f"{self.part}: 0x{value:02X} writes reserved bits of register 0x{register:02X}")
        self.pointer = self.after(register)
        self.write(register, value, now)

    def after(self, register: int) -> int:
        """Return where the pointer goes after an access."""
        return register + 1

    def read(self, register: int, now: int) -> int:
        """Return a register's value and do what reading it does."""
        return self.registers[register]

    def write(self, register: int, value: int, now: int) -> None:
        """Set a register and do what writing it does."""
        self.registers[register] = value

    def stop(self) -> None:
        """End a transfer."""


class SpiChip(Chip):
    """A chip behind a chip select, which shifts a byte in and a byte out."""

    phase: ClassVar[int] = 0  # of the clock, whose polarity is 0

    def begin_frame(self) -> None:
        """Chip select falls, having risen after the last frame."""

    def begin_transfer(self, byte_us: float) -> None:
        """More bytes come without a pause, each this long."""

    def shift(self, value: int, now: int) -> int:
        """Shift one byte in and one out."""
        raise NotImplementedError


class AnalogChip(Chip):
    """A part without registers: a voltage at one pin, a level at each of two others."""

    def read_uv(self, now: int) -> int:
        """Return the output in microvolts."""
        raise NotImplementedError

    def level(self, pin: int) -> int:
        """Return the level of the first or the second (0, 1) of its other pins."""
        raise NotImplementedError
