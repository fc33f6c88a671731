# Puts the parts of this board together, once. Nothing of this is needed while the board records, so main lets go of
# this module, and of those that only it needs.
import gc
import sys

import board
import slots
from cbor import put
from clock import Clock
from codec import Encoder
from config import Config
from control import Control
from frame import FrameMaker
from identity import cose_key, thumbprint
from journal import Journal
from link import Link
from mac import hkdf
from micropython import const
from p256 import Signer
from packet import Receiver
from recorder import Recorder
from records import Records
from ring import Ring
from sensors import Sensor, make
from sensors.battery import Battery
from signals import SIGNALS
from stream import Stream
from window import Window
from wire import (
    CCM_KEY_SIZE,
    CHANNELKEY_BITS,
    CHANNELKEY_ID,
    CHANNELKEY_MDC,
    CHANNELKEY_NAME,
    CHANNELKEY_PART,
    CHANNELKEY_RATE,
    CHANNELKEY_SCALE,
    CHANNELKEY_STREAM,
    CHANNELKEY_UNIT,
    COMMAND_REBOOT,
    COMMAND_START,
    COMMAND_STOP,
    EVENT_UPDATE_RETURNED,
    EVENTKEY_COUNT,
    INFO_FRAME,
    INFO_PRIVATE,
    KEY_BOARD,
    KEY_CHANNELS,
    KEY_DEVICE,
    KEY_FIRMWARE,
    KEY_POLICY,
    KEY_PUBLIC_KEY,
    KEY_VERSION,
    NONCE_SIZE,
    POLICY_PRIVATE,
    POLICY_SEAL,
    POLICY_SIGN,
    VERSION,
)

_LIMIT = const(2048)  # bytes of a frame; more in two
_PAUSE = const(10_000)  # us
_POLICIES = {"sign": POLICY_SIGN, "seal": POLICY_SEAL, "private": POLICY_PRIVATE}
_KINDS = (Battery, Clock, Control, Encoder, FrameMaker, Journal, Link, Receiver, Recorder, Records)
_FURTHER = (Ring, Sensor, Signer, Stream, Window)


def build(app):
    # Give an App its parts; returns whether this board can record. Garbage goes before large buffers come.
    hal = app.hal
    root = hal.files()
    if board.HOLD >= 0:
        hal.output(board.HOLD)  # without it the board turns itself off
    config = Config(hal)
    if config.key is None:
        print("vitalwire: no key: provision this board")
        return False
    if config.policy != "sign" and config.secret is None:
        print("vitalwire: no secret for policy", config.policy)
        return False
    key = cose_key(config.key)
    print_ = thumbprint(key)
    ms = config.frame_ms
    for number, row in enumerate(board.SENSORS):
        app.streams.append(Stream(number, make(hal, row), ms, app.report))
    if board.BATTERY:
        pin, numerator, denominator, app.empty, _ = board.BATTERY
        app.scalars.append(Stream(0, Battery(hal.adc(pin), numerator, denominator), ms, app.report))
    texts = ("vitalwire " + board.VERSION, board.NAME, config.device)
    contents = _contents(app, texts, key, _POLICIES[config.policy])
    gc.collect()
    encoder = Encoder(max([stream.most for stream in app.streams]))
    for stream in app.streams:
        stream.encoder = encoder
    journal = app.journal = Journal(hal.partition("journal"), config.when_full == "stop")
    if not journal.mount() and config.counted:
        print("vitalwire: counters lost: provision a new key")
        return False
    boot = journal.begin()
    if not boot:
        app.job = _wait(app)
        boot = journal.boot + 1  # no frame will have it
    config.count(hal)
    gc.collect()
    signer = Signer(config.key, hal.random if config.hedge else None)
    maker = FrameMaker(journal, signer, app.clock.utc, _LIMIT)
    if config.policy == "seal":
        from seal import Seal

        key = hkdf(config.secret, print_, INFO_FRAME)
        maker.seal = Seal(key, config.seal_frames, config.seal_s * 1_000_000)
    elif config.policy == "private":
        from private import Private

        maker.private = Private(hkdf(config.secret, print_, INFO_PRIVATE, CCM_KEY_SIZE))
    actions = {COMMAND_START: app.start, COMMAND_STOP: app.stop, COMMAND_REBOOT: app.reboot}
    app.control = Control(print_, texts, config.secret, boot, hal.random(NONCE_SIZE), app.clock, journal, actions)
    app.control.ota = config.maker and (root, config.maker, board.NAME, app.reboot)
    app.link = Link(hal.stream, journal, app.control, window=config.window, repl=config.repl, size=_LIMIT)
    app.recorder = Recorder(
        maker,
        app.control,
        app.streams,
        app.scalars,
        ms * 1000,
        config.status_s * 1_000_000,
        app.counters,
    )
    app.recorder.begin(hal.ticks(), hal.reset_cause(), contents)
    if slots.on_trial(root):
        from trial import Trial

        app.trial = app.control.trial = Trial(app, root)
    failed = slots.take_failed(root)
    if failed is not None:
        app.report(EVENT_UPDATE_RETURNED, {EVENTKEY_COUNT: failed}, hal.ticks())
    return True


def _contents(app, texts, key, policy):
    # the descriptor's fields, in CBOR
    fields = {
        KEY_VERSION: VERSION,
        KEY_FIRMWARE: texts[0],
        KEY_BOARD: texts[1],
        KEY_DEVICE: texts[2],
        KEY_PUBLIC_KEY: key,
        KEY_POLICY: policy,
        KEY_CHANNELS: _channels(app.streams, app.scalars),
    }
    buf = memoryview(bytearray(_LIMIT))
    return bytes(buf[: put(buf, 0, fields)])


def _wait(app):
    # Too full for this boot's own number, and nothing may be given up: the link serves what there is, nothing is
    # recorded. Once acknowledgements make room the board starts afresh.
    while not app.journal.begin():
        app.hal.idle(app.hal.ticks() + _PAUSE)
        yield None
    app.rebooting = True
    while True:
        yield None


def _channels(streams, scalars):
    # the descriptor's channels; sets each stream's first channel id
    rows = []
    signals = "\n" + SIGNALS
    for stream in streams + scalars:
        sensor = stream.sensor
        stream.channel = len(rows)
        for name in sensor.CHANNELS:
            mdc, unit = signals[signals.index("\n" + name + " ") + 1 :].split("\n")[0].split(" ")[1:]
            row = {
                CHANNELKEY_ID: len(rows),
                CHANNELKEY_NAME: name,
                CHANNELKEY_UNIT: unit,
                CHANNELKEY_PART: sensor.PART,
                CHANNELKEY_BITS: sensor.BITS,
                CHANNELKEY_SCALE: sensor.SCALE,
            }
            if mdc != "0":
                row[CHANNELKEY_MDC] = int(mdc)
            if stream in streams:
                row[CHANNELKEY_STREAM] = stream.number
                row[CHANNELKEY_RATE] = sensor.RATE
            rows.append(row)
    return rows


def forget(app):
    # What nobody uses any more goes with the next collection. A dictionary's deleted entry still holds its value, and a
    # word left on the stack may hold this module, so both are emptied.
    for stream in app.streams:
        type(stream.sensor).__init__ = None
    for kind in _KINDS + _FURTHER:
        kind.__init__ = None
    Journal.mount = None
    for name in list(sys.modules):
        if name in ("boot", "board", "config", "identity", "signals", "slots") or name.startswith("sensors"):
            sys.modules[name] = None
            del sys.modules[name]
    globals().clear()
