"""What an operator's key signs: for which device, above which version, which settings; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitalwire.crypto import PrivateKey, PublicKey
from vitalwire.errors import FrameError
from vitalwire.frame.fields import integer, mapping, octets
from vitalwire.frame.signed import Document
from vitalwire_protocol import spec
from vitalwire_protocol.spec import SETTINGS, ConfigurationKey, Setting

MAX_VERSION = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of one device; what is not named is as provisioned. `version` rises with each one."""

    device: bytes  # thumbprint, 32 bytes
    version: int
    settings: Mapping[Setting, int]


def sign_configuration(configuration: Configuration, key: PrivateKey) -> bytes:
    """Return it as a COSE_Sign1 for the use `AAD_CONFIGURATION`; raises UsageError for one no device would take."""
    fields = {
        ConfigurationKey.FORMAT: spec.VERSION,
        ConfigurationKey.DEVICE: configuration.device,
        ConfigurationKey.VERSION: configuration.version,
        ConfigurationKey.SETTINGS: dict(configuration.settings),
    }
    return _DOCUMENT.sign(fields, key)


def parse_configuration(message: bytes, key: PublicKey) -> Configuration:
    """Return what `key` signed; raises FrameError or CborError for its form, SignatureError for another key's."""
    return _DOCUMENT.parse(message, key)


def _read(fields: Mapping[int, Any]) -> Configuration:
    integer(fields, ConfigurationKey.FORMAT, spec.VERSION, spec.VERSION)
    settings = mapping(fields, ConfigurationKey.SETTINGS)
    pair = [settings[key] for key in (Setting.ON_S, Setting.EVERY_S) if key in settings]
    found = dict(_setting(settings, key) for key in settings)
    if pair and not (len(pair) == 2 and spec.cycle(*pair)):
        raise FrameError("on_s and every_s go together, the first below the second, or both are 0", reason="range")
    return Configuration(
        octets(fields, ConfigurationKey.DEVICE, spec.THUMBPRINT_SIZE),
        integer(fields, ConfigurationKey.VERSION, 1, MAX_VERSION),
        found,
    )


def _setting(settings: Mapping[int, Any], key: int) -> tuple[Setting, int]:
    if key not in Setting._value2member_map_:
        raise FrameError(f"{key} is no setting", reason="range")
    setting = Setting(key)
    rule = SETTINGS[setting]
    value = integer(settings, setting, rule.least, rule.most)
    if rule.only and value not in rule.only:
        raise FrameError(f"{setting.name} out of bounds: {value}", reason="range")
    return setting, value


_DOCUMENT = Document("configuration", spec.AAD_CONFIGURATION, ConfigurationKey, _read)
