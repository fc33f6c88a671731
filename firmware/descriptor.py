# What a descriptor says of this board, in CBOR. Needed to start it only.
from cbor import put
from signals import SIGNALS
from wire import (
    CHANNELKEY_BITS,
    CHANNELKEY_ID,
    CHANNELKEY_MDC,
    CHANNELKEY_NAME,
    CHANNELKEY_PART,
    CHANNELKEY_RATE,
    CHANNELKEY_SCALE,
    CHANNELKEY_STREAM,
    CHANNELKEY_UNIT,
    DURABLE_BROKER,
    KEY_BOARD,
    KEY_CALIBRATIONS,
    KEY_CHANNELS,
    KEY_DEVICE,
    KEY_DURABLE,
    KEY_FIRMWARE,
    KEY_POLICY,
    KEY_PUBLIC_KEY,
    KEY_VERSION,
    POLICY_PRIVATE,
    POLICY_SEAL,
    POLICY_SIGN,
    VERSION,
)

_POLICIES = {"sign": POLICY_SIGN, "seal": POLICY_SEAL, "private": POLICY_PRIVATE}


def contents(texts, key, config, streams, scalars, most):
    # The fields, a map of at most so many bytes. texts: (firmware, board, name); streams, scalars: drivers, in order.
    fields = {
        KEY_VERSION: VERSION,
        KEY_FIRMWARE: texts[0],
        KEY_BOARD: texts[1],
        KEY_DEVICE: texts[2],
        KEY_PUBLIC_KEY: key,
        KEY_POLICY: _POLICIES[config.policy],
        KEY_CHANNELS: _channels(streams, scalars),
    }
    if config.durable == "broker":
        fields[KEY_DURABLE] = DURABLE_BROKER
    if config.spo2:
        fields[KEY_CALIBRATIONS] = {int(_signal("spo2")[0]): config.spo2}
    buf = memoryview(bytearray(most))
    return bytes(buf[: put(buf, 0, fields)])


def _signal(name):
    # MDC code and unit
    signals = "\n" + SIGNALS
    return signals[signals.index("\n" + name + " ") + 1 :].split("\n")[0].split(" ")[1:]


def _channels(streams, scalars):
    rows = []
    for number, driver in enumerate(streams + scalars):
        for name in driver.CHANNELS:
            mdc, unit = _signal(name)
            row = {
                CHANNELKEY_ID: len(rows),
                CHANNELKEY_NAME: name,
                CHANNELKEY_UNIT: unit,
                CHANNELKEY_PART: driver.PART,
                CHANNELKEY_BITS: driver.BITS,
                CHANNELKEY_SCALE: driver.SCALE,
            }
            if mdc != "0":
                row[CHANNELKEY_MDC] = int(mdc)
            if number < len(streams):
                row[CHANNELKEY_STREAM] = number
                row[CHANNELKEY_RATE] = driver.RATE
            rows.append(row)
    return rows
