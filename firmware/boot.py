# Puts the parts of this board together, once, and is then let go of, with all that only it needs. What is needed for
# a while goes at once, so that there is room for what stays.
import gc
import sys

from codec import Encoder
from control import Control
from frame import FrameMaker
from journal import Journal
from link import Link
from mac import hkdf
from micropython import const
from p256 import Signer
from packet import Receiver
from recorder import Recorder
from records import Records
from sensors import Sensor
from sensors.battery import Battery
from stream import Stream
from unload import drop
from window import whole
from wire import (
    CAUSE_COMMAND,
    CAUSE_DEEP_SLEEP,
    CCM_KEY_SIZE,
    COMMAND_CONFIGURE,
    COMMAND_REBOOT,
    COMMAND_STOP,
    EVENT_CONFIGURATION_RETURNED,
    EVENT_UPDATE_RETURNED,
    EVENTKEY_COUNT,
    EVENTKEY_VERSION,
    INFO_FRAME,
    INFO_PRIVATE,
    LOGLEVEL_ERROR,
    NONCE_SIZE,
    REPORTEDKEY_IN_FORCE,
    REPORTEDKEY_NEWEST,
    REPORTEDKEY_SETTINGS,
)

_LIMIT = const(1536)  # bytes of a frame; more in two
_PAUSE = const(10_000)  # us
_CHARGED = const(100)  # mV above empty from which a board that slept starts again
_SLEEP = const(600)  # s, else


def build(app):
    # Give an App its parts; returns whether this board can record.
    global _config, _slots, _papers, _wait, _streams, _keep_policy
    import board

    hal = app.hal
    root = hal.files()
    if board.HOLD >= 0:
        hal.output(board.HOLD)  # without it the board turns itself off
    config, on_proof, given_up = _config(app, root)
    if board.BATTERY and hal.reset_cause() == CAUSE_DEEP_SLEEP:
        pin, numerator, denominator, empty, _ = board.BATTERY
        if hal.adc(pin).read_uv() * numerator // (1000 * denominator) < (config.low_mv or empty) + _CHARGED:
            hal.sleep(_SLEEP)
    if config.key is None:
        print("vitalwire: no key: provision this board")
        return False
    if config.policy != "sign" and config.secret is None:
        print("vitalwire: no secret for policy", config.policy)
        return False
    if "ble" in config.links and config.secret is None:
        print("vitalwire: no secret for the passkey of ble")
        return False
    on_trial, failed = _slots(root, hal)
    texts, print_, contents = _papers(board, config)
    config.thumbprint = print_
    try:
        flash = hal.partition("journal")
    except OSError:
        print('vitalwire: this flash has no partition "journal": flash an image of "vitalwire board image"')
        return False
    journal = app.journal = Journal(flash, config.when_full == "stop")
    journal.groups = config.policy == "seal"
    if not journal.mount() and config.counted:
        print("vitalwire: counters lost: provision a new key")
        return False
    Journal.mount = None
    _last(journal, Records)
    _last(app.clock)
    boot = journal.begin()
    if not boot:
        app.job = _wait(app, LOGLEVEL_ERROR)
        boot = journal.boot + 1  # no frame will have it
    else:
        Journal.begin = Journal.starts = None
    config.count(hal)
    _config = _slots = _papers = _wait = None  # room for what comes
    gc.collect()

    ms = config.frame_ms
    _streams(app, board, ms)
    battery = board.BATTERY
    board = None
    Stream.encoder = _last(Encoder(max([stream.most for stream in app.streams])))
    signer = _last(Signer(config.key, hal.random if config.hedge else None))
    maker = _last(FrameMaker(journal, signer, app.clock.utc, _LIMIT))
    _keep_policy(maker, config, print_)
    _streams = _keep_policy = None
    actions = {COMMAND_STOP: app.switch, COMMAND_REBOOT: app.reboot, COMMAND_CONFIGURE: app}
    app.control = _last(
        Control(print_, texts, config.secret, boot, hal.random(NONCE_SIZE), app.clock, journal, actions)
    )
    app.control.ota = config.maker and (root, config.maker, texts[1], app, hal.spare)
    _links(app, config)
    if config.public_vitals:
        _publish(app, config, texts, battery)
    app.recorder = _last(
        Recorder(
            maker,
            app.control,
            app.streams,
            app.scalars,
            ms * 1000,
            config.status_s * 1_000_000,
            app.counters,
        )
    )
    app.recorder.begin(hal.ticks(), hal.reset_cause(), contents)
    Recorder.begin = FrameMaker.boot_details = None
    _configure(app, config, on_proof, given_up)
    if config.every_s:
        # after the first frame, when what only starts a board is gone and leaves its room to what stays
        cycle = config.on_s, config.every_s, config.links
        then = app.recorder.step
        app.recorder.step = lambda now: (__import__("gc").collect(), __import__("duty"))[1].begin(app, cycle, then)
    if on_trial:
        from trial import Trial

        app.trial = app.control.trial = Trial(app, root)
    if failed is not None:
        app.report(EVENT_UPDATE_RETURNED, {EVENTKEY_COUNT: failed}, hal.ticks())
    return True


def _slots(root, hal):
    # whether this application is on trial; the counter of one that failed
    import slots

    drop("slots")
    return slots.on_trial(root, hal), slots.take_failed(root)


def _config(app, root):
    # settings and keys; whether a configuration is to be proven; version of one that was given up
    import desired
    import drift
    import values
    from config import Config
    from settings import NAMES

    drift.recall(app.hal, app.clock)

    if app.hal.recall("operator"):
        # their names stay for ever: where they are first, they leave no holes later
        for name in ("twin", "signed", "p256_verify", "between"):
            __import__(name)
            drop(name)
        gc.collect()
    state, failed = desired.choose(root)
    on_proof = "next" in state
    config = Config(app.hal, state["next" if on_proof else "now"][1])
    ms = config.frame_ms
    if config.ecg_hz or config.ppg_hz or config.accel_hz:
        import board
        import rates

        ms = rates.update([row[0] for row in board.sensors()], config)
    values.report(
        app,
        {
            REPORTEDKEY_IN_FORCE: state["now"][0],
            REPORTEDKEY_NEWEST: state["newest"],
            REPORTEDKEY_SETTINGS: values.numbers({name: getattr(config, name) for name in NAMES.values()}),
        },
    )
    config.frame_ms = ms
    drop("config", "desired", "drift", "rates", "settings", "values")
    gc.collect()
    return config, on_proof, failed


def _configure(app, config, on_proof, given_up):
    app.low = app.empty
    if config.log_level != "info" or config.channels_off or config.low_mv or config.batch_s:
        import between
        from settings import NAMES

        between.apply(app, {name: getattr(config, name) for name in NAMES.values()})
        drop("between", "settings")
    if on_proof:
        app.recorder.step = lambda now: __import__("between").prove(app, now)  # with the room there is then
    if given_up is not None:
        app.report(EVENT_CONFIGURATION_RETURNED, {EVENTKEY_VERSION: given_up}, app.hal.ticks())


def _papers(board, config):
    # texts for whoever asks, thumbprint, what the descriptor says
    from descriptor import contents
    from identity import cose_key, thumbprint

    texts = ("vitalwire " + board.VERSION, board.NAME, config.device)
    key = cose_key(config.key)
    streams = [row[0] for row in board.sensors()]
    scalars = [Battery] if board.BATTERY else []
    papers = texts, thumbprint(key), contents(texts, key, config, streams, scalars, _LIMIT)
    drop("descriptor", "identity", "signals")
    gc.collect()
    return papers


def _streams(app, board, ms):
    from wiring import make

    hal = app.hal
    report = app.report
    for number, row in enumerate(board.sensors()):
        app.streams.append(Stream(number, make(hal, row), ms, report))
    if board.BATTERY:
        pin, numerator, denominator, app.empty, _ = board.BATTERY
        app.scalars.append(Stream(0, Battery(hal.adc(pin), numerator, denominator), ms, report))
    channel = 0
    for stream in app.streams + app.scalars:
        stream.channel = channel
        channel += stream.channels
        _last(stream.sensor, Sensor)
    _last(stream.ring)
    _last(stream)
    for name in list(sys.modules):
        if name == "board" or name == "wiring" or name.startswith("sensors"):
            drop(name)
    gc.collect()


def _links(app, config):
    size = config.window
    if config.policy == "seal":
        size = max(size, whole(config.seal_frames))  # some acknowledge nothing before it is sealed
    for text in config.links:
        kind, _, peer = text.partition("://")
        stream = app.hal.stream
        if kind != "serial":
            stream = __import__("links." + kind, None, None, ("make",)).make(app.hal, config, peer)
        repl = config.repl and kind == "serial"
        link = Link(stream, app.journal, app.control, size, repl, _LIMIT)
        if kind in ("mqtts", "hub") and config.durable == "broker":
            link.keep()
        if kind == "hub":
            stream.app = app
        app.links.append(link)
    _last(app.links[0])
    _last(app.links[0].window, Receiver)


def _publish(app, config, texts, battery):
    from links.standard import Standard
    from vitals import Vitals

    for link in app.links:
        if hasattr(link.stream, "services"):
            link.stream.services = Standard(Vitals(app, config.spo2, battery), texts, app.hal.ticks)


def _keep_policy(maker, config, print_):
    if config.policy == "seal":
        from seal import Seal

        maker.seal = Seal(hkdf(config.secret, print_, INFO_FRAME), config.seal_frames, config.seal_s * 1_000_000)
    elif config.policy == "private":
        from private import Private

        maker.private = Private(hkdf(config.secret, print_, INFO_PRIVATE, CCM_KEY_SIZE))


def _wait(app, level):
    # Too full for this boot's own number, and nothing may be given up: the link serves what there is, nothing is
    # recorded. Once acknowledgements make room the board starts afresh.
    for link in app.links:
        link.log(level, "journal full: nothing is recorded until it is read")
    while not app.journal.begin():
        app.hal.idle(app.hal.ticks() + _PAUSE)
        yield None
    app.rebooting = CAUSE_COMMAND
    while True:
        yield None


def _last(thing, kind=None):
    # nothing more like it, or of this kind, will be made
    type(thing).__init__ = None
    if kind:
        kind.__init__ = None
    return thing


def forget():
    # What nobody uses any more goes with the next collection. A word left on the stack may hold this module, so that is
    # emptied.
    drop("boot")
    globals().clear()
