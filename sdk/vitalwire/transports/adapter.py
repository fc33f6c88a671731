"""This computer's own Bluetooth: the library that reaches it, and in plain words what keeps it from working.

Opens nothing; errors are known by their names alone.
"""

from __future__ import annotations

from types import ModuleType

from vitalwire.errors import TransportError, UsageError

_ON = "turn it on in the system's settings; on Linux `rfkill unblock bluetooth` and `bluetoothctl power on`"
_ALLOW = "allow it in the system's settings; on Linux your user needs access to BlueZ over D-Bus"
_NONE = ("this computer has no Bluetooth adapter", "plug one in; on Linux `bluetoothctl list` shows which there are")
_OFF = ("Bluetooth is off", _ON)
_DENIED = ("this program may not use Bluetooth", _ALLOW)
_SERVICE = ("no Bluetooth service runs on this computer", "on Linux install BlueZ and start its service `bluetooth`")

# By bleak's reasons (BleakBluetoothNotAvailableReason), D-Bus's names of errors, and Python's.
_WORDS: dict[str, tuple[str, str]] = {
    "NO_BLUETOOTH": _NONE,
    "NO_BLE_CENTRAL_ROLE": ("this computer's Bluetooth adapter cannot do Bluetooth LE", "plug in another one"),
    "POWERED_OFF": _OFF,
    "DENIED_BY_USER": _DENIED,
    "DENIED_BY_SYSTEM": _DENIED,
    "DENIED_BY_UNKNOWN": _DENIED,
    "org.bluez.Error.NotReady": _OFF,
    "org.bluez.Error.NotPermitted": _DENIED,
    "org.freedesktop.DBus.Error.AccessDenied": _DENIED,
    "org.freedesktop.DBus.Error.ServiceUnknown": _SERVICE,
    "FileNotFoundError": _SERVICE,  # no D-Bus
    "ConnectionRefusedError": _SERVICE,
    "PermissionError": _DENIED,
}


def library() -> ModuleType:
    """Return bleak. Raises UsageError if it is not installed."""
    try:
        import bleak
    except ImportError:
        raise UsageError("Bluetooth needs bleak", advice='pip install "vitalwire[ble]"') from None
    return bleak


def trouble(error: Exception) -> TransportError:
    """Return what to tell a person of an error that this computer's Bluetooth raised."""
    reason = getattr(getattr(error, "reason", None), "name", "")
    kind = reason or getattr(error, "dbus_error", "") or type(error).__name__
    if kind in _WORDS:
        words, advice = _WORDS[kind]
        return TransportError(words, reason="bluetooth", advice=advice)
    return TransportError(f"Bluetooth fails: {str(error) or type(error).__name__}", reason="bluetooth")
