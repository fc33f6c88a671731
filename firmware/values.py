# Settings as a configuration has them, numbers by key, and as the board's file has them, by name. Needed where one is
# looked at or reported.
import json

from cbor import decode, put
from settings import NAMES, SETTINGS, cycle
from wire import (
    MAX_COMMAND,
    RESULT_CONFIGURATION_RANGE,
    RESULT_CONFIGURATION_UNKNOWN,
    RESULT_OK,
    SETTING_CHANNELS_OFF,
    SETTING_EVERY_S,
    SETTING_ON_S,
)


def named(streams, settings):
    # (result, key of the setting it is about or 0, settings by name): whether this board can take them, all of them
    found = {}
    for key in settings:
        if key not in NAMES:
            return RESULT_CONFIGURATION_UNKNOWN, key, None
        name = NAMES[key]
        value = settings[key]
        rule = SETTINGS[name]
        worded = type(rule[0]) is str
        if worded:
            value = _word(rule[1], value)
        if not _fits(name, value):
            return RESULT_CONFIGURATION_RANGE, key, None
        found[name] = value
        if value and len(rule) == 2 and not worded:
            import rates

            if value not in rates.values([type(stream.sensor) for stream in streams], name):
                return RESULT_CONFIGURATION_RANGE, key, None
    pair = [settings[key] for key in (SETTING_ON_S, SETTING_EVERY_S) if key in settings]
    if pair and not (len(pair) == 2 and cycle(*pair)):
        return RESULT_CONFIGURATION_RANGE, SETTING_ON_S, None
    off = settings.get(SETTING_CHANNELS_OFF, 0)
    for stream in streams:
        own = (1 << stream.channels) - 1 << stream.channel
        if off & own == own:
            off &= ~own
    if off:
        return RESULT_CONFIGURATION_RANGE, SETTING_CHANNELS_OFF, None
    return RESULT_OK, 0, found


def _word(words, number):
    return words[number - 1] if type(number) is int and 0 < number <= len(words) else None


def _fits(name, value):
    rule = SETTINGS[name]
    if type(value) is not type(rule[0]):
        return False
    return value in rule[1] if len(rule) == 2 else rule[1] <= value <= rule[2]


def all_of(root, settings):
    # every setting by name: these, else what was provisioned, else the default
    try:
        with open(root + "/config.json") as f:
            provisioned = json.load(f)
    except (OSError, ValueError):
        provisioned = {}
    found = {}
    for name in NAMES.values():
        value = settings.get(name, provisioned.get(name))
        found[name] = value if _fits(name, value) else SETTINGS[name][0]
    return found


def report(app, changes):
    # what the board says of its configuration from now on, by ReportedKey
    fields = decode(app.reported) if app.reported else {}
    fields.update(changes)
    buf = memoryview(bytearray(MAX_COMMAND // 2))
    app.reported = bytes(buf[: put(buf, 0, fields)])


def numbers(settings):
    # every setting by key
    found = {}
    for key in NAMES:
        value = settings[NAMES[key]]
        found[key] = value if type(value) is int else SETTINGS[NAMES[key]][1].index(value) + 1
    return found
