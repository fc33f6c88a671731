# Whether each link that connects out reaches its peer, by the code that does it in earnest: one line of JSON a link.
# Loaded for `vitalwire board doctor`, where there is such a link.
import json
from binascii import hexlify

from micropython import const

_PATIENCE = const(20_000_000)  # us until a peer counts as not reached
_TRIES = const(2)
_STAYS = const(2_000_000)  # us that a connection must stay: TLS 1.3 tells afterwards who is not welcome


def run(hal, config):
    for text in config.links:
        kind, _, peer = text.partition("://")
        if peer:
            _reach(hal, config, text, __import__("links." + kind, None, None, ("make",)).make(hal, config, peer))


def _reach(hal, config, text, stream):
    station = hal.station()
    buffer = bytearray(64)
    certificate, authority = _file(hal, "client.der"), _file(hal, "ca.der")
    end = hal.wall() + _PATIENCE
    since = -1
    while certificate and authority and hal.wall() < end and stream.session < _TRIES:
        if since >= 0 and hal.wall() - since > _STAYS:
            break
        stream.step(hal.wall())
        stream.readinto(buffer)
        if not getattr(stream, "ready", stream.up):
            since = -1
        elif since < 0:
            since = hal.wall()
        hal.idle(hal.ticks() + 10_000)
    facts = {
        "check": "reach",
        "link": text,
        "network": not station or bool(hal.recall("ssid")),
        "online": not station or station.isconnected(),
        "date": hal.date(),
        "certificate": certificate,
        "authority": authority,
        "up": since >= 0,
        "why": stream.why,
    }
    stream.lose("")
    print(json.dumps(facts))


def _file(hal, name):
    try:
        with open(hal.files() + "/" + name, "rb") as f:
            return hexlify(f.read()).decode()
    except OSError:
        return ""
