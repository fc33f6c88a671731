"""The verdict on a record: what in it is to be believed, what is missing, and whether anything contradicts itself."""

from vitalwire.verdict.part import judge_part
from vitalwire.verdict.report import Conclusion, as_dict, conclude, device_as_dict, missing, refused
from vitalwire.verdict.run import Part
from vitalwire.verdict.tally import DeviceVerdict
from vitalwire.verdict.verifier import MAX_DESCRIPTORS, Known, Verdict, Verifier, verify

__all__ = [
    "MAX_DESCRIPTORS",
    "Conclusion",
    "DeviceVerdict",
    "Known",
    "Part",
    "Verdict",
    "Verifier",
    "as_dict",
    "conclude",
    "device_as_dict",
    "judge_part",
    "missing",
    "refused",
    "verify",
]
