"""What an operator's key signs: for which device, above which version, which settings; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

from vitalwire import cbor, crypto
from vitalwire.errors import FrameError, UsageError
from vitalwire.frame.fields import integer, octets
from vitalwire_protocol import spec
from vitalwire_protocol.spec import SETTINGS, ConfigurationKey, Setting

MAX_VERSION = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of one device; what is not named is as provisioned. `version` rises with each one."""

    device: bytes  # thumbprint, 32 bytes
    version: int
    settings: Mapping[Setting, int]


def sign_configuration(configuration: Configuration, key: EllipticCurvePrivateKey) -> bytes:
    """Return it as a COSE_Sign1 for the use `AAD_CONFIGURATION`; raises UsageError for one no device would take."""
    payload = cbor.encode(
        {
            ConfigurationKey.FORMAT: spec.VERSION,
            ConfigurationKey.DEVICE: configuration.device,
            ConfigurationKey.VERSION: configuration.version,
            ConfigurationKey.SETTINGS: dict(configuration.settings),
        }
    )
    message = crypto.sign1(key, payload, aad=spec.AAD_CONFIGURATION)
    try:
        parse_configuration(message, key.public_key())
    except FrameError as error:
        raise UsageError(f"no device would take this configuration: {error}") from error
    return message


def parse_configuration(message: bytes, key: EllipticCurvePublicKey) -> Configuration:
    """Return what `key` signed; raises FrameError or CborError for its form, SignatureError for another key's."""
    payload = crypto.sign1_payload(message)
    crypto.verify_sign1(message, key, spec.AAD_CONFIGURATION)
    fields: Any = cbor.decode(payload)
    if not isinstance(fields, dict) or fields.keys() != set(map(int, ConfigurationKey)):
        raise FrameError("a configuration is a map of its four keys", reason="missing-key")
    integer(fields, ConfigurationKey.FORMAT, spec.VERSION, spec.VERSION)
    settings = fields[ConfigurationKey.SETTINGS]
    if not isinstance(settings, dict):
        raise FrameError("settings are a map", reason="type")
    return Configuration(
        octets(fields, ConfigurationKey.DEVICE, spec.THUMBPRINT_SIZE),
        integer(fields, ConfigurationKey.VERSION, 1, MAX_VERSION),
        dict(_setting(settings, key) for key in settings),
    )


def _setting(settings: Mapping[int, Any], key: int) -> tuple[Setting, int]:
    if key not in Setting._value2member_map_:
        raise FrameError(f"{key} is no setting", reason="range")
    setting = Setting(key)
    rule = SETTINGS[setting]
    return setting, integer(settings, setting, rule.least, rule.most)
