"""One stream of packets: frames and log lines out of its bytes, commands and acknowledgements into them.

No I/O, no threads, no clock; judges no frame. Times are given: `now` is monotonic seconds, `utc_us` microseconds since
1970. Nothing a peer sends raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from vitalwire.control import Acknowledged, AcknowledgeRefused, ControlEvent, Controller
from vitalwire.errors import PacketError
from vitalwire.packet import LogLine, Packet, PacketDecoder, encode_packet, parse_log
from vitalwire.ranges import Ranges
from vitalwire_protocol.spec import PACKET_DELIMITER, PacketType

LineEvent: TypeAlias = ControlEvent | LogLine
MAX_ACKNOWLEDGING = 4096  # ranges on their way; the device sends again what is forgotten here


class Line:
    """`frame` gets each frame's bytes and when it arrived, `tell` all else, both as they come."""

    def __init__(
        self, controller: Controller, frame: Callable[[bytes, float, int], None], tell: Callable[[LineEvent], None]
    ) -> None:
        self.controller = controller
        self.acknowledging = Ranges()  # what the device has not yet confirmed
        self._frame = frame
        self._tell = tell
        self._decoder = PacketDecoder()

    def feed(self, data: bytes, now: float, utc_us: int) -> None:
        """Take bytes that arrived at `now`, which was `utc_us`."""
        for packet in self._decoder.feed(data):
            handle = _HANDLERS.get(packet.type)
            if handle is not None:
                handle(self, packet, now, utc_us)

    def acknowledge(self, device: bytes, first: int, last: int) -> None:
        """Tell the device that its frames `first` to `last` are durable."""
        self.controller.acknowledge(device, first, last)
        if len(self.acknowledging) < MAX_ACKNOWLEDGING:
            self.acknowledging.add(first, last)

    def poll(self, now: float) -> bytes:
        """Return the bytes to send now; to be called after each `feed` and ten times a second."""
        packets = self.controller.poll(now)
        self._events()
        return b"".join(encode_packet(packet.type, packet.id, packet.body) for packet in packets)

    def lapse(self, now: float) -> None:
        """Give up what was not answered in time, for as long as there is no stream."""
        self.controller.lapse(now)
        self._events()

    def reconnected(self) -> None:
        """Note that the stream is a new one."""
        self._decoder.feed(bytes([PACKET_DELIMITER]))  # what was begun will not be finished
        self.controller.reconnected()

    def _on_frame(self, packet: Packet, now: float, utc_us: int) -> None:
        self._frame(packet.body, now, utc_us)

    def _on_reply(self, packet: Packet, now: float, utc_us: int) -> None:
        self.controller.feed(packet, now, utc_us)
        self._events()

    def _on_log(self, packet: Packet, now: float, utc_us: int) -> None:
        try:
            self._tell(parse_log(packet.body))
        except PacketError:
            return

    def _events(self) -> None:
        for event in self.controller.events():
            if isinstance(event, Acknowledged | AcknowledgeRefused):
                for first, last in event.ranges:
                    self.acknowledging.discard(first, last)
            self._tell(event)


_HANDLERS: dict[int, Callable[[Line, Packet, float, int], None]] = {
    PacketType.FRAME: Line._on_frame,
    PacketType.REPLY: Line._on_reply,
    PacketType.LOG: Line._on_log,
}
