"""Updates of a device's firmware: what a maker signs, and its way to the device (SPEC.md section 14)."""

from .manifest import Manifest, PackedFile, parse_manifest, sign_manifest
from .package import Package, pack, read_package
from .send import Progress, apply, confirmed, installing, send, waits

__all__ = [
    "Manifest",
    "Package",
    "PackedFile",
    "Progress",
    "apply",
    "confirmed",
    "installing",
    "pack",
    "parse_manifest",
    "read_package",
    "send",
    "sign_manifest",
    "waits",
]
