"""Signed vital signs from the sensor chip to the record: connect to a device and read what it proves.

    import vitalwire

    with vitalwire.connect("serial:///dev/ttyUSB0") as client:
        for frame in client:
            ecg = frame.signals["ecg_lead_i"]
            print(frame.name, ecg.time[-1], ecg.values[-1], ecg.unit)

Only devices enrolled in the registry are believed. Everything else the package does has a module of its own.
"""

from __future__ import annotations

from vitalwire.capture import Writer as CaptureWriter
from vitalwire.capture import read as read_capture
from vitalwire.client import AsyncClient, Client, VerifiedFrame, aconnect, connect
from vitalwire.errors import VitalwireError
from vitalwire.messages import Trust
from vitalwire.registry import Registry
from vitalwire.session import Session
from vitalwire.signals import Signal

__all__ = [
    "AsyncClient",
    "CaptureWriter",
    "Client",
    "Registry",
    "Session",
    "Signal",
    "Trust",
    "VerifiedFrame",
    "VitalwireError",
    "aconnect",
    "connect",
    "read_capture",
]
