"""Gives a board its identity: name, P-256 key, controller secret, configuration, as a littlefs image.

The private key is made here, handed to the image and kept nowhere else; what a registry needs is the public half.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from secrets import token_bytes
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from vitalwire.errors import UsageError
from vitalwire_protocol import spec

from .codegen.wire import device_settings
from .folders import FIRMWARE
from .littlefs_image import pack, unpack
from .signers import NOBODY, Signers

CONFIG_FILE, KEY_FILE, SECRET_FILE = "config.json", "key", "secret"
CYCLE = "sensors are on for on_s, less than every_s, of every_s; without both, always"


@dataclass(frozen=True, slots=True)
class Identity:
    """A device's name and keys; `key` (P-256 scalar) and `secret` (controller's) are 32 bytes and never printed."""

    device: str
    key: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    signers: Signers = NOBODY

    @property
    def public_key(self) -> bytes:
        """The uncompressed point, 65 bytes."""
        private = ec.derive_private_key(int.from_bytes(self.key, "big"), ec.SECP256R1())
        return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def new_identity(device: str, signers: Signers = NOBODY) -> Identity:
    """Make a device's identity from the system's randomness."""
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return Identity(device, number.to_bytes(32, "big"), token_bytes(spec.SECRET_SIZE), signers)


@cache
def _rules() -> tuple[Mapping[str, tuple[Any, ...]], Callable[[object, tuple[Any, ...]], bool]]:
    """Return the settings a device knows, and its own judge of a value, which is written in firmware/config.py."""
    wanted: list[ast.stmt] = [
        statement
        for statement in ast.parse((FIRMWARE / "config.py").read_text()).body
        if isinstance(statement, ast.FunctionDef | ast.Assign | ast.Expr)
    ]
    names: dict[str, Any] = {name: member.value for name, member in spec.Limit.__members__.items()}
    names["SETTINGS"] = device_settings()
    exec(compile(ast.Module(wanted, []), "config.py", "exec"), names)
    return names["SETTINGS"], names["_fits"]


def check_settings(settings: Mapping[str, object]) -> None:
    """Raise UsageError, with what is allowed, for a setting that a device would not take."""
    rules, fits = _rules()
    for name, value in settings.items():
        if name not in rules:
            raise UsageError(f"no setting is called {name}", advice=f"there are {', '.join(rules)}")
        default, *bounds = rules[name]
        if not fits(value, rules[name]):
            allowed = "true or false" if isinstance(default, bool) else "one to four decimals with spaces between"
            if isinstance(default, list):
                kinds = [f"{kind}://HOST:PORT" if peer else kind for kind, peer in bounds[0].items()]
                allowed = f"a list of some of {', '.join(kinds)}"
            elif len(bounds) == 2:
                allowed = f"a whole number from {bounds[0]} to {bounds[1]}"
            elif bounds:
                allowed = ", ".join(map(str, bounds[0])) if bounds[0] else "a text of 1 to 64 bytes"
            raise UsageError(f"{name} cannot be {value!r}", advice=f"it is {allowed}; {default!r} if not given")
    on_s, every_s = (settings.get(name, 0) for name in ("on_s", "every_s"))
    if isinstance(on_s, int) and isinstance(every_s, int) and not spec.cycle(on_s, every_s):
        raise UsageError(f"on_s {on_s} and every_s {every_s} do not go together", advice=CYCLE)
    links = settings.get("links", ())
    if settings.get("public_vitals") and not (isinstance(links, list) and "ble" in links):
        raise UsageError("public_vitals needs the link ble", advice='"links": ["ble"]')


def filesystem_image(identity: Identity, settings: Mapping[str, object], size: int) -> bytes:
    """Return a littlefs image of `size` bytes with the identity and the settings of `firmware/config.py`.

    Raises UsageError for a setting that a device would not take.
    """
    config = {"device": identity.device, **settings}
    check_settings(config)
    files = {CONFIG_FILE: json.dumps(config).encode(), KEY_FILE: identity.key, SECRET_FILE: identity.secret}
    return pack(files | identity.signers.kept, size)


def reconfigured(image: bytes, settings: Mapping[str, object]) -> bytes:
    """Return a board's littlefs image with these settings changed, keys and counters as they are; raises UsageError."""
    check_settings(settings)
    files = unpack(image)
    files[CONFIG_FILE] = json.dumps({**json.loads(files[CONFIG_FILE]), **settings}).encode()
    return pack(files, len(image))


def read_secret(image: bytes) -> bytes:
    """Return the controller's secret out of a board's littlefs image."""
    return unpack(image)[SECRET_FILE]
