# What is wrong with this board, as far as it can tell by itself: one line of JSON a check. Called from the prompt, by
# `vitalwire board doctor`; the journal is read and never written. hal and board come in.
import json

from config import Config
from identity import cose_key, thumbprint
from journal import Journal
from micropython import const
from ring import Ring
from sensors import SensorError
from sensors.battery import Battery
from wire import FAULT_MISSING
from wiring import make

_STARTING = const(3_000_000)  # us until a chip must have started


def say(check, **facts):
    facts["check"] = check
    print(json.dumps(facts))


# One second by the board's clock, for who has another to compare.
def second(hal):
    end = hal.ticks() + 1_000_000
    while hal.ticks() < end:
        hal.idle(end)


def key(hal):
    config = Config(hal)
    config.thumbprint = thumbprint(cose_key(config.key)) if config.key else b""
    own = config.thumbprint.hex()
    say("key", thumbprint=own, secret=config.secret is not None, refused=config.refused, device=config.device)
    return config


def journal(hal, config):
    try:
        store = Journal(hal.partition("journal"), config.when_full == "stop")
    except OSError:
        say("journal", there=False)
        return
    lost = not store.mount() and config.counted
    full = config.when_full
    used = store.used()
    unacked = store.unacked()
    starts = store.starts()
    say("journal", there=True, lost=lost, sectors=store.sectors, used=used, unacked=unacked, full=full, starts=starts)


# Samples of the first reading that brings any, else the fault.
def _listen(hal, driver):
    end = hal.ticks() + _STARTING
    again = driver.start(hal.ticks())
    while again:
        while hal.ticks() < again:
            hal.idle(again)
        if hal.ticks() > end:
            raise OSError(110)
        again = driver.start(hal.ticks())
    ring = Ring(len(driver.CHANNELS), 64, driver.BITS)
    while True:
        now = hal.ticks()
        if driver.due(now) <= now and driver.read(ring, now):
            return driver.lead_off
        hal.idle(driver.due(hal.ticks()))


def sensors(hal, board):
    for number, row in enumerate(board.sensors()):
        fault = 0
        lead_off = False
        try:
            lead_off = _listen(hal, make(hal, row))
        except SensorError as e:
            fault = e.args[0]
        except OSError:
            fault = FAULT_MISSING
        say("sensor", number=number, fault=fault, lead_off=lead_off)
    if board.BATTERY:
        pin, numerator, denominator, empty, full = board.BATTERY
        cell = Battery(hal.adc(pin), numerator, denominator)
        cell.start(hal.ticks())
        cell.read(Ring(1, 2), hal.ticks())
        say("battery", millivolt=cell.millivolt, empty=empty, full=full)


def run(hal, board):
    config = key(hal)
    journal(hal, config)
    sensors(hal, board)
    if config.key and "://" in " ".join(config.links):
        from links.reach import run

        run(hal, config)
    if config.key and "ble" in config.links:
        from links.seen import run

        run(hal, config)
