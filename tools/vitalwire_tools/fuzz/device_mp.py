# Runs under MicroPython: mutates inputs by a seeded generator and tries the device's decoders with them.
#
#   device_mp.py TARGET SEEDS.json SEED RUNS SECONDS      (0: no bound)
#
# A decoder may refuse with the errors its head says and with no other; its target returns whether it accepted. The last
# line printed is JSON: how many inputs, how many accepted, and the input and traceback of one that broke something.
"""The fuzzer of the device's decoders; see above."""
# ruff: noqa: D101, D102, UP031

import io
import json
import sys
import time
from binascii import crc32, hexlify, unhexlify

import cbor
import cose
import journal_mp
import packet
import recover
import wire
from chance_mp import Chance, mutate
from clock import Clock
from control import Control
from mac import hkdf

SECRET = bytes(range(32))
THUMBPRINT = bytes(range(32, 64))
NONCE = b"\1" * wire.NONCE_SIZE


def said(error):
    """Check that a refusal is one of ours: ValueError with one word."""
    if len(error.args) != 1 or not isinstance(error.args[0], str) or " " in error.args[0]:
        raise error


class Cbor:
    def attempt(self, chance, data):
        try:
            item = cbor.decode(data)
        except ValueError as error:
            said(error)
            return False
        buf = memoryview(bytearray(len(data) + 16))
        if bytes(buf[: cbor.put(buf, 0, item)]) != data:
            raise AssertionError("deterministic CBOR has one form")
        return True


class Cose:
    def attempt(self, chance, data):
        accepted = False
        try:
            cose.open_sign1(memoryview(data))
            accepted = True
        except ValueError as error:
            said(error)
        try:
            cose.open_mac0(memoryview(data), SECRET, wire.AAD_COMMAND)
            raise AssertionError("a MAC nobody made")
        except ValueError as error:
            said(error)
        return accepted


class Packet:
    """A stream, in two kinds of pieces; every input is behind the one before."""

    def __init__(self):
        self.whole = packet.Receiver(wire.MAX_COMMAND)
        self.pieces = packet.Receiver(wire.MAX_COMMAND)

    def attempt(self, chance, data):
        data += b"\0"
        if chance.below(2):  # with the right CRC
            body = bytes([wire.PACKETTYPE_COMMAND, 1]) + data
            buf = bytearray(packet.room(len(data)) + 8)
            start = packet.gap(len(data))
            buf[start : start + len(data)] = data
            data = bytes(buf[: packet.encode(buf, start, len(data), body[0], body[1])])
        one = self.read(self.whole, data, len(data))
        if one != self.read(self.pieces, data, 1 + chance.below(9)):
            raise AssertionError("pieces say something else")
        if self.whole.bad != self.pieces.bad:
            raise AssertionError("pieces count something else")
        return len(one) > 0

    def read(self, receiver, data, step):
        found = []
        for at in range(0, len(data), step):
            chunk = data[at : at + step]
            pos = 0
            while pos < len(chunk):
                pos = receiver.take(chunk, pos, len(chunk))
                if receiver.body is not None:
                    found.append((receiver.type, receiver.id, bytes(receiver.body)))
        return found


class World:
    """What commands reach, and whether one did."""

    newest = 1000
    repl = True

    def __init__(self):
        self.touched = 0
        self.recorder = self
        self.reported = b""
        self.step = None  # what the recorder would do next
        self.level = 1
        self.repl_requested = False

    def restart(self):
        pass

    def acknowledge(self, first, last):
        if not 0 < first <= last <= self.newest:
            raise AssertionError("acknowledged what was never made")
        self.touched += 1

    acknowledged = acknowledge

    def act(self, ids, off=False):
        self.touched += 1
        return ids is None or max(ids) < 8


class Commands:
    """Commands as they come, and payloads under the right MAC with the right head in front."""

    def __init__(self):
        self.world = World()
        actions = {wire.COMMAND_STOP: self.world.act}
        actions[wire.COMMAND_REBOOT] = self.world.act
        actions[wire.COMMAND_CONFIGURE] = self.world
        clock = Clock(lambda: 1 << 40)
        self.control = Control(THUMBPRINT, ("1", "b", "n"), SECRET, 3, NONCE, clock, self.world, actions)
        self.control.link = self.world
        self.key = hkdf(SECRET, THUMBPRINT, wire.INFO_COMMAND)
        self.reply = memoryview(bytearray(wire.MAX_COMMAND))
        self.buf = memoryview(bytearray(2 * wire.MAX_COMMAND))

    def closed(self, chance, data):
        buf = self.buf
        how = chance.below(3)
        if how:
            keys = {
                wire.COMMANDKEY_COMMAND: 1 + chance.below(24),
                wire.COMMANDKEY_DEVICE: THUMBPRINT[: wire.DIGEST_SIZE],
                wire.COMMANDKEY_BOOT: 3,
                wire.COMMANDKEY_NONCE: NONCE,
                wire.COMMANDKEY_COUNTER: self.control.counter + 1,
            }
            if how == 2:
                try:
                    keys[wire.COMMANDKEY_ARGUMENT] = cbor.decode(data)
                except ValueError:
                    keys[wire.COMMANDKEY_ARGUMENT] = [[chance.below(9), chance.below(2000)]]
            end = cbor.put(buf, cose.PAYLOAD, keys)
            if how == 1 and len(data) < 200:
                buf[end : end + len(data)] = data
                buf[cose.PAYLOAD] += 1
                end += len(data)
        else:
            data = data[:300]
            end = cose.PAYLOAD + len(data)
            buf[cose.PAYLOAD : end] = data
        if end > wire.MAX_COMMAND - 64:
            return data
        return bytes(buf[: cose.mac0(buf, end, self.key, wire.AAD_COMMAND)])

    def attempt(self, chance, data):
        control = self.control
        mine = chance.below(4) > 0
        message = self.closed(chance, data) if mine else data
        before = (control.counter, self.world.touched)
        n = 0
        handling = control.handle(message, self.reply)
        while True:
            try:
                next(handling)
            except StopIteration as end:
                n = end.value
                break
        if not 0 < n <= wire.MAX_COMMAND:
            raise AssertionError("an answer of %d bytes" % n)
        if not mine and before != (control.counter, self.world.touched):
            raise AssertionError("a forged command did something")
        if control.counter > 1 << 40:
            control.counter = 0
        return control.closed


class Stream:
    channel = 0
    channels = 2


class Configuration:
    seeds = (b"\xa2\x01\x19\x03\xe8\x04\x02", b"\xa1\x08\x03", b"\xa1\x18\x63\x01")

    def attempt(self, chance, data):
        import values

        try:
            settings = cbor.decode(data)
        except ValueError:
            return False
        if type(settings) is not dict:
            return False
        result, key, found = values.named([Stream], settings)
        if result == wire.RESULT_OK:
            for name in found:
                if not values._fits(name, found[name]):
                    raise AssertionError("a setting out of its bounds")
        elif key not in settings:
            raise AssertionError("refused for a setting that is not there")
        return result == wire.RESULT_OK


class Mqtt:
    """What a broker sends, in pieces of any size: it ends the connection, or is read within its bounds."""

    seeds = (
        b"\x20\x02\x00\x00\x90\x03\x00\x01\x01\x40\x02\x00\x01\xd0\x00",
        b"\x20\x02\x00\x00\x90\x03\x00\x01\x01\x32\x0a\x00\x03a/b\x00\x05xyz",
        b"\x20\x02\x00\x05",
    )
    said = 64  # bytes that may wait

    def __init__(self):
        from links import mqtts, tls

        self.make = lambda: mqtts.Mqtt(self, "broker:8883", None, lambda now: True, "name", 8)
        tls.Tls.readinto = self.read

    def random(self, n):
        return bytes(n)

    def read(self, _, buffer):
        n = min(len(buffer), len(self.feed), 1 + self.chance.below(40))
        buffer[:n] = self.feed[:n]
        self.feed = self.feed[n:]
        return n

    def attempt(self, chance, data):
        self.feed, self.chance = data, chance
        device = self.make()
        device.up = True
        device.begin(0)
        device._flight[0] = 1
        into = bytearray(64)
        for _ in range(3 * len(data) + 50):
            n = device.readinto(into)
            self.look(device)
            if device._left > device._most or len(device._said) > self.said or not 0 <= (n or 0) <= len(into):
                raise AssertionError("out of bounds")
            if not device.up:
                return False
            device._said = b""  # written
        if self.feed:
            raise AssertionError("not read to the end")
        return device.ready

    def look(self, device):
        pass


class Hub(Mqtt):
    """The same of an IoT hub, which speaks of twins and methods as well."""

    seeds = (
        b"\x20\x02\x00\x00\x90\x06\x00\x01\x01\x01\x01\x01"
        b'\x30\x5a\x00\x1c$iothub/twin/res/200/?$rid=g{"desired": {"configuration": "AAEC", "$version": 5}}   \n\n\n\n',
        b"\x20\x02\x00\x00\x90\x06\x00\x01\x01\x01\x01\x01\x30\x28\x00\x24$iothub/methods/POST/reboot/?$rid=12{}",
    )

    def __init__(self):
        from links import hub

        self.said = 160  # its subscription
        Mqtt.__init__(self)
        self.make = lambda: hub.Hub(self, "hub:8883", None, lambda now: True, "name", 8)

    def look(self, device):
        if device._came:
            topic, body = device._came
            device._came = None
            if len(topic) > 192 or len(body or b"") > 4096:
                raise AssertionError("more than is read")
            device._look(topic, body)
            if len(device._due) > 4 or len(device._document or b"") > wire.MAX_COMMAND:
                raise AssertionError("more than is kept")


class Record:
    def attempt(self, chance, data):
        accepted = False
        for parse in (recover.parse_record, recover.parse_sector):
            try:
                parse(data)
                accepted = True
            except ValueError as error:
                said(error)
        return accepted


TARGETS = {
    "cbor": Cbor,
    "cose": Cose,
    "packet": Packet,
    "control": Commands,
    "configuration": Configuration,
    "mqtt": Mqtt,
    "hub": Hub,
    "records": Record,
    "journal": journal_mp.Mount,
}


def main(name, path, seed, runs, seconds):
    """Fuzz until something breaks or enough was tried."""
    target = TARGETS[name]()
    with open(path) as file:
        pool = [unhexlify(line) for line in json.load(file)]
    pool += getattr(target, "seeds", ())
    chance = Chance(int(seed))
    runs = int(runs)
    end = time.time() + int(seconds) if int(seconds) else 0
    done = accepted = 0
    report = {}
    while not ((runs and done >= runs) or (end and time.time() >= end)):
        if done < len(pool):
            data = pool[done]
        elif hasattr(target, "input"):
            data = target.input(chance)
        else:
            data = mutate(chance, pool[chance.below(len(pool))] if pool else b"", pool)
        done += 1
        try:
            if target.attempt(Chance(crc32(data)), data):
                accepted += 1
                if len(pool) < 400 and done > len(pool) and not hasattr(target, "input"):
                    pool.append(data)
        except Exception as error:
            text = io.StringIO()
            sys.print_exception(error, text)
            report = {"input": hexlify(data).decode(), "error": text.getvalue()}
            break
    report["runs"] = done
    report["accepted"] = accepted
    print(json.dumps(report))


main(*sys.argv[1:])
