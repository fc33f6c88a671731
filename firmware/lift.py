# Lift: samples to residuals, by running sums, differences and interpolation (SPEC.md, section 6). Chooses nothing but
# the best of what it is asked to compare.
# Samples are held with ZERO added, so that all words read are 0 or more: viper reads 32-bit words without a sign where
# its own are 64 bits wide. Weights add up to 1 and differences cancel, so only order 0 takes it off again.
import micropython
from micropython import const
from wire import LIFT_KERNEL_BITS, LIFT_SCALE

ZERO = const(1 << 23)  # half of 2**MAX_BITS
CHUNK = const(16)  # residuals judged together: twice the smallest sub-block; their sum fits 31 bits
_COSTS = const(8)  # words in front of scratch, then six for each residual of a chunk
SCRATCH = const(_COSTS + 6 * CHUNK)


@micropython.viper
def load(wide: ptr32, short: ptr16, narrow: int, size: int, start: int, count: int, bits: int, w: ptr32) -> int:
    # The bits that are 1 in some sample; -1 if a sample does not fit. wide and short are the same samples, and narrow
    # says whether they have two bytes.
    half = 1 << (bits - 1)
    used = 0
    wild = 0
    for i in range(count):
        if narrow:
            x = ((short[start] & 0xFFFF) ^ 0x8000) - 0x8000
        else:
            x = wide[start]
        used |= x
        wild |= (x + half) >> bits
        w[i] = (x + ZERO) & 0xFFFFFF
        start += 1
        if start == size:
            start = 0
    if wild & ((1 << (32 - bits)) - 1):
        return -1
    return used & 0xFFFFFF


@micropython.viper
def shift_out(w: ptr32, count: int, shift: int):
    for i in range(count):
        w[i] = (w[i] >> shift) + ZERO - (ZERO >> shift)


@micropython.viper
def add_lagged(w: ptr32, count: int, lag: int):
    first = w[0] - ZERO
    i = count - 1
    while i >= lag:
        w[i] = w[i] + w[i - lag] - ZERO
        i -= 1
    while i >= 0:
        w[i] = w[i] + first
        i -= 1


@micropython.viper
def differences(w: ptr32, members: int, step: int, order: int, t: ptr32, z: ptr32) -> int:
    # Residuals of the thinnest sequence into z, or with order -1 the best order, its estimate in t[order].
    for k in range(_COSTS):
        t[k] = 0
    p = 0
    at = 0
    count = 0
    x = w[0]
    d1 = d2 = a0 = a1 = a2 = a3 = 0
    for i in range(1, members):
        p += step
        r0 = w[p] - ZERO
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
        if count == CHUNK or i == members - 1:
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
def interpolate(
    w: ptr32, members: int, step: int, kernel: int, every: int, t: ptr32, table: ptr8, z: ptr32, at: int
) -> int:
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
        count = odd - done if odd - done < CHUNK else CHUNK
        g = _COSTS
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
            g = _COSTS
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
        done += CHUNK * every
    best = first
    for k in range(first, last):
        if t[k] < t[best]:
            best = k
    return best
