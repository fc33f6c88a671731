# Beats of an ECG or of a pleth as they come, and the rate of the last few where they are beyond doubt: for readers who
# get no samples (links/standard.py). Integers; nothing is allocated per sample. What is not sure is None.
#
# The absolute difference over a lag, summed over a width, is high where a QRS or a systole is; a peak of it above half
# of what peaks usually are is a beat (after the slope sum of Zong, Moody and Jiang, 2003, whichever way is up).
from array import array

import micropython
from micropython import const

_ZERO = const(1 << 23)  # added to samples, because viper reads words without a sign
_LAG = const(0)  # words of a state; the line behind them holds samples and absolute differences
_WIDTH = const(1)
_AT_LAG = const(2)
_AT_WIDTH = const(3)
_SUM = const(4)  # of the differences in the line
_LEVEL = const(5)  # what peaks usually are
_HIGH = const(6)  # the highest since the sum went above the threshold, or 0
_AGE = const(7)  # samples since that
_SINCE = const(8)  # samples since the last beat
_LEAST = const(9)  # samples between two beats
_MOST = const(10)
_AREA = const(11)  # sum of the sums since the last beat, in units of 1 << _SCALE
_INTERVAL = const(12)  # of the beat that was found
_PEAK = const(13)
_MEAN = const(14)  # of the sums since the beat before
_MOVED = const(15)  # sum of the differences since clear_block(), in units of 1 << _SCALE
_LIGHT = const(16)  # of the samples, likewise
_COUNT = const(17)
_NARROW = const(18)  # whether samples have two bytes
_LINE = const(19)
_SCALE = const(6)

_BEATS = const(8)  # intervals that make a rate
_FAINT = const(1024)  # a lower peak is no beat's: too few counts to tell one from noise
_UNEVEN = const(20)  # tenths: the longest interval over the shortest, at most
# lag and width in ms; in per cent, at most: how much of its peak the mean of the sums is, in the mean and in the worst
# interval (noise has more, and so has one with a beat that was missed), and the highest peak of the lowest
ECG = (20, 100, 24, 26, 160)
PLETH = (80, 120, 40, 48, 220)


@micropython.viper
def _feed(s: ptr32, wide: ptr32, short: ptr16, size: int, place: int, count: int) -> int:
    # Takes samples up to the end of a beat, or all; returns how many are left. wide and short are the same samples.
    narrow = s[_NARROW]
    lag = s[_LAG]
    width = s[_WIDTH]
    p = s[_AT_LAG]
    q = s[_AT_WIDTH]
    total = s[_SUM]
    level = s[_LEVEL]
    high = s[_HIGH]
    age = s[_AGE]
    since = s[_SINCE]
    area = s[_AREA]
    moved = s[_MOVED]
    light = s[_LIGHT]
    s[_INTERVAL] = 0
    left = count
    while left > 0:
        left -= 1
        if narrow:
            x = ((short[place] & 0xFFFF) ^ 0x8000) + _ZERO - 0x8000
        else:
            x = (wide[place] + _ZERO) & 0xFFFFFF
        place += 1
        if place == size:
            place = 0
        y = x - s[_LINE + p]
        if y < 0:
            y = 0 - y
        s[_LINE + p] = x
        p += 1
        if p == lag:
            p = 0
        total += y - s[_LINE + lag + q]
        s[_LINE + lag + q] = y
        q += 1
        if q == width:
            q = 0
        moved += y >> 2
        light += (x - _ZERO) >> _SCALE
        area += (total + (1 << (_SCALE - 1))) >> _SCALE
        since += 1
        if high == 0:
            if total > level >> 1:
                high = total
                age = 0
        elif total > high:
            high = total
            age = 0
        else:
            age += 1
            if total < high >> 1:
                far = since - age
                if far >= s[_LEAST]:
                    s[_INTERVAL] = far
                    s[_PEAK] = high
                    s[_MEAN] = area // since
                    level += (high - level) >> 2
                    since = age
                    area = 0
                high = 0
                if s[_INTERVAL] != 0:
                    break
        if since > s[_MOST]:
            level -= level >> 2
            s[_INTERVAL] = since
            s[_PEAK] = 0
            since = 0
            area = 0
            high = 0
            break
    s[_COUNT] = s[_COUNT] + count - left
    s[_AT_LAG] = p
    s[_AT_WIDTH] = q
    s[_SUM] = total
    s[_LEVEL] = level
    s[_HIGH] = high
    s[_AGE] = age
    s[_SINCE] = since
    s[_AREA] = area
    s[_MOVED] = moved
    s[_LIGHT] = light
    return left


class Beats:
    # rate: samples a second, (numerator, denominator). kind: ECG or PLETH.
    def __init__(self, rate, kind, narrow=False):
        self.rate = rate
        self._kind = kind
        lag, width = [max(1, ms * rate[0] // (1000 * rate[1])) for ms in kind[:2]]
        self._state = array("i", bytes(4 * (_LINE + lag + width)))
        self._rows = array("i", bytes(12 * _BEATS))  # interval, peak, mean per cent of the peak
        s = self._state
        s[_LAG] = lag
        s[_WIDTH] = width
        s[_NARROW] = narrow
        s[_LEAST] = rate[0] * 24 // (100 * rate[1])
        s[_MOST] = rate[0] * 24 // (10 * rate[1])
        self._at = self._known = 0

    def doubt(self):
        # what came is not to be used, or samples are missing
        self._known = 0

    def take(self, data, size, place, count):
        # count samples of a ring's channel, from that place on
        s = self._state
        while count > 0:
            left = _feed(s, data, data, size, place, count)
            place += count - left
            if place >= size:
                place -= size
            count = left
            if s[_INTERVAL]:
                if s[_PEAK]:
                    self._beat(s)
                else:
                    self._known = 0

    def _beat(self, s):
        rows = self._rows
        i = 3 * self._at
        rows[i] = s[_INTERVAL]
        rows[i + 1] = s[_PEAK]
        rows[i + 2] = (s[_MEAN] << _SCALE) * 100 // s[_PEAK]
        self._at = (self._at + 1) % _BEATS
        self._known = min(self._known + 1, _BEATS)

    def per_minute(self):
        # in tenths, or None where the last beats are not sure
        if self._known < _BEATS:
            return None
        rows = self._rows
        _, _, usual, worst, unlike = self._kind
        short = low = 1 << 30
        long = peak = flat = flattest = total = 0
        for i in range(0, 3 * _BEATS, 3):
            n = rows[i]
            total += n
            short = min(short, n)
            long = max(long, n)
            low = min(low, rows[i + 1])
            peak = max(peak, rows[i + 1])
            flat += rows[i + 2]
            flattest = max(flattest, rows[i + 2])
        if (
            low < _FAINT
            or long * 10 > short * _UNEVEN
            or peak * 100 > low * unlike
            or flattest > worst
            or flat > usual * _BEATS
        ):
            return None
        return 600 * _BEATS * self.rate[0] // (total * self.rate[1])

    def swing(self):
        # mean difference and mean sample since the last call, each in 1 / 16 of a count, or None
        s = self._state
        n = s[_COUNT]
        found = (64 * s[_MOVED] // n, 1024 * s[_LIGHT] // n) if n else None
        s[_MOVED] = s[_LIGHT] = s[_COUNT] = 0
        return found
