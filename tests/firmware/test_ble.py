"""The device's Bluetooth link under MicroPython, spoken to by a bumble central: real ATT, real pairing, no radio."""

from __future__ import annotations

import time
from asyncio import CancelledError
from contextlib import nullcontext
from typing import Any

import pytest
from bumble.core import ProtocolError
from tests.bledevice import PASSKEY, Device
from tests.central import Central, Gatt
from tests.waiting import wait

from vitalwire_protocol import spec
from vitalwire_tools.virtual.air import Air

PERIOD = bytes(range(256)) * 4
BONDS = "[name for name in sorted(hal.kept) if name.startswith('bond')]"


class Reader:
    """A bonded central that takes notifications."""

    def __init__(self, air: Air, **options: Any) -> None:
        self._air = air
        self.central = Central(air, passkey=PASSKEY, **options)
        self.got: list[bytes] = []
        self.lost = False
        self.gatt: Gatt

    def connect(self) -> Reader:
        """Connect, bond and subscribe."""
        self.gatt = self._air.run(self.central.find("", self._gone))
        self._air.run(self.gatt.start_notify(spec.BLE_FROM_DEVICE, lambda _, data: self.got.append(bytes(data))))
        self.grant(0)  # answered once the device knows of the bond
        return self

    def _gone(self) -> None:
        self.lost = True

    def grant(self, total: int) -> None:
        """Let the device send so many notifications in all."""
        self.write(spec.BLE_CONTROL, spec.BleLimit.build({"code": spec.BleControl.LIMIT, "total": total}))

    def write(self, char: str, data: bytes, response: bool = True) -> None:
        """Write a value."""
        self._air.run(self.gatt.write_gatt_char(char, data, response=response))

    def wait(self, count: int) -> None:
        """Wait for so many notifications."""
        wait(lambda: len(self.got) >= count)

    def disconnect(self) -> None:
        """End the connection."""
        self._air.run(self.gatt.disconnect())


@pytest.mark.parametrize("mtu", [23, 185, 247, 515])
def test_the_stream_is_cut_to_the_mtu(air: Air, bledevice: Device, mtu: int) -> None:
    """Bytes come whole and in order both ways, in notifications as long as the MTU and the writer allow."""
    reader = Reader(air, mtu=mtu).connect()
    reader.grant(1000)
    bledevice.do(f"going.extend({PERIOD!r})")
    wait(lambda: len(b"".join(reader.got)) >= len(PERIOD))
    assert b"".join(reader.got) == PERIOD
    assert max(map(len, reader.got)) == mtu - 3
    for start in range(0, len(PERIOD), mtu - 3):
        reader.write(spec.BLE_TO_DEVICE, PERIOD[start : start + mtu - 3])
    bledevice.until("bytes(came)", PERIOD)


def test_pieces_grow_with_the_mtu(air: Air, bledevice: Device) -> None:
    """A central that exchanges the MTU in the midst of a stream gets longer pieces from then on, and loses nothing."""
    reader = Reader(air, mtu=23).connect()
    reader.grant(10)
    bledevice.do(f"going.extend({PERIOD!r})")
    reader.wait(10)
    assert air.run(reader.gatt.peer.request_mtu(185)) == 185
    bledevice.until("list(ble._mtu.values())", [185])
    reader.grant(1000)
    wait(lambda: b"".join(reader.got) == PERIOD)
    assert [len(piece) for piece in reader.got[9:12]] == [20, 182, 182]


def test_a_stack_that_does_not_start_is_tried_again(air: Air, bledevice: Device) -> None:
    """A chip whose Bluetooth has no memory goes on without it, asks again half a minute later, and then has it."""
    dead = "import bluetooth\ndef active(self, on):\n    tries.append(on)\n    if len(tries) < 3: raise OSError(12)"
    swap = "alive = bluetooth.BLE.active; bluetooth.BLE.active = active"
    bledevice.do(f"ble = None; tries = []; exec({dead!r}); {swap}")
    bledevice.begin()
    bledevice.until("len(tries)", 1)
    time.sleep(0.1)
    assert bledevice.do("len(tries)") == 1
    bledevice.do("hal.later += 30_000_000")
    bledevice.until("len(tries)", 2)
    bledevice.do("bluetooth.BLE.active = alive; hal.later += 30_000_000")
    Reader(air).connect()


def test_no_notification_goes_without_a_grant(air: Air, bledevice: Device) -> None:
    """Nothing is sent before a grant, nothing beyond it, and a lower limit stops the device at once."""
    reader = Reader(air).connect()
    bledevice.do(f"going.extend({PERIOD!r} * 8)")
    bledevice.until("sent", 0)
    time.sleep(0.2)
    assert not reader.got
    reader.grant(3)
    reader.wait(3)
    time.sleep(0.2)
    assert len(reader.got) == 3
    reader.grant(2)
    reader.grant(5)
    reader.wait(5)
    time.sleep(0.2)
    assert len(reader.got) == 5
    reader.grant(1 << 31)
    wait(lambda: b"".join(reader.got) == PERIOD * 8)


def test_a_grant_ends_with_its_connection(air: Air, bledevice: Device) -> None:
    """After a reconnection the device sends nothing until it is granted something, and goes on where it was."""
    reader = Reader(air).connect()
    reader.grant(2)
    bledevice.do(f"going.extend({PERIOD!r})")
    reader.wait(2)
    reader.disconnect()
    bledevice.until("ble._reader", -1)
    reader.connect()
    time.sleep(0.2)
    assert len(reader.got) == 2
    reader.grant(100)
    wait(lambda: b"".join(reader.got) == PERIOD)
    assert reader.central.pairings == 1


@pytest.mark.parametrize("garbage", [b"", b"\0", b"\2\1\0\0\0", b"\1\1\0\0", b"\1\1\0\0\0\0", bytes(300), b"\1" * 512])
def test_garbage_at_the_control_point_changes_nothing(air: Air, bledevice: Device, garbage: bytes) -> None:
    """What is no limit is counted and dropped, whatever its length."""
    reader = Reader(air).connect()
    bledevice.do(f"going.extend({PERIOD!r})")
    reader.write(spec.BLE_CONTROL, garbage)
    bledevice.until("ble.bad", 1)
    time.sleep(0.1)
    assert not reader.got
    reader.grant(100)
    wait(lambda: b"".join(reader.got) == PERIOD)


def test_more_than_the_device_has_room_for_is_dropped(air: Air, bledevice: Device) -> None:
    """A central that writes faster than the device reads loses bytes, and nothing else: the next ones come through."""
    reader = Reader(air).connect()
    reader.grant(1)
    bledevice.do("turn, kept = hal.feed, turn")
    for _ in range(6):
        reader.write(spec.BLE_TO_DEVICE, b"x" * 512)
    bledevice.do("turn = kept")
    bledevice.until("len(came)", 1024)
    reader.write(spec.BLE_TO_DEVICE, b"more")
    bledevice.until("bytes(came[1024:])", b"more")


def test_whoever_is_not_bonded_by_the_passkey_is_refused(air: Air, bledevice: Device) -> None:
    """Neither an unpaired central nor one that paired without passkey or bond can write, or is sent anything."""
    central = Central(air, number=9)
    heard: list[bytes] = []
    gatt = air.run(central.connect())
    for char in (spec.BLE_TO_DEVICE, spec.BLE_CONTROL):
        with pytest.raises(ProtocolError, match="INSUFFICIENT"):
            air.run(gatt.write_gatt_char(char, b"\1\1\0\0\0", response=True))
        with pytest.raises(ProtocolError):
            air.run(gatt.read(char))
    bledevice.do("going.extend(b'secret')")
    air.run(gatt.start_notify(spec.BLE_FROM_DEVICE, lambda _, data: heard.append(bytes(data))))
    time.sleep(0.2)
    assert not heard
    air.run(gatt.connection.pair())  # it has no keys to type a passkey with
    assert gatt.connection.is_encrypted
    with pytest.raises(ProtocolError, match="INSUFFICIENT"):
        air.run(gatt.write_gatt_char(spec.BLE_CONTROL, b"\1\1\0\0\0", response=True))
    assert bledevice.do(f"(ble._reader, sent, bytes(came), {BONDS})") == (-1, 0, b"", [])
    assert not heard


def test_a_pairing_without_bond_is_not_enough(air: Air, bledevice: Device) -> None:
    """A central that knows the passkey and keeps no bond is not read from, though its writes are encrypted."""
    reader = Reader(air, bond=False).connect()
    bledevice.do("going.extend(b'secret')")
    reader.grant(10)
    reader.write(spec.BLE_TO_DEVICE, b"command")
    bledevice.until("ble.bad", 2)
    assert bledevice.do(f"(ble._reader, sent, bytes(came), {BONDS})") == (-1, 0, b"", [])
    assert not reader.got


def test_a_wrong_passkey_costs_time(air: Air, bledevice: Device) -> None:
    """A failed pairing leaves no bond, and the device is silent for a while that doubles, until somebody bonds."""
    guessing = Central(air, passkey=PASSKEY + 1)
    for wait_us in (1_000_000, 2_000_000):
        with pytest.raises(ProtocolError):
            air.run(guessing.find("", lambda: None))
        air.run(guessing.disconnect_all())
        bledevice.until("ble._centrals", {})
        bledevice.until("ble._failed", False)
        assert bledevice.do("ble._silent_until - hal.wall()") > wait_us / 2
        assert bledevice.do("ble.advertising") is False
        bledevice.do("hal.later += 4_000_000")
    assert bledevice.do(BONDS) == []
    Reader(air).connect().disconnect()
    bledevice.until("(ble._centrals, ble._penalty)", ({}, 1_000_000))


def test_a_connection_has_one_guess(air: Air, bledevice: Device) -> None:
    """Who guessed a wrong passkey and tries again in the same connection loses it, and with it comes the silence."""
    gatt = air.run(Central(air, passkey=PASSKEY + 1).connect())
    bledevice.do("shown = []; show = ble._ble.gap_passkey")
    bledevice.do("ble._ble.gap_passkey = lambda *to: (shown.append(to), show(*to))")
    for _ in range(2):
        with pytest.raises((ProtocolError, CancelledError)):
            air.run(gatt.connection.pair())
    bledevice.until("(ble._centrals, ble._penalty)", ({}, 2_000_000))
    assert bledevice.do("len(shown)") == 1


def test_an_interrupt_without_room_costs_only_itself(air: Air, bledevice: Device) -> None:
    """Where there is no memory for what a central wrote, that is counted and lost, and what comes next is heard:
    MicroPython calls no handler again that failed."""
    reader = Reader(air).connect()
    bledevice.do("going.extend(b'more')")
    bledevice.do("read = ble._ble.gatts_read; ble._ble.gatts_read = lambda handle: bytearray(1 << 40)")
    reader.grant(10)
    assert bledevice.do("ble.bad") == 1
    bledevice.do("ble._ble.gatts_read = read")
    reader.grant(10)
    wait(lambda: b"".join(reader.got) == b"more")


def test_bytes_there_is_no_room_for_are_lost_and_nothing_else(air: Air, bledevice: Device) -> None:
    """Where there is no memory for what a central wrote, that is counted, and the board reads what comes next."""
    reader = Reader(air).connect()
    reader.grant(1)
    bledevice.do("read = ble._ble.gatts_read; ble._ble.gatts_read = lambda handle: bytearray(1 << 40)")
    reader.write(spec.BLE_TO_DEVICE, b"lost")
    bledevice.until("ble.bad", 1)
    bledevice.do("read(ble._to_device); ble._ble.gatts_read = read")
    reader.write(spec.BLE_TO_DEVICE, b"more")
    bledevice.until("bytes(came)", b"more")


def test_a_bond_survives_a_restart(air: Air, bledevice: Device) -> None:
    """The device keeps its bonds in its store: after a restart a known central gets the stream without passkey."""
    reader = Reader(air).connect()
    bledevice.until(f"len({BONDS})", 2)
    bledevice.do("ble._ble.active(False)")
    wait(lambda: reader.lost)
    bledevice.begin()
    reader.central.passkey = None
    reader.connect()
    reader.grant(10)
    bledevice.do("going.extend(b'again')")
    wait(lambda: b"".join(reader.got) == b"again")


def test_a_bond_outlives_a_stranger_at_its_address(air: Air, bledevice: Device) -> None:
    """Whoever takes the address of a bonded central and asks to pair, with a wrong passkey or none, gets nothing; and
    the bond, which the stack deletes at once, is there again when the owner comes, also after a restart."""
    reader = Reader(air).connect()
    air.run(reader.central.leave())
    deleting = "lambda kind, key, value: (value or deleted.append(kind), store(kind, key, value))[1]"
    bledevice.do(f"deleted = []; store = ble._bonds.set; ble._bonds.set = {deleting}")
    for passkey in (None, PASSKEY + 1):
        stranger = Central(air, passkey=passkey)
        pairing = air.run(stranger.connect()).connection.pair()
        with nullcontext() if passkey is None else pytest.raises(ProtocolError):
            air.run(pairing)
        air.run(stranger.leave())
        bledevice.until("ble._centrals", {})
        assert set(bledevice.do("deleted")) == {1, 2}
        bledevice.do("deleted.clear(); hal.later += 4_000_000")
    reader.connect().disconnect()
    bledevice.until("ble._centrals", {})
    bledevice.do("ble._ble.active(False)")
    bledevice.begin()
    reader.connect()
    assert reader.central.pairings == 1


def test_a_central_that_forgot_its_bond_pairs_again(air: Air, bledevice: Device) -> None:
    """A central whose user removed the board pairs anew with the passkey: its new bond takes the place of the old one,
    and those of others stay."""
    other, reader = Reader(air, number=2), Reader(air)
    for each in (other, reader):
        each.connect().disconnect()
        bledevice.until("ble._centrals", {})
    reader.central.forget()
    reader.connect()
    reader.grant(10)
    bledevice.do("going.extend(b'again')")
    wait(lambda: b"".join(reader.got) == b"again")
    assert reader.central.pairings == 2
    assert bledevice.do("len(ble._bonds._rows)") == 4
    reader.disconnect()
    for each in (reader, other):
        bledevice.until("ble._centrals", {})
        each.connect().disconnect()
    assert (reader.central.pairings, other.central.pairings) == (2, 1)


def test_each_board_has_an_identity_key_of_its_own(air: Air, bledevice: Device) -> None:
    """The key by which a bonded central knows the board again is made at its first start and kept: every chip's stack
    has the same one otherwise, and does not ask for the bonds it is to know."""
    bledevice.until("len(hal.kept.get('irk', b''))", 16)
    own = bledevice.do("hal.kept['irk']")
    central = Reader(air).connect().central
    assert air.run(central.identity()) == own != bytes(16)
    bledevice.do("ble._ble.active(False)")
    bledevice.begin()
    bledevice.until("ble._steps", 2)
    assert bledevice.do("ble._bonds.get(10, 0, b'irk')") == own == bledevice.do("hal.kept['irk']")


def test_who_leaves_without_a_try_costs_nothing(air: Air, bledevice: Device) -> None:
    """Whoever connects and goes, without trying a passkey, does not keep the board from advertising."""
    central = Central(air)
    for _ in range(3):
        air.run(air.run(central.connect()).disconnect())
        bledevice.until("(ble._centrals, ble.advertising)", ({}, True))
    assert bledevice.do("ble._silent_until") == 0


def test_the_store_of_bonds_is_bounded(air: Air, bledevice: Device) -> None:
    """Each bond beyond the fourth takes the place of the oldest; the others stay valid."""
    readers = [Reader(air, number=10 + i) for i in range(5)]
    for reader in readers:
        reader.connect()
        reader.disconnect()
        bledevice.until("ble._centrals", {})
    assert bledevice.do("len(ble._bonds._rows)") == 8
    assert bledevice.do(BONDS) == sorted(f"bond{i}" for i in range(8))
    readers[1].connect()
    readers[1].disconnect()
    assert readers[1].central.pairings == 1
    bledevice.until("ble._centrals", {})
    with pytest.raises(ProtocolError):
        readers[0].connect()


def test_a_central_that_stays_unbonded_is_sent_away(air: Air, bledevice: Device) -> None:
    """Whoever has not bonded after 30 s loses the connection, so that nobody keeps the owner out."""
    gatt = air.run(Central(air).connect())
    gone: list[int] = []
    gatt.connection.on("disconnection", gone.append)
    bledevice.until("len(ble._centrals)", 1)
    assert bledevice.do("ble.advertising") is False
    bledevice.do("hal.later = 29_000_000")
    time.sleep(0.2)
    assert not gone
    bledevice.do("hal.later = 31_000_000")
    wait(lambda: bool(gone))


def test_advertising_grows_rarer(air: Air, bledevice: Device) -> None:
    """The interval doubles every 30 s up to 1.6 s, and is short again after a connection."""
    intervals = [bledevice.do("ble._interval")]
    for _ in range(6):
        bledevice.do("hal.later += 31_000_000")
        bledevice.do("None")
        time.sleep(0.05)
        intervals.append(bledevice.do("ble._interval"))
    assert intervals == [100_000, 200_000, 400_000, 800_000, 1_600_000, 1_600_000, 1_600_000]
    Reader(air).connect().disconnect()
    bledevice.until("(ble._centrals, ble.advertising, ble._interval)", ({}, True, 100_000))


def test_a_chip_that_gave_up_advertising_is_told_again(air: Air, bledevice: Device) -> None:
    """A stack that stopped advertising by itself, and said nothing, does so again half a minute later at most."""
    bledevice.until("ble.advertising", True)
    bledevice.do("ble._interval = 1_600_000; ble._ble.gap_advertise(None)")
    with pytest.raises(TimeoutError):
        air.run(Central(air).look(0.5))
    bledevice.do("hal.later += 31_000_000")
    air.run(Central(air, number=2).look())


def test_the_advertisement_names_the_service(air: Air, bledevice: Device) -> None:
    """A scan shows flags, our service's UUID and the board's name, and nothing about whoever wears it."""
    _, data = air.run(Central(air).look())
    assert data.startswith(b"\x02\x01\x06\x11\x07" + bytes.fromhex(spec.BLE_SERVICE.replace("-", ""))[::-1])
    assert bledevice.do("ble._name") == b"ward 7"
    assert bledevice.do("Ble(hal, 'ä' * 32, 1)._name") == "ä".encode() * 14
