# This board's settings and keys, from the file system. Where a setting is refused, the board keeps everything and gives
# its prompt to nobody, and encrypts, whatever else was said; keys are never shown, logged or sent.
import json

from settings import SETTINGS, cycle
from wire import MAX_COEFFICIENTS

# Which links there are, and whether host:port says with whom.
_LINKS = {"serial": False, "tls": True, "mqtts": True, "hub": True, "ble": False}

# what only provisioning sets; name: (default, smallest, largest), or (default, allowed) for texts and lists, or a
# boolean; `spo2` is a polynomial
SETTINGS.update(
    {
        "device": ("vitalwire", None),
        "window": (8, 1, 32),
        "repl": (True,),
        "hedge": (True,),
        "spo2": ("",),
        "links": (["serial"], _LINKS),
        "durable": ("gateway", ("gateway", "broker")),
        "ntp": ("pool.ntp.org", None),
        "public_vitals": (False,),
    }
)


class Config:
    # `key`: the P-256 scalar, `secret`: the controller's; 32 bytes. `maker`: x and y, 64 bytes, of the key that signs
    # updates. None where not provisioned. `counted`: whether this key has signed; then a journal without counters means
    # that they were lost. desired: settings that go before the file's.
    ecg_hz = ppg_hz = accel_hz = 0  # few boards set them: no room is taken where they do not

    def __init__(self, hal, desired=()):
        self.refused = None  # name of the first setting that was not taken
        try:
            with open(hal.files() + "/config.json") as f:
                given = json.load(f)
            if not isinstance(given, dict):
                raise ValueError
        except OSError:
            given = {}
        except ValueError:
            given = {}
            self.refused = "config.json"
        for name in desired:
            given[name] = desired[name]
        for name, rule in SETTINGS.items():
            value = given.get(name, rule[0])
            if not _fits(value, rule):
                self.refused = self.refused or name
                value = rule[0]
            if value != getattr(self, name, None):
                setattr(self, name, value)
        for name in given:
            if name not in SETTINGS:
                self.refused = self.refused or name
        if not cycle(self.on_s, self.every_s):
            self.refused = self.refused or "on_s"
            self.on_s = self.every_s = 0
        self.spo2 = _curve(self.spo2)
        if self.refused:
            self.when_full = "stop"
            self.repl = self.public_vitals = False
            self.policy = "private"
        self.key = _bytes(hal, "key", 32)
        self.secret = _bytes(hal, "secret", 32)
        self.maker = _bytes(hal, "maker", 64)
        self.counted = hal.recall("counted") is not None

    def count(self, hal):
        if not self.counted:
            hal.keep("counted", b"1")


def _fits(value, rule):
    if type(value) is not type(rule[0]):
        return False
    if len(rule) == 3:
        return rule[1] <= value <= rule[2]
    if isinstance(value, list):
        return 0 < len(value) <= len(rule[1]) and all(map(_is_link, value)) and len(set(value)) == len(value)
    if len(rule) == 2:
        return value in rule[1] if rule[1] else 0 < len(value.encode()) <= 64
    return type(value) is bool or _curve(value) is not None


def _curve(text):
    # "110 -2.5", c0 and c1, as a descriptor has it: [[110, 0], [-25, -1]]; None for what is none
    rows = []
    for word in text.split():
        sign, _, digits = word.rpartition("-")
        whole, _, part = digits.partition(".")
        if sign or len(word) > 19 or not (whole + part).isdigit():
            return None
        rows.append([int(word.replace(".", "")), -len(part)])
    return rows if len(rows) <= MAX_COEFFICIENTS else None


def _is_link(text):
    # kind, or kind://host:port
    if not isinstance(text, str) or len(text) > 128:
        return False
    kind, _, peer = text.partition("://")
    host, _, port = peer.rpartition(":")
    named = bool(host and port) and not port.strip("0123456789") and 0 < int(port) < 65536
    return kind in _LINKS and named == _LINKS[kind] and (named or text == kind)


def _bytes(hal, name, size):
    value = hal.recall(name)
    return value if value and len(value) == size else None
