# Codec: samples of one channel to one block (SPEC.md, section 6). The device never reads a block.
# Every choice here is the writer's own; sdk/vitalwire/codec/encode.py makes the same ones and the same bytes.
# Samples are held with 2^23 added, so that all words read are 0 or more: viper reads 32-bit words without a sign where
# its own are 64 bits wide. Weights add up to 1 and differences cancel, so only order 0 takes it off again.
from array import array

import micropython
from micropython import const
from wire import (
    CODING_BITS,
    CODING_LIFT,
    CODING_RAW,
    LIFT_KERNEL_BITS,
    LIFT_LEVELS_BITS,
    LIFT_ORDER_BITS,
    LIFT_PARAMETER_BITS,
    LIFT_SCALE,
    LIFT_SHIFT_BITS,
    LIFT_SIZE_BITS,
    LIFT_SUM_BITS,
    LIFT_UNIT,
    LIFT_WEIGHTS,
    MAX_BITS,
    put_varint,
)

_ZERO = const(1 << 23)  # what is added to every sample
_CHUNK = const(16)  # residuals judged together: twice the smallest sub-block; their sum fits 31 bits
_CLIP = const((1 << 20) - 1)  # larger residuals count as this: 1024 of them fit 30 bits
_PROBE = const(128)  # samples from which the running sum is chosen
_SUMS = const(3)  # running sums of 1, 2 and 4 samples are tried
_EVERY = const(4)  # one chunk in so many chooses the kernel
_GATHER = const(8)  # in scratch: costs first, then six words for each residual of a chunk


@micropython.viper
def _load(source: ptr32, size: int, start: int, count: int, bits: int, w: ptr32) -> int:
    # The bits that are 1 in some sample; -1 if a sample does not fit.
    half = 1 << (bits - 1)
    used = 0
    wild = 0
    for i in range(count):
        x = source[start]
        used |= x
        wild |= (x + half) >> bits
        w[i] = (x + _ZERO) & 0xFFFFFF
        start += 1
        if start == size:
            start = 0
    if wild & ((1 << (32 - bits)) - 1):
        return -1
    return used & 0xFFFFFF


@micropython.viper
def _shift(w: ptr32, count: int, shift: int):
    for i in range(count):
        w[i] = (w[i] >> shift) + _ZERO - (_ZERO >> shift)


@micropython.viper
def _sum(w: ptr32, count: int, lag: int):
    first = w[0] - _ZERO
    i = count - 1
    while i >= lag:
        w[i] = w[i] + w[i - lag] - _ZERO
        i -= 1
    while i >= 0:
        w[i] = w[i] + first
        i -= 1


@micropython.viper
def _base(w: ptr32, members: int, step: int, order: int, t: ptr32, z: ptr32) -> int:
    # Residuals of the thinnest sequence into z, or with order -1 the best order, its estimate in t[order].
    for k in range(_GATHER):
        t[k] = 0
    p = 0
    at = 0
    count = 0
    x = w[0]
    d1 = d2 = a0 = a1 = a2 = a3 = 0
    for i in range(1, members):
        p += step
        r0 = w[p] - _ZERO
        r1 = w[p] - x
        x = w[p]
        r2 = r1
        if i > 1:
            r2 = r1 - d1
        r3 = r2
        if i > 2:
            r3 = r2 - d2
        d1 = r1
        d2 = r2
        if order >= 0:
            r = r0
            if order == 1:
                r = r1
            elif order == 2:
                r = r2
            elif order == 3:
                r = r3
            if r < 0:
                r = -1 - r - r
            else:
                r += r
            z[at] = r
            at += 1
            continue
        a0 += r0 if r0 >= 0 else 0 - r0
        a1 += r1 if r1 >= 0 else 0 - r1
        a2 += r2 if r2 >= 0 else 0 - r2
        a3 += r3 if r3 >= 0 else 0 - r3
        count += 1
        if count == _CHUNK or i == members - 1:
            t[4] = a0
            t[5] = a1
            t[6] = a2
            t[7] = a3
            for k in range(4):
                a = t[4 + k]
                if a:
                    s = 0
                    while (count << s) <= a:
                        s += 1
                    t[k] = t[k] + count * (s + 1) + ((a << 1) >> s)
            count = a0 = a1 = a2 = a3 = 0
    best = 0
    for k in range(1, 4):
        if k < members and t[k] < t[best]:
            best = k
    return best


@micropython.viper
def _odd(w: ptr32, members: int, step: int, kernel: int, every: int, t: ptr32, table: ptr8, z: ptr32, at: int) -> int:
    # Residuals of the odd members by a kernel into z from `at` on, their estimate in t[kernel]; or with kernel -1 the
    # best kernel, judged by one chunk in `every`.
    scale = int(LIFT_SCALE)
    kernels = 1 << int(LIFT_KERNEL_BITS)
    half = 1 << (scale - 1)
    odd = members >> 1
    lag = step << 1
    end = (members - odd - 1) * lag
    inner = 3 * lag
    first = kernel
    last = kernel + 1
    if kernel < 0:
        first = 0
        last = kernels
    for k in range(first, last):
        t[k] = 0
    done = 0
    while done < odd:
        count = odd - done if odd - done < _CHUNK else _CHUNK
        g = _GATHER
        p = done * lag
        for i in range(count):
            t[g] = w[p + step]
            t[g + 1] = w[p]
            a = p
            b = p + lag
            p = b
            if a >= inner and b + inner <= end:
                t[g + 2] = w[a] + w[b]
                t[g + 3] = w[a - lag] + w[b + lag]
                t[g + 4] = w[a - lag - lag] + w[b + lag + lag]
                t[g + 5] = w[a - inner] + w[b + inner]
            else:
                for j in range(2, 6):
                    t[g + j] = w[a if a > 0 else 0] + w[b if b < end else end]
                    a -= lag
                    b += lag
            g += 6
        for k in range(first, last):
            w0 = (table[4 * k] ^ 128) - 128
            w1 = (table[4 * k + 1] ^ 128) - 128
            w2 = (table[4 * k + 2] ^ 128) - 128
            w3 = (table[4 * k + 3] ^ 128) - 128
            total = 0
            g = _GATHER
            for i in range(count):
                if k:
                    r = t[g] - ((w0 * t[g + 2] + w1 * t[g + 3] + w2 * t[g + 4] + w3 * t[g + 5] + half) >> scale)
                else:
                    r = t[g] - t[g + 1]
                g += 6
                if r >= 0:
                    total += r
                    r += r
                else:
                    total -= r
                    r = -1 - r - r
                if kernel >= 0:
                    z[at + i] = r
            if total:
                s = 0
                while (count << s) <= total:
                    s += 1
                t[k] = t[k] + count * (s + 1) + ((total << 1) >> s)
        at += count
        done += _CHUNK * every
    best = first
    for k in range(first, last):
        if t[k] < t[best]:
            best = k
    return best


@micropython.viper
def _totals(z: ptr32, ends: ptr32, groups: int, unit: int, w: ptr32):
    # Sums of the smallest sub-blocks into w.
    n = 0
    i = 0
    for group in range(groups):
        while i < ends[group]:
            total = 0
            stop = i + unit
            if stop > ends[group]:
                stop = ends[group]
            while i < stop:
                total += z[i] if z[i] < _CLIP else _CLIP
                i += 1
            w[n] = total
            n += 1


@micropython.viper
def _size(w: ptr32, ends: ptr32, groups: int, unit: int) -> int:
    # The cheapest sub-block size by estimate; once the last group, the longest, is in one piece, all cost the same.
    longest = ends[groups - 1]
    if groups > 1:
        longest -= ends[groups - 2]
    best = -1
    choice = 0
    for size in range(1 << int(LIFT_SIZE_BITS)):
        if size and (unit << (size - 1)) >= longest:
            break
        cost = 0
        was = -1
        n = 0
        i = 0
        for group in range(groups):
            while i < ends[group]:
                length = unit << size
                if length > ends[group] - i:
                    length = ends[group] - i
                i += length
                half = 0
                left = length
                while left > 0:
                    half += w[n]
                    n += 1
                    left -= unit
                half >>= 1
                k = 0
                while (length << k) <= half:
                    k += 1
                if half:
                    cost += length * (k + 1) + ((half << 1) >> k)
                if was > k:
                    cost += 2 * (was - k)
                elif was >= 0:
                    cost += 2 * (k - was) + 1
                was = k
        if best < 0 or cost < best:
            best = cost
            choice = size
    return choice


@micropython.viper
def _choose(z: ptr32, ends: ptr32, groups: int, unit: int, length: int, w: ptr32, t: ptr32, limit: int) -> int:
    # The parameter of each sub-block over the sums in w; t[0] is the bits of the unary plane, t[1] those of the other.
    # Returns how many sub-blocks there are, 0 if the planes do not stay below the limit.
    n = 0
    blocks = 0
    i = 0
    unary = 0
    rest = 0
    was = -1
    for group in range(groups):
        while i < ends[group]:
            stop = i + length
            if stop > ends[group]:
                stop = ends[group]
            count = stop - i
            total = 0
            left = count
            while left > 0:
                total += w[n]
                n += 1
                left -= unit
            p = 0
            if total:
                k = 0
                while (count << (k + 2)) <= total:
                    k += 1
                q0 = q1 = q2 = 0
                while i < stop:
                    q = z[i] >> k
                    i += 1
                    q0 += q if q < _CLIP else _CLIP
                    q >>= 1
                    q1 += q if q < _CLIP else _CLIP
                    q >>= 1
                    q2 += q if q < _CLIP else _CLIP
                if q1 + count < q0:
                    k += 1
                    q0 = q1
                    if q2 + count < q1:
                        k += 1
                        q0 = q2
                elif q2 + count + count < q0:
                    k += 2
                    q0 = q2
                p = k + 1
                unary += q0 + count
                rest += k * count
            i = stop
            if was > p:
                unary += 2 * (was - p)
            elif was >= 0:
                unary += 2 * (p - was) + 1
            was = p
            w[blocks] = p
            blocks += 1
            if unary + rest >= limit:
                return 0
    t[0] = unary
    t[1] = rest
    return blocks


@micropython.viper
def _planes(z: ptr32, ends: ptr32, groups: int, length: int, w: ptr32, blocks: int, out: ptr8, at: int, rest: int):
    # Parameters and quotients from bit `at` on, remainders from bit `rest` on, over zeros.
    for n in range(1, blocks):
        d = w[n] - w[n - 1]
        at += d + d if d >= 0 else -1 - d - d
        out[at >> 3] = out[at >> 3] | (128 >> (at & 7))
        at += 1
    held = rest & 7
    rest >>= 3
    word = 0
    n = 0
    i = 0
    for group in range(groups):
        while i < ends[group]:
            stop = i + length
            if stop > ends[group]:
                stop = ends[group]
            k = w[n] - 1
            n += 1
            if k < 0:
                i = stop
            mask = (1 << (k & 31)) - 1
            while i < stop:
                at += z[i] >> k
                out[at >> 3] = out[at >> 3] | (128 >> (at & 7))
                at += 1
                # Up to 7 bits wait, k is at most 20 (_CLIP).
                word = (word << k) | (z[i] & mask)
                i += 1
                held += k
                while held > 7:
                    held -= 8
                    out[rest] = out[rest] | ((word >> held) & 255)
                    rest += 1
                word &= 127
    if held:
        out[rest] = out[rest] | ((word << (8 - held)) & 255)


@micropython.viper
def _raw(w: ptr32, count: int, bits: int, out: ptr8, at: int):
    held = 0
    word = 0
    for i in range(count):
        word = ((word & 127) << bits) | ((w[i] - _ZERO) & ((1 << bits) - 1))
        held += bits
        while held > 7:
            held -= 8
            out[at] = (word >> held) & 255
            at += 1
    if held:
        out[at] = (word << (8 - held)) & 255


@micropython.viper
def _clear(out: ptr8, at: int, count: int):
    for i in range(at, at + count):
        out[i] = 0


@micropython.viper
def _put(out: ptr8, at: int, number: int, width: int) -> int:
    # A number over zeros, most significant bit first; the bit position behind it.
    while width > 0:
        width -= 1
        if (number >> width) & 1:
            out[at >> 3] = out[at >> 3] | (128 >> (at & 7))
        at += 1
    return at


class Encoder:
    # Holds the scratch for blocks of up to max_count samples: 8 bytes a sample.
    def __init__(self, max_count):
        self._w = array("i", bytes(4 * max_count + 32))
        self._z = array("i", bytes(4 * max_count))
        self._t = array("i", bytes(4 * (_GATHER + 6 * _CHUNK)))
        self._ends = array("i", bytes(4 << LIFT_LEVELS_BITS))
        self._kernels = bytearray((1 << LIFT_LEVELS_BITS) - 1)

    # About how many loop iterations a block of so many samples costs.
    def steps(self, count):
        return 40 * count

    # One block into out from pos on: head and body of `count` samples from index `start` of a ring; the position
    # behind it. ValueError for what is out of range, then nothing of out in front of pos has changed.
    def encode(self, ring, start, count, bits, out, pos):
        size = len(ring)
        raw = (count * bits + 7) >> 3
        if not (0 < count <= len(self._z) and count <= size and 0 <= start < size and 0 < bits <= MAX_BITS):
            raise ValueError("block")
        if len(out) - pos < raw + 3:
            raise ValueError("space")
        w = self._w
        used = _load(ring, size, start, count, bits, w)
        if used < 0:
            raise ValueError("sample")
        if count > 1:
            shift = 0
            while used and shift < (1 << LIFT_SHIFT_BITS) - 1 and not used >> shift & 1:
                shift += 1
            end = self._lift(ring, start, count, bits, shift, out, pos, raw)
            if end:
                return end
            _load(ring, size, start, count, bits, w)
        pos = put_varint(out, pos, raw << CODING_BITS | CODING_RAW)
        _raw(w, count, bits, out, pos)
        return pos + raw

    def _lift(self, ring, start, count, bits, shift, out, pos, raw):
        w = self._w
        z = self._z
        t = self._t
        ends = self._ends
        kernels = self._kernels
        if shift:
            _shift(w, count, shift)
        first = w[0] - _ZERO
        width = bits - shift

        # The running sum that pays before lifting; t holds the estimate of each order.
        log = tried = 0
        probe = min(count, _PROBE)
        best = t[_base(w, probe, 1, -1, t, z)]
        while tried < _SUMS - 1 and width + tried < MAX_BITS:
            _sum(w, probe, 1 << tried)
            tried += 1
            cost = t[_base(w, probe, 1, -1, t, z)] + (probe >> 1)
            if cost < best:
                best = cost
                log = tried
        _load(ring, len(ring), start, count, bits, w)
        if shift:
            _shift(w, count, shift)
        for k in range(log):
            _sum(w, count, 1 << k)

        # Order and levels. A level's residuals go where they belong in any case: before those of the denser levels.
        level = levels = order = spent = 0
        best = -1
        at = count - 1
        while True:
            members = at + 1
            k = _base(w, members, 1 << level, -1, t, z)
            if best < 0 or spent + t[k] < best:
                best = spent + t[k]
                order = k
                levels = level
            if members < _CHUNK or level == len(kernels):
                break
            k = _odd(w, members, 1 << level, -1, _EVERY, t, LIFT_WEIGHTS, z, 0)
            kernels[level] = k
            at -= members >> 1
            _odd(w, members, 1 << level, k, 1, t, LIFT_WEIGHTS, z, at)
            spent += t[k] + LIFT_KERNEL_BITS
            level += 1
        groups = 0
        for level in range(levels, -1, -1):
            ends[groups] = ((count + (1 << level) - 1) >> level) - 1
            groups += 1
        _base(w, ends[0] + 1, 1 << levels, order, t, z)

        # Sub-blocks: the samples in w are no longer needed.
        _totals(z, ends, groups, LIFT_UNIT, w)
        size = _size(w, ends, groups, LIFT_UNIT)
        length = LIFT_UNIT << size
        head = (
            LIFT_ORDER_BITS + LIFT_LEVELS_BITS + LIFT_SIZE_BITS + LIFT_PARAMETER_BITS + LIFT_SHIFT_BITS + LIFT_SUM_BITS
        )
        head += LIFT_KERNEL_BITS * levels + width
        blocks = _choose(z, ends, groups, LIFT_UNIT, length, w, t, 8 * raw)
        total = (head + t[0] + t[1] + 7) >> 3
        if not blocks or total >= raw:
            return 0

        pos = put_varint(out, pos, total << CODING_BITS | CODING_LIFT)
        _clear(out, pos, total)
        at = _put(out, pos << 3, order, LIFT_ORDER_BITS)
        at = _put(out, at, levels, LIFT_LEVELS_BITS)
        at = _put(out, at, size, LIFT_SIZE_BITS)
        at = _put(out, at, w[0], LIFT_PARAMETER_BITS)
        at = _put(out, at, shift, LIFT_SHIFT_BITS)
        at = _put(out, at, log, LIFT_SUM_BITS)
        for level in range(levels - 1, -1, -1):
            at = _put(out, at, kernels[level], LIFT_KERNEL_BITS)
        at = _put(out, at, first, width)
        _planes(z, ends, groups, length, w, blocks, out, at, at + t[0])
        return pos + total
