"""The MQTT stream under MicroPython against a broker of the test's own: what it says, and that no answer does harm."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from tests.firmware.desk import WINDOW, Desk, Run
from tests.papers import Authority

from vitalwire.packet import PacketDecoder, encode_packet
from vitalwire_protocol.spec import PacketType

CONNACK, SUBACK = b"\x20\x02\0\0", b"\x90\x03\0\x01\x01"

# Works until `until` is true, the stream ends or `ms` milliseconds have passed.
SCRIPT = """
buf = memoryview(bytearray(64))
came = b""
later = 0
def work(until, ms=4000):
    global came
    end = time.ticks_add(time.ticks_ms(), ms)
    while not until() and not stream.why and time.ticks_diff(end, time.ticks_ms()) > 0:
        stream.step(time.ticks_us() + later)
        n = stream.readinto(buf)
        if n:
            came += buf[:n]
        time.sleep_ms(1)
out = memoryview(bytearray(4096))
body = 1000
def send(kind, data, seq=0):
    out[body:body + len(data)] = data
    at, end = stream.message(out, body, len(data), kind, 7, seq)
    for _ in range(100):
        n = stream.write(out[at:end], end - at)
        if n:
            at += n
        if at == end:
            return True
        work(lambda: False, 2)
    return False
def say(*facts):
    print(json.dumps(facts))
work(lambda: stream.ready)
"""


class Broker:
    """Demands a certificate; answers each thing it gets with the next of `answers`, then those of `publish`."""

    def __init__(self, authority: Authority, answers: list[bytes], puback: int) -> None:
        self.got: list[bytes] = []  # each one record of TLS
        self._context = authority.demands(authority.server())
        self._answers, self._puback = list(answers), puback
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            peer, _ = self._server.accept()
            with peer, self._context.wrap_socket(peer, server_side=True) as secure:
                while data := secure.recv(8192):
                    self.got.append(data)
                    if self._answers:
                        secure.sendall(self._answers.pop(0))
                    elif data[0] == 0x32 and self._puback:
                        self._puback -= 1
                        secure.sendall(b"\x40\x02" + published(data)[2])
        except OSError:
            return

    def close(self) -> None:
        """End it."""
        self._server.close()
        self._thread.join(5)


def fields(data: bytes) -> tuple[int, bytes]:
    """Return kind and body of a packet that is all of `data`."""
    length = shift = 0
    at = 1
    while True:
        length |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            break
    assert length == len(data) - at
    return data[0], data[at:]


def texts(body: bytes) -> list[bytes]:
    """Return the strings, each with its length in front, that a body is made of."""
    found = []
    while body:
        n = int.from_bytes(body[:2])
        found.append(body[2 : 2 + n])
        body = body[2 + n :]
    return found


def published(data: bytes) -> tuple[str, bytes, bytes]:
    """Return topic, payload and packet id (none: quality of service 0) of a PUBLISH."""
    kind, body = fields(data)
    n = 2 + int.from_bytes(body[:2])
    qos = kind & 2
    return body[2:n].decode(), body[n + qos :], body[n : n + qos]


class BrokerDesk(Desk):
    """A desk whose stream speaks with a broker that answers as told."""

    def speak(
        self, script: str, *answers: bytes, name: str = "strap 1", puback: int = 0
    ) -> tuple[list[object], Broker]:
        """Run a script behind SCRIPT; `puback` says how many messages the broker confirms."""
        broker = Broker(self.authority, list(answers), puback)
        told = self.run(SCRIPT + script, broker.port, name)
        broker.close()
        return told, broker


@pytest.fixture
def desk(tmp_path: Path, micropython: Run) -> BrokerDesk:
    """A desk of the test's own."""
    return BrokerDesk(tmp_path, "mqtts", micropython)


def test_it_connects_as_a_device_of_an_iot_hub(desk: BrokerDesk) -> None:
    """CONNECT and SUBSCRIBE are what MQTT 3.1.1 and IoT Hub ask for, client id and user by the name."""
    told, broker = desk.speak("say(stream.ready, stream.why)", CONNACK, SUBACK, name="strap/1 ä")
    assert told == [True, ""]
    kind, body = fields(broker.got[0])
    assert (kind, body[:10]) == (0x10, b"\0\x04MQTT\x04\x82\0\x3c")
    assert texts(body[10:]) == ["strap/1 ä".encode(), "localhost/strap/1 ä/?api-version=2021-04-12".encode()]
    kind, body = fields(broker.got[1])
    assert (kind, body[:2], body[-1]) == (0x82, b"\0\1", 1)
    assert texts(body[2:-1]) == [b"devices/strap%2F1%20%C3%A4/messages/devicebound/#"]


def test_the_longest_name_subscribes(desk: BrokerDesk) -> None:
    """A name of 64 bytes, each quoted in the topic, is no more than what may wait to be said."""
    told, broker = desk.speak("say(stream.ready, stream.why)", CONNACK, SUBACK, name="ä" * 32)
    assert told == [True, ""]
    assert texts(fields(broker.got[1])[1][2:-1]) == [b"devices/" + b"%C3%A4" * 32 + b"/messages/devicebound/#"]


def test_a_frame_is_one_message_in_one_record(desk: BrokerDesk) -> None:
    """A frame is published as it is, a reply as packets, each by one write, with the content type in the topic."""
    script = "say(send(1, b'f' * 300), send(1, b'g'), send(3, b'reply'), stream.why)"
    told, broker = desk.speak(script, CONNACK, SUBACK, name="s")
    assert told == [True, True, True, ""]
    first, second, third = (published(data) for data in broker.got[2:])
    assert first == ("devices/s/messages/events/$.ct=application%2Fcose", b"f" * 300, b"\0\1")
    assert second == (first[0], b"g", b"\0\2")
    assert (third[0], third[2]) == ("devices/s/messages/events/$.ct=application%2Fvnd.vitalwire.packets", b"")
    assert [(p.type, p.id, p.body) for p in PacketDecoder().feed(third[1])] == [(PacketType.REPLY, 7, b"reply")]


def test_the_brokers_word_frees_a_place_and_no_more(desk: BrokerDesk) -> None:
    """No more frames are in flight than the window has places; a PUBACK frees one, and erases only if so configured."""
    script = "say([send(1, b'f', seq + 1) for seq in range(5)], stream.why)"
    told, _ = desk.speak(script, CONNACK, SUBACK)
    assert told == [[True] * WINDOW + [False] * 2, ""]
    script = (
        "stored = []\nif {keep}: stream.stored = stored.append\n"
        "sent = [send(1, b'f', 10 + seq) for seq in range(6)]\nwork(lambda: False, 200)\n"
        "say(sent, stored, stream._flight)"
    )
    told, _ = desk.speak(script.format(keep=False), CONNACK, SUBACK, puback=6)
    assert told == [[True] * 6, [], [0] * WINDOW]
    told, _ = desk.speak(script.format(keep=True), CONNACK, SUBACK, puback=4)
    assert told[1] == [10, 11, 12, 13]


def test_a_broker_that_confirms_nothing_is_left(desk: BrokerDesk) -> None:
    """A message without PUBACK for 20 seconds, or 30 without a byte, end the connection; before that it is asked."""
    script = "send(1, b'f')\nlater = {s} * 1000000\nwork(lambda: False, 300)\nsay(stream.up, stream.why)"
    told, broker = desk.speak(script.format(s=19), CONNACK, SUBACK)
    assert told == [True, ""]
    assert broker.got[3:] == [b"\xc0\0"]
    assert desk.speak(script.format(s=21), CONNACK, SUBACK)[0] == [False, "localhost: no PUBACK"]
    told, _ = desk.speak("later = 31 * 1000000\nwork(lambda: False, 300)\nsay(stream.up, stream.why)", CONNACK, SUBACK)
    assert told == [False, "localhost: silent"]


def test_what_comes_for_the_device_is_one_stream(desk: BrokerDesk) -> None:
    """Messages of quality of service 0 and 1 are read as the bytes they carry, the latter confirmed."""
    topic = b"devices/s/messages/devicebound/x=1"
    head = len(topic).to_bytes(2) + topic
    packet = encode_packet(PacketType.COMMAND, 1, bytes(range(200)))
    plain = b"\x30" + bytes([(n := len(head) + len(packet)) & 127 | 128, n >> 7]) + head + packet
    confirmed = b"\x32" + bytes([(n := len(head) + 2 + 3)]) + head + b"\x12\x34" + b"abc"
    empty = b"\x30" + bytes([len(head)]) + head
    script = "work(lambda: len(came) >= {n})\nwork(lambda: False, 50)\nsay(came.hex(), stream.why)"
    told, broker = desk.speak(
        script.format(n=len(packet) + 6), CONNACK, SUBACK + plain + empty + confirmed + b"\xd0\0" + confirmed
    )
    assert told == [(packet + b"abcabc").hex(), ""]
    assert broker.got[2:] in ([b"\x40\x02\x12\x34"] * 2, [b"\x40\x02\x12\x34" * 2])


BAD = {
    "refused": ([b"\x20\x02\0\x05"], "refused by the broker: 5"),
    "not subscribed": ([CONNACK, b"\x90\x03\0\x01\x80"], "subscription refused"),
    "a second CONNACK": ([CONNACK, SUBACK + CONNACK], "refused"),
    "a message before the subscription": ([b"\x30\x05\0\1ab"], "not MQTT"),
    "a kind that no broker sends": ([CONNACK, SUBACK + b"\x10\x02\0\0"], "not MQTT"),
    "a PUBACK of a wrong size": ([CONNACK, SUBACK + b"\x40\x03\0\0\0"], "not MQTT"),
    "quality of service 2": ([CONNACK, SUBACK + b"\x34\x06\0\1a\0\1b"], "not MQTT"),
    "a message too long": ([CONNACK, SUBACK + b"\x30\x81\x80\x01"], "too long a message"),
    "a length of five bytes": ([CONNACK, SUBACK + b"\x30\x80\x80\x80\x80\x01"], "more than four"),
    "a topic too long": ([CONNACK, SUBACK + b"\x30\x90\x20\x04\x01" + b"x" * 4110], "too long a topic"),
    "a topic longer than its message": ([CONNACK, SUBACK + b"\x30\x04\0\x10ab"], "too long a topic"),
    "a message without a topic": ([CONNACK, SUBACK + b"\x30\x01\0"], "not MQTT"),
    "an id that does not fit": ([CONNACK, SUBACK + b"\x32\x03\0\1a"], "too long a topic"),
    "more to confirm than is taken": ([CONNACK, SUBACK + b"\x32\x05\0\1a\0\1" * 40], "takes nothing"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_no_broker_may_say_ends_the_connection(desk: BrokerDesk, what: str) -> None:
    """Whatever is refused, too long or no MQTT ends the connection with a reason, and nothing of it is passed on."""
    answers, words = BAD[what]
    more = "stream.write = None\nstream._begun = True\n" if "confirm" in what else ""
    told, _ = desk.speak(more + "work(lambda: False, 500)\nsay(stream.up, stream.why, len(came))", *answers)
    assert told[0] is False
    assert words in str(told[1])
    assert told[2] == 0


def test_ids_that_nobody_used_do_nothing(desk: BrokerDesk) -> None:
    """A PUBACK for nothing, and one for the id 0, free no place and tell of no frame."""
    script = (
        "stored = []\nstream.stored = stored.append\nsend(1, b'f', 5)\nwork(lambda: False, 99)\nsay(stored, stream.up)"
    )
    told, _ = desk.speak(script, CONNACK, SUBACK + b"\x40\x02\0\0" + b"\x40\x02\0\x09", b"\x40\x02\0\x09")
    assert told == [[], True]


def test_a_broker_that_never_pauses_stops_nothing(desk: BrokerDesk) -> None:
    """However many packets wait, a few are read before the board looks after its sensors again; in time all are."""
    script = (
        "taken = []\nstream._answered = taken.append\nsend(1, b'f', 5)\ntime.sleep_ms(300)\nstream.readinto(buf)\n"
        "first = len(taken)\nwork(lambda: len(taken) == 2000)\nsay(first <= 8, len(taken), stream.up)"
    )
    told, _ = desk.speak(script, CONNACK, SUBACK, b"\xd0\0" * 2000)
    assert told == [True, 2000, True]


def test_it_says_that_it_is_here_now_and_then(desk: BrokerDesk) -> None:
    """While nobody answers it is time to say something at once, then after 5 seconds, then each time twice as late."""
    told, _ = desk.speak("say([at for at in range(0, 400) if stream.hail(at * 1000000)])", CONNACK, SUBACK)
    assert told == [[0, 5, 15, 35, 75, 155, 235, 315, 395]]


def test_a_subscription_is_not_yet_a_welcome(desk: BrokerDesk) -> None:
    """Attempts go on getting rarer until a message was confirmed: what denies a topic may still take a subscription."""
    script = "before = stream.proven\nsend(1, b'f')\nwork(lambda: stream.proven, 500)\nsay(before, stream.proven)"
    for puback, proven in ((0, False), (1, True)):
        told, _ = desk.speak(script, CONNACK, SUBACK, puback=puback)
        assert told == [False, proven]
