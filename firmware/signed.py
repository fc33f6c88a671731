# Whether a configuration is for this device and by its operator's key. Loaded for one that arrives.
from cbor import decode
from cose import TAIL, open_sign1, sign1_digest
from p256_verify import verify
from wire import (
    AAD_CONFIGURATION,
    CONFIGURATIONKEY_DEVICE,
    CONFIGURATIONKEY_FORMAT,
    CONFIGURATIONKEY_SETTINGS,
    CONFIGURATIONKEY_VERSION,
    RESULT_CONFIGURATION_FOREIGN,
    RESULT_CONFIGURATION_FORGED,
    RESULT_OK,
    VERSION,
)


def open_configuration(message, operator, thumbprint):
    # A generator of slices that returns (result, version, settings by key).
    forged = RESULT_CONFIGURATION_FORGED, 0, None
    try:
        m = decode(open_sign1(message))
    except ValueError:
        return forged
    key = int.from_bytes(operator[:32], "big"), int.from_bytes(operator[32:], "big")
    digest = sign1_digest(memoryview(message), len(message) - TAIL, AAD_CONFIGURATION)
    work = verify(key, digest, message[-64:])
    try:
        while True:
            yield "modmul", next(work)
    except StopIteration as stop:
        if not stop.value:
            return forged
    if type(m) is not dict:
        return forged
    version, settings = m.get(CONFIGURATIONKEY_VERSION), m.get(CONFIGURATIONKEY_SETTINGS)
    if (
        len(m) != 4
        or m.get(CONFIGURATIONKEY_FORMAT) != VERSION
        or type(version) is not int
        or not 0 < version < 1 << 32
        or type(settings) is not dict
    ):
        return forged
    if m.get(CONFIGURATIONKEY_DEVICE) != thumbprint:
        return RESULT_CONFIGURATION_FOREIGN, 0, None
    return RESULT_OK, version, settings
