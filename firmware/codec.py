# Codec: samples of one channel to one block (SPEC.md, section 6). The device never reads a block.
# Every choice here is the writer's own; sdk/vitalwire/codec/encode.py makes the same ones and the same bytes.
from array import array

import micropython
from lift import CHUNK, SCRATCH, ZERO, add_lagged, differences, interpolate, load, shift_out
from micropython import const
from rice import choose_parameters, choose_size, clear, put_bits, put_planes, totals
from wire import (
    CODING_BITS,
    CODING_LIFT,
    CODING_RAW,
    LIFT_KERNEL_BITS,
    LIFT_LEVELS_BITS,
    LIFT_ORDER_BITS,
    LIFT_PARAMETER_BITS,
    LIFT_SHIFT_BITS,
    LIFT_SIZE_BITS,
    LIFT_SUM_BITS,
    LIFT_UNIT,
    LIFT_WEIGHTS,
    MAX_BITS,
    put_varint,
)

_PROBE = const(128)  # samples from which the running sum is chosen
_SUMS = const(3)  # running sums of 1, 2 and 4 samples are tried
_EVERY = const(4)  # one chunk in so many chooses the kernel


@micropython.viper
def put_raw(w: ptr32, count: int, bits: int, out: ptr8, at: int):
    held = 0
    word = 0
    for i in range(count):
        word = ((word & 127) << bits) | ((w[i] - int(ZERO)) & ((1 << bits) - 1))
        held += bits
        while held > 7:
            held -= 8
            out[at] = (word >> held) & 255
            at += 1
    if held:
        out[at] = (word << (8 - held)) & 255


class Encoder:
    # Holds the scratch for blocks of up to max_count samples: 8 bytes a sample.
    def __init__(self, max_count):
        self._w = array("i", bytes(4 * max_count + 32))
        self._z = array("i", bytes(4 * max_count))
        self._t = array("i", bytes(4 * SCRATCH))
        self._ends = array("i", bytes(4 << LIFT_LEVELS_BITS))
        self._kernels = bytearray((1 << LIFT_LEVELS_BITS) - 1)

    # About how many loop iterations a block of so many samples costs; `vitalwire bench device` measures it.
    def steps(self, count):
        return 95 * count

    # One block into out from pos on: head and body of `count` samples from index `start` of a ring, an array of 'i' or,
    # `narrow`, of 'h'; the position behind it. ValueError for what is out of range, then nothing of out in front of pos
    # has changed.
    def encode(self, ring, start, count, bits, out, pos, narrow=False):
        size = len(ring)
        raw = (count * bits + 7) >> 3
        if not (0 < count <= len(self._z) and count <= size and 0 <= start < size and 0 < bits <= MAX_BITS):
            raise ValueError("block")
        if len(out) - pos < raw + 3:
            raise ValueError("space")
        w = self._w
        used = load(ring, ring, narrow, size, start, count, bits, w)
        if used < 0:
            raise ValueError("sample")
        if count > 1:
            shift = 0
            while used and shift < (1 << LIFT_SHIFT_BITS) - 1 and not used >> shift & 1:
                shift += 1
            end = self._lift(ring, start, count, bits, shift, out, pos, raw, narrow)
            if end:
                return end
            load(ring, ring, narrow, size, start, count, bits, w)
        pos = put_varint(out, pos, raw << CODING_BITS | CODING_RAW)
        put_raw(w, count, bits, out, pos)
        return pos + raw

    def _lift(self, ring, start, count, bits, shift, out, pos, raw, narrow):
        w = self._w
        z = self._z
        t = self._t
        ends = self._ends
        kernels = self._kernels
        if shift:
            shift_out(w, count, shift)
        first = w[0] - ZERO
        width = bits - shift

        # The running sum that pays before lifting; t holds the estimate of each order.
        log = tried = 0
        probe = min(count, _PROBE)
        best = t[differences(w, probe, 1, -1, t, z)]
        while tried < _SUMS - 1 and width + tried < MAX_BITS:
            add_lagged(w, probe, 1 << tried)
            tried += 1
            cost = t[differences(w, probe, 1, -1, t, z)] + (probe >> 1)
            if cost < best:
                best = cost
                log = tried
        load(ring, ring, narrow, len(ring), start, count, bits, w)
        if shift:
            shift_out(w, count, shift)
        for k in range(log):
            add_lagged(w, count, 1 << k)

        # Order and levels. A level's residuals go where they belong in any case: before those of the denser levels.
        level = levels = order = spent = 0
        best = -1
        at = count - 1
        while True:
            members = at + 1
            k = differences(w, members, 1 << level, -1, t, z)
            if best < 0 or spent + t[k] < best:
                best = spent + t[k]
                order = k
                levels = level
            if members < CHUNK or level == len(kernels):
                break
            k = interpolate(w, members, 1 << level, -1, _EVERY, t, LIFT_WEIGHTS, z, 0)
            kernels[level] = k
            at -= members >> 1
            interpolate(w, members, 1 << level, k, 1, t, LIFT_WEIGHTS, z, at)
            spent += t[k] + LIFT_KERNEL_BITS
            level += 1
        groups = 0
        for level in range(levels, -1, -1):
            ends[groups] = ((count + (1 << level) - 1) >> level) - 1
            groups += 1
        differences(w, ends[0] + 1, 1 << levels, order, t, z)

        # Sub-blocks: the samples in w are no longer needed.
        totals(z, ends, groups, LIFT_UNIT, w)
        size = choose_size(w, ends, groups, LIFT_UNIT)
        length = LIFT_UNIT << size
        head = (
            LIFT_ORDER_BITS + LIFT_LEVELS_BITS + LIFT_SIZE_BITS + LIFT_PARAMETER_BITS + LIFT_SHIFT_BITS + LIFT_SUM_BITS
        )
        head += LIFT_KERNEL_BITS * levels + width
        blocks = choose_parameters(z, ends, groups, LIFT_UNIT, length, w, t, 8 * raw)
        total = (head + t[0] + t[1] + 7) >> 3
        if not blocks or total >= raw:
            return 0

        pos = put_varint(out, pos, total << CODING_BITS | CODING_LIFT)
        clear(out, pos, total)
        at = put_bits(out, pos << 3, order, LIFT_ORDER_BITS)
        at = put_bits(out, at, levels, LIFT_LEVELS_BITS)
        at = put_bits(out, at, size, LIFT_SIZE_BITS)
        at = put_bits(out, at, w[0], LIFT_PARAMETER_BITS)
        at = put_bits(out, at, shift, LIFT_SHIFT_BITS)
        at = put_bits(out, at, log, LIFT_SUM_BITS)
        for level in range(levels - 1, -1, -1):
            at = put_bits(out, at, kernels[level], LIFT_KERNEL_BITS)
        at = put_bits(out, at, first, width)
        put_planes(z, ends, groups, length, w, blocks, out, at, at + t[0])
        return pos + total
