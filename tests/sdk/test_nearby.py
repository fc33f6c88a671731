"""Which boards are in the air: heard by a bumble central, or by bleak on a computer whose Bluetooth cannot listen."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakError,
)
from bumble.core import AdvertisingData
from tests.bledevice import NAME, Device
from tests.central import Central, listening
from tests.sdk.cli.running import Run

from vitalwire.cli import main
from vitalwire.errors import TransportError
from vitalwire.registry import Registry
from vitalwire.transports import ble, scan
from vitalwire.transports.scan import Heard
from vitalwire_protocol import spec
from vitalwire_tools.virtual.air import Air

OURS = frozenset({spec.BLE_SERVICE})
REASON = BleakBluetoothNotAvailableReason


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run `vitalwire ports --ble` in a home of the test's own, with other ears than bleak's."""

    def run(listen: scan.Listen, *arguments: str) -> Run:
        monkeypatch.setenv("VITALWIRE_HOME", str(tmp_path))
        monkeypatch.setattr("vitalwire.cli.ports.nearby", partial(scan.nearby, listen=listen))
        code = main(["ports", "--ble", "--seconds", "1", *arguments])
        said = capsys.readouterr()
        return Run(code, said.out, said.err)

    return run


async def _neighbour(air: Air) -> None:
    """Have something else advertise, a watch perhaps."""
    watch = await Central(air, number=3).powered()
    data = AdvertisingData([(AdvertisingData.COMPLETE_LOCAL_NAME, b"watch")])
    await watch.start_advertising(advertising_data=bytes(data))


def test_boards_in_the_air_are_listed(air: Air, bledevice: Device, ports: Callable[..., Run], tmp_path: Path) -> None:
    """A board is told with its name, address and signal, and whether the registry has one of that name; what else
    advertises is not. One that somebody is connected to is silent, and what that means is said."""
    air.run(_neighbour(air))
    ears = listening(Central(air, number=2))
    registry = str(tmp_path / "registry")
    with Registry(registry) as trusted:
        trusted.enrol(bytes(32), "ward 8")
    (board,) = ports(ears, "--json", "--registry", registry).json
    assert (board["url"], board["name"], board["dbm"], board["enrolled"]) == ("ble://ward%207", NAME, -50, False)
    with Registry(registry) as trusted:
        trusted.enrol(bytes(31) + b"\1", NAME)
    said = ports(ears, "--registry", registry)
    assert said.code == 0
    assert "ble://ward%207" in said.out
    assert "one of this name" in said.out
    assert board["address"] in said.out
    air.run(Central(air).connect())
    done = ports(ears)
    assert (done.code, done.out) == (0, "")
    assert "nobody connected" in done.err


def test_names_are_cut_as_boards_cut_them(bledevice: Device) -> None:
    """A long name is looked for as the device advertises it, in whole characters."""
    for name in ("ward 7", "x" * 29, "x" * 30, "ä" * 32, "€" * 11):
        assert scan.advertised(name).encode() == bledevice.do(f"Ble(hal, {name!r}, 1)._name")


def test_whatever_a_stranger_advertises_is_shown_harmlessly(ports: Callable[..., Run]) -> None:
    """Control characters and markup in a name do nothing to a terminal; boards of one name are told by address; the
    strongest come first, and no more than a screen can bear."""

    async def listen(seconds: float) -> list[Heard]:
        crowd = [Heard("twin", f"00:00:00:00:00:{n:02X}", None, OURS) for n in range(scan.MOST)]
        return [
            *crowd,
            Heard("\x1b[2J[red]", "AA", -60, OURS),
            Heard("", "BB", -40, OURS),
            Heard("x", "CC", -1, frozenset()),
        ]

    rows = ports(listen, "--json").json
    assert len(rows) == scan.MOST
    assert [row["url"] for row in rows[:3]] == ["ble://BB", "ble://%1B%5B2J%5Bred%5D", "ble://00:00:00:00:00:00"]
    out = ports(listen).out
    assert "?[2J[red]" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BleakBluetoothNotAvailableError("", REASON.NO_BLUETOOTH), "has no Bluetooth adapter; plug one in"),
        (BleakBluetoothNotAvailableError("", REASON.NO_BLE_CENTRAL_ROLE), "cannot do Bluetooth LE"),
        (BleakBluetoothNotAvailableError("", REASON.POWERED_OFF), "Bluetooth is off; turn it on"),
        (BleakBluetoothNotAvailableError("", REASON.DENIED_BY_USER), "may not use Bluetooth; allow it"),
        (BleakBluetoothNotAvailableError("", REASON.DENIED_BY_SYSTEM), "may not use Bluetooth; allow it"),
        (BleakDBusError("org.bluez.Error.NotReady", ["Resource Not Ready"]), "Bluetooth is off; turn it on"),
        (BleakDBusError("org.freedesktop.DBus.Error.AccessDenied", []), "may not use Bluetooth; allow it"),
        (BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", []), "no Bluetooth service runs"),
        (PermissionError(errno.EACCES, ""), "may not use Bluetooth; allow it"),
        (BleakError("something new"), "Bluetooth fails: something new"),
        (RuntimeError(), "Bluetooth fails: RuntimeError"),
    ],
)
def test_a_computer_that_cannot_listen_is_told_why(error: Exception, words: str, ports: Callable[..., Run]) -> None:
    """Whatever bleak raises is one line that says what to do, and exit code 6."""

    async def listen(seconds: float) -> list[Heard]:
        raise error

    done = ports(listen)
    assert (done.code, done.out) == (6, "")
    assert len(done.err.strip().splitlines()) == 1
    assert words in done.err


@pytest.mark.skipif(not shutil.which("dbus-daemon"), reason="needs Debian's dbus-daemon")
def test_bleak_hears_what_bluez_hears(ports: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """bleak itself, on a D-Bus with a stand-in for BlueZ: what it hears is told; a device that is not there, or that
    cannot be connected to, and an adapter that is off or missing, are told for what they are."""
    from tests.bluez import Bluez

    watch = ("24:71:89:CC:09:06", "watch", -40, ["0000180d-0000-1000-8000-00805f9b34fb"])
    with Bluez(watch, ("24:71:89:CC:09:05", "ward 7", -61, [spec.BLE_SERVICE])) as bluez:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bluez.address)
        assert ports(scan.hear, "--json").json == [
            {"url": "ble://ward%207", "name": "ward 7", "address": "24:71:89:CC:09:05", "dbm": -61, "enrolled": False}
        ]
        assert bluez.asked["UUIDs"] == [spec.BLE_SERVICE]
        with pytest.raises(TransportError, match="cannot connect to 24:71"):
            ble.Ble("24:71:89:cc:09:05").open()
        monkeypatch.setattr(ble, "FIND_SECONDS", 0.5)
        with pytest.raises(TransportError, match="no ward 8 in reach"):
            ble.Ble("ward 8").open()
    for state, words in (({"powered": False}, "Bluetooth is off"), ({"adapter": False}, "has no Bluetooth adapter")):
        with Bluez(**state) as bluez:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bluez.address)
            assert words in ports(scan.hear).err


def test_bleak_without_a_bluetooth_service(ports: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no D-Bus is, bleak's own words are turned into what to do, for a scan and for a connection."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
    done = ports(scan.hear)
    assert done.code == 6
    assert "no Bluetooth service runs on this computer; on Linux install BlueZ" in done.err
    with pytest.raises(TransportError, match="no Bluetooth service runs"):
        ble.Ble("ward 7").open()


def test_a_bluetooth_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch, ports: Callable[..., Run]) -> None:
    """A system that never answers ends the command in time."""
    monkeypatch.setattr(scan, "GRACE", -0.9)

    async def listen(seconds: float) -> list[Heard]:
        await asyncio.sleep(3600)
        return []

    done = ports(listen)
    assert done.code == 6
    assert "does not answer" in done.err
