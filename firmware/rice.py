# Rice: residuals to bits (SPEC.md, section 6): sub-blocks, parameters, planes. z is the residuals after zigzag, group
# after group, `ends` where each group ends. Whatever is added up fits 31 bits.
import micropython
from micropython import const
from wire import LIFT_SIZE_BITS

_CLIP = const((1 << 20) - 1)  # larger residuals count as this when costs are added: 1024 of them fit 30 bits


@micropython.viper
def totals(z: ptr32, ends: ptr32, groups: int, unit: int, w: ptr32):
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
def choose_size(w: ptr32, ends: ptr32, groups: int, unit: int) -> int:
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
def choose_parameters(
    z: ptr32, ends: ptr32, groups: int, unit: int, length: int, w: ptr32, t: ptr32, limit: int
) -> int:
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
def put_planes(z: ptr32, ends: ptr32, groups: int, length: int, w: ptr32, blocks: int, out: ptr8, at: int, rest: int):
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
def clear(out: ptr8, at: int, count: int):
    for i in range(at, at + count):
        out[i] = 0


@micropython.viper
def put_bits(out: ptr8, at: int, number: int, width: int) -> int:
    # A number over zeros, most significant bit first; the bit position behind it.
    while width > 0:
        width -= 1
        if (number >> width) & 1:
            out[at >> 3] = out[at >> 3] | (128 >> (at & 7))
        at += 1
    return at
