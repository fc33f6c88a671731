# A stream to Azure's IoT Hub itself: MQTT as to any broker, and the device's twin. What an operator signed, as the
# desired property `configuration`, is taken as if it had come by a command; what came of it and what is in force is
# reported. A hub's own word is obeyed in nothing: direct methods are answered with a refusal. What is not read is told.
import json
from binascii import a2b_base64
from hashlib import sha256

from cbor import decode
from micropython import const
from settings import NAMES, SETTINGS
from unload import drop
from wire import (
    MAX_COMMAND,
    REPORTEDKEY_IN_FORCE,
    REPORTEDKEY_NEWEST,
    REPORTEDKEY_OUTCOME,
    REPORTEDKEY_SETTING,
    REPORTEDKEY_SETTINGS,
    RESULT_CONFIGURATION_FAILED,
    RESULT_CONFIGURATION_FOREIGN,
    RESULT_CONFIGURATION_FORGED,
    RESULT_CONFIGURATION_OLD,
    RESULT_CONFIGURATION_RANGE,
    RESULT_CONFIGURATION_UNKNOWN,
    RESULT_NOT_PROVISIONED,
    RESULT_OK,
)

from links.mqtts import Mqtt, context, publication, start

_ROOT = "$iothub/"
_METHODS = _ROOT + "methods/POST/"
_DESIRED = _ROOT + "twin/PATCH/properties/desired/"
_ANSWERS = _ROOT + "twin/res/"
_GET = "g"  # what the twin's answer goes by
_MOST = const(69632)  # bytes of a message: a hub's twin has 32 KiB on either side, and some more around
_MOST_READ = const(4096)  # bytes of one that is read
_MOST_TOPIC = const(192)  # bytes of one of the hub's topics
_MOST_DUE = const(4)  # answers to methods that wait
_AGAIN = const(60_000_000)  # us until a twin that was not given is asked for again
_WORDS = {
    RESULT_OK: (200, ""),
    RESULT_NOT_PROVISIONED: (403, "no operator's key on this board"),
    RESULT_CONFIGURATION_FORGED: (403, "not signed by this board's operator"),
    RESULT_CONFIGURATION_FOREIGN: (403, "for another device"),
    RESULT_CONFIGURATION_OLD: (409, "no newer than what was taken before"),
    RESULT_CONFIGURATION_UNKNOWN: (400, "no such setting: "),
    RESULT_CONFIGURATION_RANGE: (400, "out of bounds, or at odds with the rest: "),
    RESULT_CONFIGURATION_FAILED: (507, "no room for it"),
}
_LONG = (413, "a twin of more than %d bytes is not read" % _MOST_READ)
_SHAPE = (400, "configuration is what `vitalwire config sign` printed")
_REFUSAL = b'{"error": "a hub alone commands no board: commands need its secret, which a gateway has"}'


def make(hal, config, peer):
    return Hub(hal, peer, context(hal, config), start(hal, config), config.device, config.window)


class Hub(Mqtt):
    # app: the board's, set once it is there
    _most = _MOST
    app = None

    def __init__(self, hal, peer, context, online, name, window):
        Mqtt.__init__(self, hal, peer, context, online, name, window)
        self._down += (_METHODS + "#", _DESIRED + "#", _ANSWERS + "#")
        self._head = memoryview(bytearray(_MOST_TOPIC))
        self._due = []  # messages to be said
        self._again = 0  # when to ask for the twin; never, if -1
        self._came = None  # (topic, body) that waits to be looked at
        self._announced = False
        self._document = self._digest = None  # a configuration to be taken; of the last one that was
        self._version = None  # of the desired properties that had one
        self._refused = None  # why the board never saw it
        self._told = None  # what was reported last

    def lose(self, why):
        self._due = []
        self._came = None
        self._again = 0
        Mqtt.lose(self, why)

    def hold(self, now):
        try:
            done = self._tend(now)
        except MemoryError:
            # there may be more by then
            self._again = now + _AGAIN
            done = None
        return done or Mqtt.hold(self, now)

    def _tend(self, now):
        if self._came:
            # to look at it takes a while
            self._announced = not self._announced
            if self._announced:
                return ("long", 0)
            topic, body = self._came
            self._came = None
            self._look(topic, body)
            return ("bytecode", 2000)
        if self.ready:
            if 0 <= self._again <= now:
                self._again = -1
                self._told = None
                self._due.append(publication(_ROOT + "twin/GET/?$rid=" + _GET, b""))
            if self._due and not (self._begun or self._said or self._saying):
                self._saying = self._due.pop(0)
            return self._serve()
        return None

    def _serve(self):
        app = self.app
        if not app or not app.recorder or app.recorder.step:
            return None
        if self._document:
            document = self._document
            self._document = None
            app.recorder.step = lambda now: __import__("twin").take(app, document, now)
        elif app.reported != self._told and not self._due:
            self._told = app.reported
            report = json.dumps(self._report(decode(app.reported)))
            self._due.append(publication(_ROOT + "twin/PATCH/properties/reported/?$rid=r", report.encode()))
            return ("bytecode", 3000)
        return None

    def _report(self, fields):
        settings = {}
        for key, value in fields[REPORTEDKEY_SETTINGS].items():
            rule = SETTINGS[NAMES[key]]
            settings[NAMES[key]] = rule[1][value - 1] if len(rule) == 2 else value
        said = {
            "inForce": fields[REPORTEDKEY_IN_FORCE],
            "lastTaken": fields[REPORTEDKEY_NEWEST],
            "settings": settings,
        }
        if self._version is not None and (self._refused or REPORTEDKEY_OUTCOME in fields):
            status, words = self._refused or _WORDS[fields[REPORTEDKEY_OUTCOME]]
            if words.endswith(" "):
                words += NAMES.get(fields[REPORTEDKEY_SETTING], str(fields[REPORTEDKEY_SETTING]))
            said["configuration"] = {"ac": status, "av": self._version, "ad": words}
        return said

    # ------------------------------------------------------------ in

    def _topic(self, n):
        # Returns what reads the message, None for one that is for the device.
        part = min(n, _MOST_TOPIC)
        yield from self._take(part)
        topic = bytes(self._head[:part])
        yield from self._skip(n - part)
        if not topic.startswith(_ROOT.encode()):
            return None
        # one that is cut off would be answered wrongly
        return lambda size: self._hear(topic if n == part else b"", size)

    def _hear(self, topic, n):
        body = None
        if n <= _MOST_READ:
            try:
                body = bytearray(n)
            except MemoryError:
                pass
        if body is None:
            yield from self._skip(n)
        else:
            for at in range(0, n, _MOST_TOPIC):
                part = min(n - at, _MOST_TOPIC)
                yield from self._take(part)
                body[at : at + part] = self._head[:part]
        self._came = topic, body
        while self._came:
            yield

    def _look(self, topic, body):
        try:
            topic = topic.decode()
            said = json.loads(bytes(body)) if body else None
        except (ValueError, MemoryError):
            said = None
        if not isinstance(topic, str):
            return
        before, _, id = topic.partition("?$rid=")
        if topic.startswith(_METHODS):
            if id and len(self._due) < _MOST_DUE:
                self._due.append(publication(_ROOT + "methods/res/501/?$rid=" + id, _REFUSAL))
        elif topic.startswith(_DESIRED):
            self._desired(said, body)
        elif id == _GET:
            if before.startswith(_ANSWERS + "200/"):
                self._desired(said.get("desired") if isinstance(said, dict) else None, body)
            else:
                self._again = self._now + _AGAIN

    def _desired(self, said, body):
        # Each is taken once a start, so that what was refused makes no event with each connection.
        if not isinstance(said, dict):
            self._version = self._version or 0
            self._refused = _SHAPE if body else _LONG
        elif "configuration" in said:
            version = said.get("$version")
            self._version = version if isinstance(version, int) else 0
            self._refused = None
            text = said["configuration"]
            try:
                document = a2b_base64(text) if isinstance(text, str) else b""
            except ValueError:
                document = b""
            if not 0 < len(document) <= MAX_COMMAND:
                self._refused = _SHAPE
            else:
                digest = sha256(document).digest()
                if digest != self._digest:
                    self._digest = digest
                    self._document = document
        else:
            return
        self._told = None


drop("settings")
