"""Frames kept aside until their descriptor is known, and when it was asked for. Bounded; judges nothing."""

from __future__ import annotations

from vitalwire.messages import Frame
from vitalwire.session.outcomes import Held, NeedDescriptor, Outcome, Reason, Refused
from vitalwire.session.waiting import Kept, May, Waiting


class Wanted:
    """Such frames of all devices; a descriptor is asked for again every `ask_us` while any waits for it."""

    def __init__(self, max_bytes: int, ask_us: int) -> None:
        self._held: Waiting[bytes] = Waiting(max_bytes)  # by descriptor
        self._asked: dict[bytes, int] = {}
        self._ask_us = ask_us

    def hold(self, frame: Frame, need: bytes, received_us: int, may: May | None) -> list[Outcome]:
        """Keep a frame and ask for what it needs; those that have to give way for it are refused."""
        out: list[Outcome] = [Held(frame)]
        if need not in self._asked:
            self._asked[need] = received_us
            out.append(NeedDescriptor(need))
        for kept in self._held.add(need, frame, received_us, may):
            out.append(Refused(Reason.UNKNOWN_DESCRIPTOR, "", kept.frame.raw))
            if kept.frame.descriptor is not None and kept.frame.descriptor not in self._held:
                self._asked.pop(kept.frame.descriptor, None)
        return out

    def take(self, need: bytes) -> list[Kept]:
        """Take the frames that needed this descriptor; it is asked for no more."""
        self._asked.pop(need, None)
        return self._held.take(need)

    def ask_again(self, now_us: int) -> list[Outcome]:
        """Return what is to be asked for again by now."""
        due = [digest for digest, asked_us in self._asked.items() if now_us - asked_us >= self._ask_us]
        self._asked |= dict.fromkeys(due, now_us)
        return [NeedDescriptor(digest) for digest in due]

    def deadline_us(self) -> int | None:
        """Return when the next one will be."""
        return min((asked_us + self._ask_us for asked_us in self._asked.values()), default=None)

    def rebase(self, now_us: int) -> None:
        """Take note that the clock was set back."""
        self._asked = {digest: min(when, now_us) for digest, when in self._asked.items()}

    def give_up(self) -> list[Outcome]:
        """Refuse everything that still waits."""
        self._asked.clear()
        return [Refused(Reason.UNKNOWN_DESCRIPTOR, "", kept.frame.raw) for kept in self._held.take_all()]
