# Heart rate, pulse rate and SpO2 of the sensors that run, estimated as samples pass through their rings. Tenths of a
# minute's beats and of a per cent; None where it is not sure. Takes nothing out of a ring.
from micropython import const
from pulse import ECG, PLETH, Beats

_LOOK = const(250_000)  # us between two looks at the rings
_WINDOW = const(8_000_000)  # us of light that make one ratio
_COST = const(25)  # about what a sample costs, in viper's loop iterations
_ALIKE = const(20)  # the rates of both colours differ by one in so many at most
_PERFUSION = const(3000)  # steady light over its mean change, at most
_TYPICAL = ((110, 0), (-25, 0))  # SpO2 = 110 - 25 R: where nobody calibrated (Webster 1997, chapter 10)
_LEAST = const(700)
_MOST = const(1020)
_FULL = const(1000)


class Follower:
    # The beats of one channel of a stream. Whatever is missing or marked makes them doubtful.
    def __init__(self, stream, channel, kind):
        self._ring = stream.ring
        self._stream = stream
        self._data = stream.ring.data[channel]
        self.beats = Beats(stream.sensor.RATE, kind, stream.sensor.BITS <= 16)
        self._seen = 0

    def take(self):
        # returns how many samples there were
        ring = self._ring
        size = ring.size
        if self._seen > ring.head:
            self._seen -= size  # the ring has wrapped
        n = ring.head - self._seen
        if not self._stream.up or n > size:
            self.beats.doubt()
            n = 0
        elif self._marked():
            self.beats.doubt()
        if n:
            # what was consumed meanwhile is still in its place
            self.beats.take(self._data, size, (self._seen + size) % size, n)
        self._seen = ring.head
        return n

    def _marked(self):
        marks = self._ring.marks
        for i in range(2, 4 * self._ring.runs, 4):
            if marks[i] + marks[i + 1] > self._seen:
                return True
        return False


class Vitals:
    # curve: the oximeter's calibration as a descriptor has it, or nothing. battery: as in board.py. charge: whole per
    # cent, by the voltage.
    heart = pulse = spo2 = charge = None
    measures_spo2 = False

    def __init__(self, app, curve, battery):
        self._cell = battery and app.scalars[0].sensor
        self.measures_charge = bool(battery)
        if battery:
            self._empty, self._full = battery[3:]
        self._ticks = app.hal.ticks
        self._curve = curve or _TYPICAL
        self._followers = []
        self._ecg = self._light = None
        for stream in app.streams:
            names = stream.sensor.CHANNELS
            for channel in range(len(names)):
                if names[channel].startswith("ecg") and not self._ecg:
                    self._ecg = self._follow(stream, channel, ECG)
                elif names[channel] == "ppg_ir":
                    self._light = self._follow(stream, channel, PLETH)
                elif names[channel] == "ppg_red":
                    self._red = self._follow(stream, channel, PLETH)
                    self.measures_spo2 = True
        self._due = self._window = 0

    def _follow(self, stream, channel, kind):
        follower = Follower(stream, channel, kind)
        self._followers.append(follower)
        return follower.beats

    def step(self):
        # one look, where it is due: (kind, units) of the work, or None
        now = self._ticks()
        if now < self._due:
            return None
        self._due = now + _LOOK
        n = 0
        for follower in self._followers:
            n += follower.take()
        self.pulse = self._light and self._light.per_minute()
        self.heart = self._ecg.per_minute() if self._ecg else self.pulse
        red = self._red.per_minute() if self.measures_spo2 else None
        if red is None or self.pulse is None or abs(red - self.pulse) * _ALIKE > self.pulse:
            self.spo2 = None
            self._window = 0
        elif not self._window:
            self._red.swing()
            self._light.swing()
            self._window = now + _WINDOW
        elif now >= self._window:
            self._window = now + _WINDOW
            self.spo2 = self._saturation(self._red.swing(), self._light.swing())
        if self._cell and self._cell.millivolt:
            share = 100 * (self._cell.millivolt - self._empty) // (self._full - self._empty)
            self.charge = max(0, min(share, 100))
        return ("viper", _COST * n)

    def _saturation(self, red, infrared):
        moved, light = red
        by, of = infrared
        if min(light, of) <= 0 or moved * _PERFUSION < light or by * _PERFUSION < of:
            return None
        ratio = moved * of / (by * light)
        value = 0
        for power in range(len(self._curve)):
            mantissa, exponent = self._curve[power]
            value += mantissa * 10.0**exponent * ratio**power
        value = int(10 * value + 0.5)
        return min(value, _FULL) if _LEAST <= value <= _MOST else None
