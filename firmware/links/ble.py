# The stream of packets over Bluetooth LE (SPEC.md section 9): a GATT service that one bonded central reads by
# notifications, as many as it has granted. Knows bytes and centrals, no packets. Interrupts only note what happened;
# `services`, which anybody may read, come from outside.
from binascii import unhexlify
from struct import unpack

import bluetooth
from mac import hkdf
from micropython import const
from wire import (
    BLE_CONTROL,
    BLE_FROM_DEVICE,
    BLE_LIMIT,
    BLE_LIMIT_SIZE,
    BLE_PASSKEY_SIZE,
    BLE_PASSKEYS,
    BLE_SERVICE,
    BLE_TO_DEVICE,
    BLECONTROL_LIMIT,
    INFO_PASSKEY,
)

from links.bonds import OWN, Bonds

_CONNECT = const(1)
_DISCONNECT = const(2)
_WRITE = const(3)
_MTU = const(21)
_ENCRYPTION = const(28)
_GET_SECRET = const(29)
_SET_SECRET = const(30)
_PASSKEY = const(31)
_DISPLAY = const(3)  # the action: show a passkey
_DISPLAY_ONLY = const(0)  # what the board can do: its label shows it
_TO_DEVICE = const(0x300C)  # write, with or without response; encrypted and authenticated
_FROM_DEVICE = const(0x0010)  # notify
_CONTROL = const(0x3008)  # write; encrypted and authenticated
_LARGEST_MTU = const(515)  # no value is longer than 512 bytes
_LEAST_MTU = const(23)
_HEAD = const(3)  # bytes of a notification before its value
_ROOM = const(1024)  # bytes that may wait to be read
_NAME = const(29)  # bytes of a name in an advertisement
_FAREWELL = const(2_000_000)  # us that centrals have to go before the radio is off
_PATIENCE = const(30_000_000)  # us until a central has to be bonded; until a stack that does not start is tried again
_FASTEST = const(100_000)  # us between two advertisements; doubles
_SLOWEST = const(1_600_000)
_STAY = const(30_000_000)  # us until it does
_PENALTY = const(1_000_000)  # us without advertising after a central that failed to bond; doubles
_LONGEST = const(64_000_000)


def make(hal, config, peer):
    secret = hkdf(config.secret, config.thumbprint, INFO_PASSKEY, BLE_PASSKEY_SIZE)
    return Ble(hal, config.device, int.from_bytes(secret, "big") % BLE_PASSKEYS)


class Ble:
    # passkey: what the label says. services: what links/standard.py offers to anybody, if that is wanted; then another
    # central may be there besides the reader. Opens at the first steps.
    services = None
    gate = None
    session = 0  # another number for each reader
    bad = 0  # writes to the control point that said nothing, and what else could not be dealt with

    def __init__(self, hal, name, passkey):
        self._ble = bluetooth.BLE()
        self._wall = hal.wall
        self._bonds = Bonds(hal)
        self._name = _cut(name.encode())
        self._passkey = passkey
        self._steps = 0  # 2: open; beyond: on the way off
        self._centrals = {}  # handle: [since, bonded, whether it tried]
        self._reader = -1  # the central that has the stream
        self._mtu = {}
        self._limit = self._sent = 0  # notifications of this connection
        self._came = False  # whether bytes wait in the chip
        self._waiting = None
        self.advertising = self._failed = False
        self._interval = _FASTEST
        self._slower_at = 0
        self._silent_until = 0
        self._penalty = _PENALTY

    def open(self):
        self._places = 2 if self.services else 1
        ble = self._ble
        ble.irq(self._irq)  # before it starts: then the stack asks whom it knows
        ble.active(True)
        ble.config(gap_name=self._name, mtu=_LARGEST_MTU, bond=True, mitm=True, le_secure=True, io=_DISPLAY_ONLY)
        uuid = bluetooth.UUID
        own = (
            uuid(BLE_SERVICE),
            (
                (uuid(BLE_TO_DEVICE), _TO_DEVICE),
                (uuid(BLE_FROM_DEVICE), _FROM_DEVICE),
                (uuid(BLE_CONTROL), _CONTROL),
            ),
        )
        others = self.services.table(uuid) if self.services else ()
        handles = ble.gatts_register_services((own,) + others)
        self._to_device, self._from_device, self._control = handles[0]
        ble.gatts_set_buffer(self._to_device, _ROOM, True)
        if self.services:
            self.services.open(ble, handles[1:])
        self._advertised = self._advertisement(others)
        self._advertise(_FASTEST)

    def readinto(self, buffer):
        if self._waiting is None:
            if not self._came:
                return 0
            self._came = False
            try:
                self._waiting = memoryview(self._ble.gatts_read(self._to_device))
            except MemoryError:
                self.bad += 1
                return 0  # lost, like a packet on the air
        n = min(len(buffer), len(self._waiting))
        buffer[:n] = self._waiting[:n]
        self._waiting = self._waiting[n:] if n < len(self._waiting) else None
        return n

    def write(self, buffer, n):
        reader = self._reader
        if reader < 0 or self._sent >= self._limit:
            return 0
        n = min(n, self._mtu.get(reader, _LEAST_MTU) - _HEAD)
        try:
            self._ble.gatts_notify(reader, self._from_device, buffer[:n])
        except OSError:
            return 0  # no buffer, or the central has just gone
        self._sent += 1
        return n

    # ------------------------------------------------------------ centrals

    def _irq(self, event, data):
        # MicroPython calls no handler again that let an exception out
        try:
            return self._happened(event, data)
        except (OSError, MemoryError, KeyError):
            self.bad += 1  # it has just gone, or there is no room for what it wrote
            return None

    def _happened(self, event, data):
        if event == _WRITE:
            self._written(*data)
        elif event == _GET_SECRET:
            kind, index, key = data
            return self._bonds.get(kind, index, key if key is None else bytes(key))
        elif event == _SET_SECRET:
            kind, key, value = data
            # who got by without the passkey must not push out the bond of somebody who has it
            if value is None or kind == OWN or any(tried for _, _, tried in self._centrals.values()):
                return self._bonds.set(kind, bytes(key), value)
            return False
        elif event == _CONNECT:
            self.advertising = False  # the chip stops that by itself
            self._centrals[data[0]] = [self._wall(), False, False]
        elif event == _DISCONNECT:
            self._gone(data[0])
        elif event == _MTU:
            self._mtu[data[0]] = min(data[1], _LARGEST_MTU)
        elif event == _PASSKEY:
            handle, action, _ = data
            if action == _DISPLAY:
                if self._centrals[handle][2]:
                    self._drop(handle)  # one guess a connection, because the silence that follows comes with its end
                else:
                    self._centrals[handle][2] = True
                    self._ble.gap_passkey(handle, action, self._passkey)
        elif event == _ENCRYPTION:
            handle, encrypted, authenticated, bonded, _ = data
            if handle in self._centrals:
                self._centrals[handle][1] = bool(encrypted and authenticated and bonded)
                if authenticated:  # the stack says so of a pairing that failed, too
                    self._centrals[handle][2] = False
                self._bonds.restore()
        return None

    def _written(self, central, handle):
        if handle == self._to_device:
            if central == self._reader:
                self._came = True
            else:
                self._ble.gatts_read(handle)
        elif handle == self._control:
            said = self._ble.gatts_read(handle)
            bonded = central in self._centrals and self._centrals[central][1]
            if not bonded or len(said) != BLE_LIMIT_SIZE or said[0] != BLECONTROL_LIMIT:
                self.bad += 1
                return
            if self._reader < 0:
                self._begin(central)
            if self._reader == central:
                self._limit = unpack(BLE_LIMIT, said)[1]

    def _begin(self, central):
        self._ble.gatts_read(self._to_device)
        self._came = False
        self._waiting = None
        self._sent = 0
        self.session += 1
        self._reader = central

    def _gone(self, handle):
        since, bonded, tried = self._centrals.pop(handle, (0, True, False))
        self._mtu.pop(handle, None)
        self._bonds.restore()
        if handle == self._reader:
            self._reader = -1
            self._limit = 0
        if bonded:
            self._penalty = _PENALTY
        elif tried:
            self._failed = True

    def step(self, now):
        # what waits for a time, outside interrupts
        if self.gate and not self.gate(now):
            return self._off(now)
        if self._steps < 2:
            if now < self._silent_until:
                return None
            self._steps += 1
            if self._steps == 1:
                return ("long", 0)
            try:
                self.open()
            except (OSError, MemoryError):
                # the chip's stack does not start, for want of memory perhaps: the rest of the board goes on
                self._steps = 0
                self._silent_until = now + _PATIENCE
                return ("bytecode", 500)
        self._steps = 2
        self._bonds.save()
        crowded = len(self._centrals) >= self._places
        for handle, central in self._centrals.items():
            if not central[1] and now - central[0] > _PATIENCE and (crowded or not self.services):
                central[0] = now  # no second time until it has gone
                self._drop(handle)
                break
        if self._failed:
            self._failed = False
            self._silent_until = now + self._penalty
            self._penalty = min(2 * self._penalty, _LONGEST)
        if not (crowded or now < self._silent_until):
            if not self.advertising:
                self._advertise(_FASTEST)
            elif now >= self._slower_at:
                self._advertise(min(2 * self._interval, _SLOWEST))  # also in case the chip has given it up
        return self.services.step() if self.services else None

    def _off(self, now):
        if self._steps < 2:
            return None
        self._bonds.save()
        if self._steps == 2:
            self._steps = 3
            self._at = now + _FAREWELL
            self._ble.gap_advertise(None)
            self.advertising = False
            for handle in list(self._centrals):
                self._drop(handle)
        elif self._steps == 3:
            if self._centrals and now < self._at:
                return None
            self._steps = 4
            return ("long", 0)
        else:
            self._ble.active(False)
            for handle in list(self._centrals):
                self._gone(handle)
            self._failed = False
            self._steps = 0
            self.session += 1
        return ("bytecode", 500)

    def _drop(self, handle):
        try:
            self._ble.gap_disconnect(handle)
        except OSError:
            pass  # it has just gone

    # ------------------------------------------------------------ advertising

    def _advertise(self, interval):
        self._interval = interval
        self._slower_at = self._wall() + _STAY
        self.advertising = True
        try:
            self._ble.gap_advertise(interval, self._advertised, resp_data=_field(9, self._name))
        except OSError:
            self.advertising = False  # the stack is still busy with a connection that ends: at the next look

    def _advertisement(self, others):
        # flags: found by anybody, no classic Bluetooth; our service, least significant byte first; some of the
        # standard ones
        own = bytes(reversed(unhexlify(BLE_SERVICE.replace("-", ""))))
        data = _field(1, b"\x06") + _field(7, own)
        if others:
            data += _field(2, self.services.advertised())
        return data


def _field(kind, value):
    return bytes((len(value) + 1, kind)) + value


def _cut(name):
    n = min(len(name), _NAME)
    while n < len(name) and name[n] & 0xC0 == 0x80:
        n -= 1
    return name[:n]
