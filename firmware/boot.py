# Puts the parts of this board together, once. Nothing of this is needed while the board records, so main lets go of
# this module, and of those that only it needs.
import sys

import board
from codec import Encoder
from config import Config
from control import Control
from frame import FrameMaker
from identity import cose_key, thumbprint
from journal import Journal
from link import Link
from micropython import const
from p256 import Signer
from recorder import Recorder
from sensors import make
from sensors.battery import Battery
from signals import SIGNALS
from stream import Stream
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
    COMMAND_REBOOT,
    COMMAND_START,
    COMMAND_STOP,
    KEY_BOARD,
    KEY_CHANNELS,
    KEY_DEVICE,
    KEY_FIRMWARE,
    KEY_POLICY,
    KEY_PUBLIC_KEY,
    KEY_VERSION,
    NONCE_SIZE,
    POLICY_SIGN,
    VERSION,
)

_LIMIT = const(2048)  # bytes of a frame; more in two
_PAUSE = const(10_000)  # us


def build(app):
    # Give an App its parts; returns whether this board can record.
    hal = app.hal
    if board.HOLD >= 0:
        hal.output(board.HOLD)  # without it the board turns itself off
    config = Config(hal.files())
    if config.key is None:
        print("vitalwire: no key: provision this board")
        return False
    journal = Journal(hal.partition("journal"), config.when_full == "stop")
    if not journal.mount() and config.counted:
        print("vitalwire: counters lost: provision a new key")
        return False
    boot = journal.begin()
    if not boot:
        app.job = _wait(app)
        boot = journal.boot + 1  # no frame will have it
    config.count()
    app.journal = journal
    ms = config.frame_ms
    for number, row in enumerate(board.SENSORS):
        app.streams.append(Stream(number, make(hal, row), ms, app.report))
    if board.BATTERY:
        pin, numerator, denominator, app.empty, _ = board.BATTERY
        app.scalars.append(Stream(0, Battery(hal.adc(pin), numerator, denominator), ms, app.report))
    encoder = Encoder(max([stream.most for stream in app.streams]))
    for stream in app.streams:
        stream.encoder = encoder
    key = cose_key(config.key)
    print_ = thumbprint(key)
    firmware = "vitalwire " + board.VERSION
    contents = {
        KEY_VERSION: VERSION,
        KEY_DEVICE: config.device,
        KEY_PUBLIC_KEY: key,
        KEY_BOARD: board.NAME,
        KEY_FIRMWARE: firmware,
        KEY_POLICY: POLICY_SIGN,
        KEY_CHANNELS: _channels(app.streams, app.scalars),
    }
    actions = {COMMAND_START: app.start, COMMAND_STOP: app.stop, COMMAND_REBOOT: app.reboot}
    texts = (firmware, board.NAME, config.device)
    app.control = Control(print_, texts, config.secret, boot, hal.random(NONCE_SIZE), app.clock, journal, actions)
    app.link = Link(hal.stream, journal, app.control, window=config.window, repl=config.repl, size=_LIMIT)
    signer = Signer(config.key, hal.random if config.hedge else None)
    app.recorder = Recorder(
        FrameMaker(journal, signer, app.clock.utc, _LIMIT),
        app.control,
        app.streams,
        app.scalars,
        ms * 1000,
        config.status_s * 1_000_000,
        app.counters,
    )
    app.recorder.begin(hal.ticks(), hal.reset_cause(), contents)
    return True


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


def forget():
    # what nobody uses any more goes with the next collection
    for name in list(sys.modules):
        if name in ("boot", "board", "config", "identity", "signals") or name.startswith("sensors"):
            del sys.modules[name]
