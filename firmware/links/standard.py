# The services that any app knows, for whoever is near: Heart Rate, Pulse Oximeter, Battery, Device Information (numbers
# and layouts: Bluetooth SIG, Assigned Numbers and the services' own specifications). What is not known stays unknown.
from struct import pack_into

from micropython import const

_READ = const(0x0002)
_NOTIFY = const(0x0010)
_SECOND = const(1_000_000)  # us
_HEART_RATE = const(0x180D)
_OXIMETER = const(0x1822)
_CONTACT = const(0x06)  # flags of a Heart Rate Measurement: contact is known, and there is contact
_NO_CONTACT = const(0x04)  # known, and there is none: then the rate, which has no unknown, is 0
_HAS_STATUS = const(0x04)  # flag of a PLX Continuous Measurement
_ONGOING = const(0x0020)  # of its Measurement Status
_UNAVAILABLE = const(0x2000)
_NAN = const(0x07FF)  # SFLOAT (IEEE 11073-20601)
_FEATURES = b"\x01\x00\x20\x20"  # PLX Features: a status there is, with these two bits


class Standard:
    # vitals: see vitals.py. texts: firmware and board. Samples are followed by their own clock, `ticks`.
    def __init__(self, vitals, texts, ticks):
        self._vitals = vitals
        self._texts = texts
        self._ticks = ticks
        self._due = 0
        self._charge = None
        self._rate = bytearray(2)
        self._plx = bytearray(7)

    def advertised(self):
        # the 16-bit numbers, least significant byte first
        numbers = (_HEART_RATE, _OXIMETER) if self._vitals.measures_spo2 else (_HEART_RATE,)
        return b"".join([n.to_bytes(2, "little") for n in numbers])

    def table(self, uuid):
        rows = [(_HEART_RATE, ((0x2A37, _NOTIFY),))]
        rows.append((0x180A, ((0x2A29, _READ), (0x2A24, _READ), (0x2A26, _READ))))
        if self._vitals.measures_spo2:
            rows.append((_OXIMETER, ((0x2A5F, _NOTIFY), (0x2A60, _READ))))
        if self._vitals.measures_charge:
            rows.append((0x180F, ((0x2A19, _READ | _NOTIFY),)))
        return tuple([(uuid(n), tuple([(uuid(c), flags) for c, flags in several])) for n, several in rows])

    def open(self, ble, handles):
        self._ble = ble
        self._handles = handles
        firmware, board = self._texts[:2]
        for handle, text in zip(handles[1], ("vitalwire", board, firmware)):
            ble.gatts_write(handle, text.encode())
        if self._vitals.measures_spo2:
            ble.gatts_write(handles[2][1], _FEATURES)
        if self._vitals.measures_charge:
            ble.gatts_write(handles[-1][0], b"")  # not known yet

    def step(self):
        done = self._vitals.step()
        now = self._ticks()
        if now >= self._due:
            self._due = now + _SECOND
            self._tell()
            return done or ("bytecode", 500)
        return done

    def _tell(self):
        vitals = self._vitals
        write = self._ble.gatts_write
        handles = self._handles
        heart = vitals.heart
        self._rate[0] = _NO_CONTACT if heart is None else _CONTACT
        self._rate[1] = 0 if heart is None else min(_whole(heart), 255)
        write(handles[0][0], self._rate, True)
        if vitals.measures_spo2:
            spo2 = _whole(vitals.spo2)
            pulse = _whole(vitals.pulse)
            status = _UNAVAILABLE if _NAN in (spo2, pulse) else _ONGOING
            pack_into("<BHHH", self._plx, 0, _HAS_STATUS, spo2, pulse, status)
            write(handles[2][0], self._plx, True)
        if vitals.charge is not None and vitals.charge != self._charge:
            self._charge = vitals.charge
            write(handles[-1][0], bytes((self._charge,)), True)


def _whole(tenths):
    # as an SFLOAT with exponent 0
    return _NAN if tenths is None else (tenths + 5) // 10
