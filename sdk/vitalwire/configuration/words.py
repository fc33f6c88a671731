"""Settings as people write them, `policy=seal`, and as a device reads them; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vitalwire.errors import UsageError
from vitalwire_protocol.spec import SETTINGS, Setting


def from_words(words: Iterable[str]) -> dict[Setting, int]:
    """Return the settings that `name=value` words say; UsageError for an unknown name or a value out of bounds."""
    found: dict[Setting, int] = {}
    for word in words:
        name, equals, value = word.partition("=")
        setting = Setting.__members__.get(name.upper())
        if setting is None or not equals:
            raise UsageError(f"no setting is called {name!r}", advice="there are " + ", ".join(map(_name, SETTINGS)))
        if setting in found:
            raise UsageError(f"{name} is said twice")
        found[setting] = _number(setting, value)
    return found


def to_words(settings: Mapping[Any, int]) -> dict[str, int | str]:
    """Return settings by name, with words where they have them; one that is not known goes by its number."""
    found: dict[str, int | str] = {}
    for key, value in settings.items():
        if key not in Setting._value2member_map_:
            found[str(key)] = value
            continue
        rule = SETTINGS[Setting(key)]
        found[_name(Setting(key))] = rule.words[value - 1] if 0 < value <= len(rule.words) else value
    return found


def _name(setting: Setting) -> str:
    return setting.name.lower()


def _number(setting: Setting, value: str) -> int:
    rule = SETTINGS[setting]
    if rule.words:
        if value not in rule.words:
            raise UsageError(f"{_name(setting)} cannot be {value!r}", advice="it is " + ", ".join(rule.words))
        return rule.words.index(value) + 1
    try:
        number = int(value, 0)
    except ValueError:
        number = -1
    if number not in (rule.only or range(rule.least, rule.most + 1)):
        allowed = ", ".join(map(str, rule.only)) or f"a whole number from {rule.least} to {rule.most}"
        raise UsageError(f"{_name(setting)} cannot be {value!r}", advice=f"it is {allowed}")
    return number
