"""For tests of software that uses vitalwire: devices that make valid signed frames, and ways to damage those.

Nothing here is used by the rest of the SDK. The keys are made anew for each device and worth nothing.
"""

from vitalwire.testing.device import FakeDevice
from vitalwire.testing.tamper import flipped, forged, high_s, remade, unprotected

__all__ = ["FakeDevice", "flipped", "forged", "high_s", "remade", "unprotected"]
