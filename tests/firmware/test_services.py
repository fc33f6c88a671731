"""The services that any app knows, from the device's own code, read as the Bluetooth SIG's specifications have them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bumble.core import AdvertisingData
from bumble.profiles.heart_rate_service import HeartRateService
from tests.bledevice import PASSKEY, Device
from tests.central import Central, Gatt, finding
from tests.waiting import FAR, wait

from vitalwire.transports import ble
from vitalwire_protocol import spec
from vitalwire_tools.virtual.air import Air

VITALS = (
    "type('Vitals', (), {'heart': None, 'pulse': None, 'spo2': None, 'charge': None, 'step': lambda self: None,"
    " 'measures_spo2': True, 'measures_charge': True})()"
)
# GATT Specification Supplement, "PLX Features" and "PLX Continuous Measurement"
STATUS_PRESENT, STATUS_SUPPORTED = 1 << 2, 1 << 0
ONGOING, UNAVAILABLE = 1 << 5, 1 << 13
NAN = 0x07FF  # IEEE 11073-20601, SFLOAT


@pytest.fixture
def services(bledevice: Device) -> Device:
    """A device that offers them, whose vitals are `vitals`."""
    bledevice.until("ble._steps", 2)
    bledevice.do("ble._ble.active(False)")
    bledevice.do(f"vitals = {VITALS}; from links.standard import Standard")
    bledevice.begin("Standard(vitals, ('vitalwire 1.2', 'a board of a long name'), lambda: 20 * hal.wall())")
    return bledevice


def sfloat(raw: bytes) -> float | None:
    """Return what an SFLOAT says: four bits of exponent, twelve of mantissa, or that there is none."""
    value = int.from_bytes(raw, "little")
    if value == NAN:
        return None
    exponent, mantissa = value >> 12, value & 0xFFF
    assert mantissa not in range(0x7FE, 0x803), "infinite, not at this resolution, or reserved"
    return float((mantissa - 0x1000 * (mantissa > 0x7FF)) * 10.0 ** (exponent - 16 * (exponent > 7)))


def hear(air: Air, gatt: Gatt, char: str) -> Callable[[], bytes]:
    """Subscribe; returns what waits for a notification that comes afterwards."""
    heard: list[bytes] = []
    air.run(gatt.start_notify(char, lambda _, data: heard.append(bytes(data))))

    def after() -> bytes:
        seen = len(heard)
        wait(lambda: len(heard) >= seen + 2)  # one may have been on its way
        return heard[-1]

    return after


def test_every_field_is_as_specified(air: Air, services: Device) -> None:
    """Flags, units and unknown values of each characteristic, for vitals that are known, in part or not at all."""
    gatt = air.run(Central(air).connect())
    rate, oximetry = hear(air, gatt, "2A37"), hear(air, gatt, "2A5F")
    assert air.run(gatt.read("2A60")) == bytes([STATUS_SUPPORTED, 0]) + (ONGOING | UNAVAILABLE).to_bytes(2, "little")
    assert [air.run(gatt.read(char)) for char in ("2A29", "2A24", "2A26", "2A19")] == [
        b"vitalwire", b"a board of a long name", b"vitalwire 1.2", b"",
    ]  # fmt: skip
    for heart, pulse, spo2 in ((None, None, None), (None, 721, None), (2499, 2501, 1000), (304, 296, 704)):
        services.do(f"vitals.heart, vitals.pulse, vitals.spo2, vitals.charge = {heart}, {pulse}, {spo2}, {spo2 and 87}")
        said = HeartRateService.HeartRateMeasurement.from_bytes(rate())
        assert said.sensor_contact_detected is (heart is not None)
        assert said.heart_rate == round((heart or 0) / 10)
        raw = oximetry()
        assert (len(raw), raw[0]) == (7, STATUS_PRESENT)
        assert sfloat(raw[1:3]) == (spo2 and round(spo2 / 10))
        assert sfloat(raw[3:5]) == (pulse and round(pulse / 10))
        assert int.from_bytes(raw[5:], "little") == (ONGOING if pulse and spo2 else UNAVAILABLE)
    assert air.run(gatt.read("2A19")) == bytes([87])


def test_the_advertisement_lists_some_services(air: Air, services: Device) -> None:
    """Heart Rate and Pulse Oximeter are advertised beside our own service, and not as if they were all there are."""
    _, data = air.run(Central(air).look())
    assert len(data) <= 31
    said = AdvertisingData.from_bytes(data)
    assert said.get(AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS) is None
    some = said.get(AdvertisingData.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS)
    assert [uuid.to_hex_str() for uuid in some] == ["180D", "1822"]  # type: ignore[union-attr]
    own = said.get(AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS)
    assert [uuid.to_hex_str("-").lower() for uuid in own] == [spec.BLE_SERVICE]  # type: ignore[union-attr]


def test_a_second_reader_waits_its_turn(air: Air, services: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two bonded centrals the first has the stream; once it has gone the other, which asks now and then, gets it."""
    monkeypatch.setattr(ble, "AGAIN_SECONDS", 0.2)
    first, second = (ble.Ble("ward 7", finding(Central(air, number=number, passkey=PASSKEY))) for number in (1, 2))
    first.open()
    second.open()
    services.do("going.extend(b'for one')")
    assert first.read(FAR) == b"for one"
    assert second.read(0.5) == b""
    first.close()
    services.until("len(ble._centrals)", 1)
    services.do("going.extend(b'for two')")
    heard: list[bytes] = []
    wait(lambda: heard.append(second.read(0.2) or b"") or b"".join(heard) == b"for two")
    second.close()
