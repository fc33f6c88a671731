"""The verdict on a record: what in it is to be believed, what is missing, and whether anything contradicts itself."""

from vitalwire.verdict.tally import DeviceVerdict
from vitalwire.verdict.verifier import Verdict, Verifier, verify

__all__ = ["DeviceVerdict", "Verdict", "Verifier", "verify"]
