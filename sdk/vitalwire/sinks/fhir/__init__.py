"""Delivers to a FHIR R4 server: windows of frames as Observations with their signed proof, each written once.

Frames are kept in a file of the sink's own (`store`) until the server has acknowledged all that is made of them.
"""

from __future__ import annotations

from vitalwire.sinks.descriptors import FindDescriptor

from .settings import Settings
from .sink import Fhir

__all__ = ["Fhir", "Settings", "from_settings"]


def from_settings(settings: Settings, find: FindDescriptor) -> Fhir:
    """Return the sink of these settings."""
    return Fhir(settings, find)
