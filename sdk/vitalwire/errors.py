"""Every error the SDK raises on purpose; any other exception is a bug of ours.

VitalwireError                 base; `exit_code` ends the CLI, `reason` is for programs, `advice` for people
|- InputError            (3)   bytes from outside that are not what they should be
|  |- PacketError              a packet that does not decode
|  |- CborError                not deterministic CBOR, or beyond a limit
|  |- FrameError               a COSE message or a frame's map of the wrong form
|  |- BlockError               a compressed block that does not decode
|  `- CaptureError             a capture file of the wrong form
|- TrustError            (4)   well-formed, but not to be believed
|  |- SignatureError           signature, MAC or high s
|  |- ForeignError             a device nobody enrolled
|  `- RevokedError             a device whose trust was withdrawn
|- CommandError          (5)   a device refused or did not answer a command
|- TransportError        (6)   a port, socket or file that cannot be opened or went away
|- WorkerError           (6)   a process of ours that ended before its work was done
|- SinkError             (7)   a sink's peer that is away, busy, or refuses us: the same batch again, later
|- SpoolError            (8)   the spool cannot take more: what it refuses stays where it is
`- UsageError            (2)   a wrong argument: address, option, file name
"""

from __future__ import annotations

from typing import ClassVar


class VitalwireError(Exception):
    """Base of all errors; `str()` is one line, `advice` says what to do next (may be empty).

    `reason` is one word for programs: of the vocabulary of `protocol/vectors/README.md` where bytes were refused.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, reason: str = "", advice: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.advice = advice


class InputError(VitalwireError):
    """Bytes from outside that are not what they should be."""

    exit_code = 3


class PacketError(InputError):
    """A packet that does not decode."""


class CborError(InputError):
    """Not deterministic CBOR, or beyond a limit."""


class FrameError(InputError):
    """A COSE message or a frame's map of the wrong form."""


class BlockError(InputError):
    """A compressed block that does not decode."""


class CaptureError(InputError):
    """A capture file of the wrong form."""


class TrustError(VitalwireError):
    """Well-formed, but not to be believed."""

    exit_code = 4


class SignatureError(TrustError):
    """A signature or MAC that does not verify, or a signature with high s."""


class ForeignError(TrustError):
    """A device nobody enrolled."""


class RevokedError(TrustError):
    """A device whose trust was withdrawn."""


class CommandError(VitalwireError):
    """A device refused a command or did not answer it."""

    exit_code = 5


class TransportError(VitalwireError):
    """A port, socket or file that cannot be opened or went away."""

    exit_code = 6


class SinkError(VitalwireError):
    """A sink's peer that is away, busy or refuses us; the same batch again, not before `retry_after` seconds."""

    exit_code = 7

    def __init__(self, message: str, *, reason: str = "", advice: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message, reason=reason, advice=advice)
        self.retry_after = retry_after


class WorkerError(VitalwireError):
    """A process of ours that ended before its work was done."""

    exit_code = 6


class SpoolError(VitalwireError):
    """The spool cannot take more; `reason` says what is full, `spool` by its bound or `disk`."""

    exit_code = 8


class UsageError(VitalwireError):
    """A wrong argument: address, option, file name."""

    exit_code = 2
