"""The verdict by chain is the verdict by signatures, whatever is done to a record, and both say what was done."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator, Mapping

import pytest

from vitalwire.registry import Registry
from vitalwire.session import Reason
from vitalwire.testing import FakeDevice, flipped, forged, high_s, remade, unprotected
from vitalwire.verdict import DeviceVerdict, Verdict, Verifier, tally, verifier, verify
from vitalwire_protocol.spec import Key

NOW = 1_790_000_000_000_000


def enrolled(*devices: FakeDevice) -> Registry:
    """Return a registry that trusts these devices."""
    registry = Registry()
    for device in devices:
        registry.enrol(device.thumbprint, device.name)
    return registry


def both(
    frames: list[bytes] | list[tuple[bytes, int | None]],
    registry: Registry,
    anchors: Mapping[bytes, tuple[int, bytes]] | None = None,
) -> Verdict:
    """Return the verdict by chain, which must be that by signatures."""
    by_chain = verify(frames, registry, anchors=anchors)
    assert by_chain == verify(frames, registry, by_chain=False, anchors=anchors)
    assert by_chain.frames == len(frames)
    return by_chain


def only(verdict: Verdict) -> DeviceVerdict:
    """Return the only device's verdict."""
    (device,) = verdict.devices
    return device


DEVICE = FakeDevice("one")
RECORD = [DEVICE.descriptor()]
for number in range(12):
    if number == 4:
        RECORD.append(DEVICE.reboot(burn=3))
    RECORD.append(DEVICE.status() if number % 5 == 3 else DEVICE.data({"ecg_lead_i": range(number + 1)}))
REGISTRY = enrolled(DEVICE)
LAST = DEVICE.seq


def test_an_intact_record_is_complete() -> None:
    """Everything is verified, nothing missing, burned numbers counted, most frames proven without their signature."""
    result = both(RECORD, REGISTRY)
    device = only(result)
    assert result.ok
    assert device.complete
    assert (device.verified, device.first, device.head, device.burned) == (len(RECORD), 1, LAST, 3)
    assert (device.name, device.device, device.digest) == ("one", DEVICE.thumbprint, DEVICE.digest[:16])
    assert device.by_chain == len(RECORD) - 2
    assert only(verify(RECORD, REGISTRY, by_chain=False)).by_chain == 0


Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, tuple[Damage, Reason]] = {
    "payload bit": (lambda raw: flipped(raw, 8 * (raw.index(b"\x04\x50") + 5)), Reason.FORGED),  # of PREV
    "signature bit": (lambda raw: flipped(raw, -1), Reason.FORGED),
    "r bit": (lambda raw: flipped(raw, -8 * 40), Reason.FORGED),
    "high s": (high_s, Reason.FORGED),
    "unprotected header": (unprotected, Reason.MALFORMED),
    "other key": (forged, Reason.FORGED),
    "cut": (lambda raw: raw[:-1], Reason.MALFORMED),
    "longer": (lambda raw: raw + b"\0", Reason.MALFORMED),
}


@pytest.mark.parametrize("place", range(1, len(RECORD)))
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_at_every_position(damage: str, place: int) -> None:
    """A frame damaged in any way at any place is refused for its reason, is missing, and costs no other frame."""
    change, reason = DAMAGES[damage]
    frames = [*RECORD[:place], change(RECORD[place]), *RECORD[place + 1 :]]
    result = both(frames, REGISTRY)
    device = only(result)
    refused = result.refused | device.refused
    assert not result.ok
    assert device.verified == len(RECORD) - 1
    assert refused == {reason: 1}
    lost = numbers()[place]
    if place == 1:  # a descriptor begins no record: this one now begins behind the damage
        assert (device.first, device.missing) == (3, ())
    elif place == len(RECORD) - 1:
        assert (device.head, device.missing) == (numbers()[-2], ())
    elif lost == numbers()[5]:  # the boot event that names the burned numbers; the rest of the chain still shows them
        assert device.missing == ((lost - 3, lost),)
    else:
        assert device.missing == ((lost, lost),)


def numbers() -> list[int]:
    """Return the number of each frame of the record."""
    return [1, 2, 3, 4, 5, *range(9, LAST + 1)]


@pytest.mark.parametrize("place", range(8 * 4))
def test_every_byte_of_a_frame_in_the_middle(place: int) -> None:
    """Whichever byte of a frame is changed, neither path believes it, and both say the same."""
    middle = len(RECORD) // 2
    raw = RECORD[middle]
    for byte in range(place, len(raw), 32):
        frames = [*RECORD[:middle], flipped(raw, 8 * byte + place % 8), *RECORD[middle + 1 :]]
        result = both(frames, REGISTRY)
        assert only(result).verified == len(RECORD) - 1
        assert not result.ok


@pytest.mark.parametrize("place", range(2, len(RECORD) - 1))
def test_a_frame_taken_out_is_missing(place: int) -> None:
    """What is not there is named, at every place."""
    device = only(both([*RECORD[:place], *RECORD[place + 1 :]], REGISTRY))
    assert numbers()[place] in {n for first, last in device.missing for n in range(first, last + 1)}
    assert not device.complete
    assert not device.break_count


@pytest.mark.parametrize("place", range(1, len(RECORD)))
def test_frames_again_and_frames_replaced(place: int) -> None:
    """A repetition is a duplicate; other bytes of the device itself under its number are a conflict or a break."""
    again = both([*RECORD, RECORD[place]], REGISTRY)
    assert only(again).duplicates == 1
    assert again.ok
    twin = remade(RECORD[place], DEVICE.private_key, {Key.TICKS: 123_456_789})
    after = both([*RECORD, twin], REGISTRY)
    assert (only(after).conflicts, only(after).verified, after.ok) == (1, len(RECORD), False)
    replaced = only(both([*RECORD[:place], twin, *RECORD[place + 1 :]], REGISTRY))
    assert replaced.break_count == (place < len(RECORD) - 1)
    assert not replaced.complete or place == len(RECORD) - 1


def test_two_frames_swapped_are_still_complete() -> None:
    """The order of arrival changes nothing."""
    for seed in range(20):
        frames = RECORD[1:]
        random.Random(seed).shuffle(frames)
        result = both([RECORD[0], *frames], REGISTRY)
        device = only(result)
        assert (device.verified, device.break_count, device.head) == (len(RECORD), 0, LAST)
        assert device.missing == ()


@pytest.mark.parametrize("key", [Key.PREV, Key.BOOT, Key.SEQ])
def test_prev_boot_and_seq_are_checked_even_if_well_signed(key: Key) -> None:
    """A device that signs a wrong PREV, an earlier BOOT or a skipped SEQ is caught on both paths."""
    wrong: dict[Key, object] = {Key.PREV: bytes(16), Key.BOOT: 1, Key.SEQ: 40}
    device = FakeDevice("two")
    frames = [device.descriptor(), device.reboot(), device.status()]
    frames.append(remade(device.status(), device.private_key, {key: wrong[key]}))
    result = both(frames, enrolled(device))
    assert only(result).verified == 4
    assert not only(result).complete


def test_boots_are_checked_within_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A boot that goes down among well-linked data frames is a break on both paths."""
    monkeypatch.setattr(verifier, "_RUN", 4)
    device = FakeDevice("two")
    device.boot = 2
    frames = [device.descriptor(), *(device.data({"ecg_lead_i": [n]}) for n in range(5))]
    device.boot = 1
    frames += [device.data({"ecg_lead_i": [n]}) for n in range(5)]
    result = only(both(frames, enrolled(device)))
    assert result.breaks == ((7, "boot"),)


def test_random_damage_to_a_long_record() -> None:
    """Loss, repetition, disorder and damage mixed: the two verdicts never differ, and only true frames are verified."""
    device = FakeDevice("long")
    record = [device.descriptor()]
    for number in range(1, 200):
        record.append(device.reboot(number % 4) if number % 37 == 0 else device.data({"ecg_lead_i": [number]}))
    registry = enrolled(device)
    for seed in range(30):
        luck = random.Random(seed)
        frames: list[bytes] = [record[0]]
        for raw in record[1:]:
            chance = luck.random()
            if chance < 0.04:
                change, _ = luck.choice(list(DAMAGES.values()))
                frames.append(change(raw))
            elif chance < 0.08:
                frames += [raw, raw]
            elif chance < 0.12:
                frames.insert(max(1, len(frames) - luck.randrange(9)), raw)
            elif chance > 0.03:
                frames.append(raw)
        result = only(both(frames, registry))
        assert result.verified == len(set(frames) & set(record))


# ---------------------------------------------------------------- more than one device, and none


def test_devices_are_counted_apart() -> None:
    """Interleaved devices have a verdict each, and each is still proven by chain."""
    devices = [FakeDevice(f"device {n}", seed=n) for n in range(3)]
    frames = [raw for device in devices for raw in (device.descriptor(),)]
    frames += [device.data({"ecg_lead_i": [n]}) for n in range(20) for device in devices]
    del frames[10]
    result = both(frames, enrolled(*devices))
    assert [device.verified for device in result.devices] == [21, 20, 21]
    assert [device.complete for device in result.devices] == [True, False, True]
    assert all(device.by_chain > 15 for device in result.devices)


def test_foreign_frames_count_for_nobody() -> None:
    """A device nobody enrolled has no verdict; its frames are counted as refused, held ones included."""
    stranger = FakeDevice("stranger")
    descriptor, *frames = [stranger.descriptor(), stranger.status(), stranger.status()]
    result = both([frames[0], descriptor, frames[1], *RECORD], REGISTRY)
    assert result.refused == {Reason.FOREIGN: 3}
    assert only(result).ok
    assert not result.ok


def test_frames_without_a_descriptor_are_refused() -> None:
    """Frames wait for a late descriptor; without one they are refused, and not more than so many are kept."""
    late = both([*RECORD[1:], RECORD[0]], REGISTRY)
    assert only(late).verified == len(RECORD)
    never = both(RECORD[1:], REGISTRY)
    assert never.devices == ()
    assert never.refused == {Reason.UNKNOWN_DESCRIPTOR: len(RECORD) - 1}


def test_waiting_frames_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bounds of a run, of all runs and of frames without descriptor, everything is still right."""
    monkeypatch.setattr(verifier, "_MAX_HELD", 3)
    result = both([*RECORD[1:], RECORD[0]], REGISTRY)
    assert result.refused == {Reason.UNKNOWN_DESCRIPTOR: len(RECORD) - 4}
    monkeypatch.setattr(verifier, "_RUN", 4)
    monkeypatch.setattr(verifier, "_MAX_OPEN", 3)
    assert both(RECORD, REGISTRY).ok


def test_an_empty_record_is_not_ok() -> None:
    """Nothing proves nothing."""
    assert not both([], REGISTRY).ok
    assert not both([b"", b"\xff"], REGISTRY).ok


def test_a_record_may_begin_in_mid_life() -> None:
    """The descriptor's old number and what lies between is not missing; what is missing behind the first frame is."""
    device = only(both([RECORD[0], *RECORD[7:9], *RECORD[10:]], REGISTRY))
    assert (device.first, device.head) == (numbers()[7], LAST)
    assert device.missing == ((numbers()[9], numbers()[9]),)


def test_dropped_burned_and_missing_are_told_apart() -> None:
    """Each absent number is counted once, as what it is; a dropped frame that is there after all is not dropped."""
    device = FakeDevice("drops")
    frames = [device.descriptor(), *(device.status() for _ in range(9))]
    lost = frames[3:6]
    frames += [device.reboot(burn=2), device.dropped(lost), device.status()]
    registry = enrolled(device)
    result = only(both([*frames[:3], *frames[6:8], *frames[9:]], registry))
    assert (result.dropped, result.burned, result.missing) == (3, 2, ((9, 9),))
    again = only(both([*frames[:3], *frames[6:], lost[1]], registry))
    assert (again.dropped, again.burned, again.missing, again.complete) == (2, 2, (), True)


def test_a_frame_from_the_future_is_set_aside() -> None:
    """With times of arrival, UTC is held against them; the frame keeps its place and counts once it is in time."""
    device = FakeDevice("early")
    device.descriptor()
    device.utc_us = NOW + 400_000_000
    early, then = device.status(), device.status()
    timed = [(device.descriptor(), NOW), (early, NOW), (then, NOW + 200_000_000)]
    result = only(both(timed, enrolled(device)))
    assert (result.future, result.verified, result.complete, result.ok) == (1, 2, True, False)
    result = only(both([*timed, (early, NOW + 200_000_000)], enrolled(device)))
    assert (result.future, result.verified, result.ok) == (0, 3, True)
    assert both([raw for raw, _ in timed], enrolled(device)).ok


# ---------------------------------------------------------------- revocation


def test_a_revoked_device_counts_only_below_an_anchor() -> None:
    """Without an anchor nothing counts; with one, what links lead back to from it, nothing above or beyond a gap."""
    device = FakeDevice("revoked")
    frames = [device.descriptor(), *(device.status() for _ in range(4)), device.reboot(burn=2)]
    frames += [device.status() for _ in range(6)]  # numbers 1 to 5, 8 to 14
    registry = enrolled(device)
    digests = {raw: only(verify(frames[: n + 1], registry)).digest for n, raw in enumerate(frames)}
    registry.revoke(device.thumbprint)
    assert only(both(frames, registry)).refused == {Reason.REVOKED: 12}

    def believed(record: list[bytes], number: int, digest: bytes) -> tuple[int, int, int]:
        result = only(both(record, registry, {device.thumbprint: (number, digest)}))
        assert result.refused == ({Reason.REVOKED: len(record) - result.verified} if result.verified < 12 else {})
        return result.verified, result.first, result.head

    assert believed(frames, 14, digests[frames[11]]) == (12, 1, 14)
    assert believed(frames, 10, digests[frames[7]]) == (8, 1, 10)
    assert believed(frames, 10, digests[frames[6]]) == (0, 0, 0)
    assert believed([*frames[:3], *frames[4:]], 10, digests[frames[7]]) == (4, 5, 10)
    forked = remade(frames[3], device.private_key, {Key.TICKS: 5})
    assert believed([*frames[:3], forked, *frames[4:]], 10, digests[frames[7]]) == (4, 5, 10)


# ---------------------------------------------------------------- memory


def test_repetitions_too_long_ago_are_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many digests are remembered; an older repetition is counted as neither duplicate nor conflict."""
    monkeypatch.setattr(tally, "WINDOW", 4)
    monkeypatch.setattr(verifier, "_RUN", 1)
    result = only(both([*RECORD, RECORD[-1], RECORD[2]], REGISTRY))
    assert (result.duplicates, result.undecided, result.ok) == (1, 1, False)


def test_memory_does_not_grow_with_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times as many frames, no more memory."""
    monkeypatch.setattr(tally, "WINDOW", 32)
    monkeypatch.setattr(verifier, "_RUN", 32)

    def peak(count: int) -> int:
        device = FakeDevice("endless")

        def frames() -> Iterator[bytes]:
            yield device.descriptor()
            for number in range(count):
                yield device.data({"ecg_lead_i": [number % 100]})

        checker = Verifier(enrolled(device))
        tracemalloc.start()
        for raw in frames():
            checker.feed(raw)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert checker.result().ok
        return most

    peak(50)
    assert peak(1500) < peak(500) + 60_000  # the frames between are a quarter of a megabyte
