"""Frames from a broker as if their devices were at the other end: verified once and in order, whatever came twice.

    inbox = Inbox()
    subscription.on_message = lambda message: inbox.put(message.body)   # of whatever broker
    for frame in vitalwire.connect(inbox): ...

or, for MQTT, `vitalwire.connect("mqtt://host/vitalwire/+/frames?client=me")`.
"""

from .inbox import Inbox

__all__ = ["Inbox"]
