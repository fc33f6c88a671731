"""A verified frame as its consumer sees it: samples in physical units and UTC, events, status. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from vitalwire.clock import SampleTimes
from vitalwire.messages import Descriptor, Event, Frame, Trust
from vitalwire.session import Verified
from vitalwire.signals import Signal, Signals, decode
from vitalwire_protocol.spec import Kind


@dataclass(frozen=True)
class VerifiedFrame:
    """One frame that its device signed, sealed, or, where `trust` is `AUTHENTIC`, that only a MAC proves so far.

    `name` is what the device is called in the registry, `device` its thumbprint (32 bytes). `time` is the UTC of the
    frame's ticks in seconds since 1970 (NaN if unknown), `uncertainty` of `time` and of all samples' times, in seconds.
    """

    verified: Verified = field(repr=False)
    name: str
    time: float
    uncertainty: float
    times: Mapping[int, SampleTimes] = field(repr=False)  # by stream

    @property
    def device(self) -> bytes:
        """The thumbprint of the device."""
        return self.verified.device

    @property
    def frame(self) -> Frame:
        """The frame as it was parsed."""
        return self.verified.frame

    @property
    def descriptor(self) -> Descriptor:
        """What the device said of itself and its channels."""
        return self.verified.descriptor

    @property
    def kind(self) -> Kind | int:
        """What the frame carries."""
        return self.frame.kind

    @property
    def boot(self) -> int:
        """Which boot of the device, from 1."""
        return self.frame.boot

    @property
    def seq(self) -> int:
        """The frame's number, over all boots, from 1."""
        return self.frame.seq

    @property
    def raw(self) -> bytes:
        """The signed message."""
        return self.frame.raw

    @property
    def late(self) -> bool:
        """Whether frames with higher numbers came out before."""
        return self.verified.late

    @property
    def trust(self) -> Trust:
        """What proved it when it was given out; `Sealed` and `Disproved` events say what became of an authentic one."""
        return self.verified.trust

    @property
    def opaque(self) -> bool:
        """Whether it keeps contents private that this reader has no key for: no signals, and not all events."""
        return self.frame.opaque is not None

    @cached_property
    def signals(self) -> Signals:
        """The samples by channel name, each with `counts`, `values`, `unit`, `time` (seconds UTC) and `valid`.

        Raises BlockError or FrameError if what the device signed does not decode.
        """
        return {name: self._timed(signal) for name, signal in decode(self.frame, self.descriptor).items()}

    def take(self, signals: Signals) -> None:
        """Take what `decode` returns for this frame, decoded in one pass with others."""
        vars(self)["signals"] = {name: self._timed(signal) for name, signal in signals.items()}

    def _timed(self, signal: Signal) -> Signal:
        if signal.at is not None:  # a scalar: each reading has ticks of its own
            return replace(signal, time=self.time + (signal.at - self.frame.ticks) / 1e6)
        found = self.times.get(-1 if signal.channel.stream is None else signal.channel.stream)
        return signal if found is None else replace(signal, time=found.utc)

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened, each with a `code`, `ticks` and `details`; `time_of(event.ticks)` is its UTC."""
        return self.frame.events

    @property
    def status(self) -> Mapping[int, int]:
        """The counters of a status frame by `spec.Counter`; of any other frame, none."""
        return self.frame.counters

    def time_of(self, ticks: int) -> float:
        """Return the UTC (seconds since 1970) of a moment of the device's clock near this frame; NaN if unknown."""
        return self.time + (ticks - self.frame.ticks) / 1e6
