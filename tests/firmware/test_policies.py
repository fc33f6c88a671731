"""The policies `seal` and `private` on the device: what has a MAC, what is signed, what is readable."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from tests.openssl import openssl_verifies, public

from vitalwire.errors import UsageError
from vitalwire_tools.provision import check_settings, filesystem_image, new_identity, reconfigured

HERE = Path(__file__).resolve().parent
FIRMWARE = HERE.parents[1] / "firmware"
KEY = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
SECRET, THUMBPRINT = bytes(range(32)), bytes(range(32, 64))  # of frame_mp.py

Device = Callable[[str], list[Any]]
BEGUN = """
made(maker, maker.describe(5, contents()))
made(maker, maker.events(10, [(wire.EVENT_BOOT, 10, maker.boot_details(1))]))
"""


@pytest.fixture
def device(micropython: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> Device:
    """Run statements on the device beside `frame_mp`; returns what they printed, line by line."""

    def run(body: str) -> list[Any]:
        script = "import sys\nfrom frame_mp import *\n" + body
        done = micropython(script, str(tmp_path / "flash"), f"{KEY:064x}", heap="256k", path=Path(f"{FIRMWARE}:{HERE}"))
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def derived(info: bytes, size: int) -> bytes:
    """Return one of the device's keys."""
    return HKDF(SHA256(), size, salt=THUMBPRINT, info=info).derive(SECRET)


def opened(raw: bytes) -> tuple[bool, dict[int, Any]]:
    """Return whether a frame is signed, and its map, signature or MAC checked without any code of ours."""
    message = cbor2.loads(raw)
    protected, unprotected, payload, tail = message.value
    assert unprotected == {}
    assert cbor2.dumps(cbor2.CBORTag(message.tag, [protected, {}, payload, tail])) == raw
    context = {18: "Signature1", 17: "MAC0"}[message.tag]
    covered = cbor2.dumps([context, protected, b"vitalwire/1 frame", payload])
    if message.tag == 18:
        assert protected == bytes.fromhex("a10126")
        assert openssl_verifies(public(KEY), hashlib.sha256(covered).digest(), tail)
    else:
        assert protected == bytes.fromhex("a10105")
        assert hmac.digest(derived(b"vitalwire/1 frame mac", 32), covered, "sha256") == tail
    return message.tag == 18, cbor2.loads(payload)


def chain(lines: list[Any]) -> list[tuple[bool, dict[int, Any]]]:
    """Return what was printed, after checking each frame's link to the one before."""
    prev = bytes(16)
    found = []
    for line in lines:
        raw = bytes.fromhex(line["frame"])
        found.append(opened(raw))
        assert found[-1][1][4] == prev
        prev = hashlib.sha256(raw).digest()[:16]
    return found


def test_every_nth_frame_is_signed(device: Device) -> None:
    """Descriptor and boot event are signed, then every fourth frame; the MAC costs no multiplication."""
    body = (
        f"maker = seal(boot())\n{BEGUN}"
        + """
for i in range(9):
    made(maker, maker.data(100 + i, [Stream(3, 100 + i, 300)]))
"""
    )
    lines = device(body)
    assert [signed for signed, _ in chain(lines)] == [True, True, *[False, False, False, True] * 2, False]
    assert ["modmul" in line["work"] for line in lines] == [signed for signed, _ in chain(lines)]


def test_a_frame_is_signed_when_the_last_seal_is_old(device: Device) -> None:
    """With fewer frames than a group has, a seal comes as soon as the time has passed."""
    body = (
        f"maker = seal(boot(), 100, 50)\n{BEGUN}"
        + """
for ticks in (20, 40, 59, 60, 61, 109, 110):
    made(maker, maker.status(ticks, {1: 7}))
"""
    )
    seals = [signed for signed, _ in chain(device(body))]
    assert seals == [True, True, False, False, False, True, False, False, True]


def test_what_needs_the_devices_word_is_signed(device: Device) -> None:
    """The first event of each boot and the event that declares a drop are signed, whatever their turn."""
    body = (
        f"maker = seal(boot(), 200)\n{BEGUN}"
        + """
made(maker, maker.status(20, {1: 7}))
maker = seal(boot(), 200)
made(maker, maker.describe(5, contents()))
made(maker, maker.events(10, [(wire.EVENT_BOOT, 10, maker.boot_details(1))]))
made(maker, maker.status(20, {1: 7}))
while not maker.journal.dropped:
    for _ in maker.data(100, [Stream(3, 100, 600)]): pass
for _ in maker.events(110, [(4, 110, {})]): pass
put(bytes(maker.frame[:1]).hex())
for _ in maker.events(120, [(4, 120, {})]): pass
put(bytes(maker.frame[:1]).hex())
"""
    )
    lines = device(body)
    made = chain([line for line in lines[:-2] if line["seq"]])
    assert [signed for signed, _ in made] == [True, True, False, True, False]
    assert lines[-2:] == ["d2", "d1"]


@pytest.mark.parametrize("group", [2, 6, 20])
def test_a_full_journal_gives_up_whole_groups(device: Device, group: int) -> None:
    """Each range that is declared dropped ends with a signed frame, and no more is given up than that takes."""
    body = (
        f"maker = seal(boot(), {group})\n{BEGUN}"
        + """
for i in range(120):
    made(maker, maker.data(100 + i, [Stream(3, 100 + i, 600)]))
    if maker.journal.dropped:
        made(maker, maker.events(100 + i, []))
put(maker.journal.next_unacked(1))
"""
    )
    *lines, oldest = device(body)
    found = chain(lines)
    signed = {keys[3]: seal for seal, keys in found}
    raws = {line["seq"]: bytes.fromhex(line["frame"]) for line in lines}
    drops = [row[2] for _, keys in found if keys[1] == 3 for row in keys[12] if row[0] == 10]
    assert len(drops) >= 3
    for details in drops:
        assert details[4] == 1  # nobody acknowledged a declaration, so each extends the one before
        assert signed[details[5]]
        assert details[6] == hashlib.sha256(raws[details[5]]).digest()[:16]
    assert oldest == drops[-1][5] + 1
    assert max(after[5] - before[5] for before, after in itertools.pairwise(drops)) <= group + 6


def test_private_frames_show_only_what_a_gateway_needs(device: Device) -> None:
    """Samples, marks, readings and the wearer's events are encrypted; kind, counters, boot events and drops are not."""
    body = (
        f"maker = hide(boot(utc=(1767225600000000, 12)))\n{BEGUN}"
        + """
made(maker, maker.data(700, [Stream(3, 700, 90)], [(0, 1, 0, 2)], [(9, 650, 87)]))
made(maker, maker.data(800, (), (), [(9, 800, 88)]))
made(maker, maker.events(900, [(wire.EVENT_LEAD_OFF, 890, {1: 0}), (wire.EVENT_FALL, 900, {})]))
made(maker, maker.status(950, {1: 7}))
maker = hide(boot())
made(maker, maker.describe(5, contents()))
made(maker, maker.events(7, [(wire.EVENT_BOOT, 6, maker.boot_details(1)), (wire.EVENT_FALL, 7, {})]))
"""
    )
    found = chain([line for line in device(body) if line["seq"]])
    assert all(signed for signed, _ in found)
    maps = [keys for _, keys in found]
    assert [sorted(keys.keys() - {1, 2, 3, 4, 5, 6, 7, 8}) for keys in maps] == [
        [16, 17, 18, 19, 20, 21, 22], [12], [25], [25], [25], [13], [12, 25]
    ]  # fmt: skip
    inside = [private(keys) for keys in maps if 25 in keys]
    assert [sorted(keys) for keys in inside] == [[9, 10, 11], [11], [12], [12]]
    assert inside[0][10] == [[0, 1, 0, 2]]
    assert inside[0][11] == [[9, -50, 87]]
    assert len(inside[0][9]) == 185
    assert inside[2][12] == [[2, -10, {1: 0}], [6, 0, {}]]
    assert inside[3][12] == [[6, 0, {}]]
    assert [row[0] for row in maps[6][12]] == [1]


def private(keys: dict[int, Any]) -> dict[int, Any]:
    """Return what a map keeps private, decrypted by OpenSSL."""
    protected, unprotected, ciphertext = keys[25]
    assert (protected, unprotected) == (bytes.fromhex("a1010a"), {})
    nonce = keys[2].to_bytes(4, "little") + keys[3].to_bytes(4, "little") + bytes(5)
    associated = cbor2.dumps(["Encrypt0", protected, b"vitalwire/1 private"])
    plaintext = AESCCM(derived(b"vitalwire/1 private", 16), 8).decrypt(nonce, ciphertext, associated)
    found: dict[int, Any] = cbor2.loads(plaintext)
    return found


@pytest.mark.parametrize("length", [1, 7, 60, 118, 119, 120, 121, 122, 123, 124, 1800])
def test_private_blocks_of_any_length(device: Device, length: int) -> None:
    """The ciphertext stands behind the shortest head, and decrypts, whatever its length."""
    body = f"maker = hide(boot())\n{BEGUN}made(maker, maker.data(700, [Stream(3, 700, {length})]))\n"
    (_, keys) = chain(device(body))[-1]
    assert private(keys)[9].endswith(bytes(1 + i & 255 for i in range(length)))


def test_no_number_is_encrypted_twice(device: Device) -> None:
    """A frame whose making a power cut ends, even after it was encrypted, burns its number: no ciphertext has it."""
    body = (
        f"maker = hide(boot())\n{BEGUN}"
        + """
work = maker.data(700, [Stream(3, 700, 300)])
for kind, n in work:
    if kind == "modmul":  # it is encrypted, and being signed
        break
put(maker.journal.next)
for _ in range(3):
    maker = hide(boot())
    made(maker, maker.describe(5, contents()))
    made(maker, maker.data(700, [Stream(3, 700, 300)]))
"""
    )
    lines = device(body)
    burned = next(line for line in lines if type(line) is int)
    seqs = [line["seq"] for line in lines if type(line) is dict and line["seq"]]
    assert burned == 3
    assert seqs == [1, 2, 4, 6, 8]


def test_too_much_for_one_private_frame_uses_no_number(device: Device) -> None:
    """The tag counts: what leaves no room for it is refused before anything is encrypted."""
    body = (
        f"maker = hide(boot())\n{BEGUN}"
        + """
fits = 0
for length in range(1860, 1900):
    try:
        for _ in maker.data(700, [Stream(3, 700, length)]): pass
        fits += 1
        put(len(maker.frame))
    except (ValueError, IndexError):
        break
put([fits, maker.journal.newest])
"""
    )
    lines = device(body)
    fits, newest = lines[-1]
    assert fits
    assert newest == 2 + fits
    assert max(lines[2:-1], key=lambda line: line if isinstance(line, int) else 0) <= 3980


CONFIGURED = """
import sys
from config import Config
class Hal:
    def files(self):
        return sys.argv[1]
    def recall(self, name):
        return None
c = Config(Hal())
print(c.refused, c.policy, c.repl, c.spo2)
"""


def test_a_policy_that_is_none_is_the_strictest(
    micropython: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """A board whose settings are damaged sends nothing readable that was to be private."""
    (tmp_path / "config.json").write_text('{"policy": "privat"}')
    assert micropython(CONFIGURED, str(tmp_path)).stdout.split() == ["policy", "private", "False", "[]"]


@pytest.mark.parametrize(
    ("text", "refused", "curve"),
    [
        ("110 -25", None, [[110, 0], [-25, 0]]),
        ("94.845 30.354 -45.06", None, [[94845, -3], [30354, -3], [-4506, -2]]),
        ("-0.5 -.25 7.", None, [[-5, -1], [-25, -2], [7, 0]]),
        ("", None, []),
        ("110 - 25", "spo2", []),
        ("1 2 3 4 5", "spo2", []),
        ("12345678901234567890", "spo2", []),
    ],
)
def test_a_board_reads_the_curve_of_its_oximeter(
    micropython: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path, text: str, refused: str | None, curve: list[list[int]],
) -> None:  # fmt: skip
    """Decimals become mantissas and exponents, exact; what is no curve is refused, and none is used."""
    (tmp_path / "config.json").write_text(json.dumps({"spo2": text}))
    said = micropython(CONFIGURED, str(tmp_path)).stdout.split(maxsplit=3)
    assert (said[0], json.loads(said[3])) == (str(refused), curve)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"policy": "seel"}, "sign, seal, private"),
        ({"seal_frames": 1}, "2 to 256"),
        ({"seal_frames": 257}, "2 to 256"),
        ({"seal_s": 3601}, "1 to 3600"),
        ({"seal_s": "60"}, "a whole number"),
        ({"polices": "seal"}, "policy"),
        ({"hedge": 1}, "true or false"),
        ({"links": []}, "serial"),
        ({"links": "serial"}, "serial"),
        ({"links": ["serial", "serial"]}, "serial"),
        ({"links": ["serial://host:1"]}, "serial"),
        ({"links": ["lamp"]}, "serial"),
        ({"links": [["serial"]]}, "serial"),
        ({"spo2": "110 - 25"}, "one to four decimals"),
        ({"spo2": "1 2 3 4 5"}, "one to four decimals"),
        ({"spo2": "1e2"}, "one to four decimals"),
        ({"spo2": "1_0"}, "one to four decimals"),
        ({"spo2": "--1"}, "one to four decimals"),
        ({"spo2": "."}, "one to four decimals"),
        ({"spo2": "1.2.3"}, "one to four decimals"),
        ({"spo2": "12345678901234567890"}, "one to four decimals"),
        ({"spo2": -25}, "one to four decimals"),
        ({"public_vitals": 1}, "true or false"),
        ({"public_vitals": True}, '"links": ["ble"]'),
    ],
)
def test_settings_are_checked_when_a_board_is_provisioned(settings: dict[str, object], said: str) -> None:
    """What a device would refuse is refused at the desk, with what is allowed."""
    with pytest.raises(UsageError) as refused:
        filesystem_image(new_identity("one"), settings, 1 << 16)
    assert said in refused.value.advice
    check_settings({"policy": "seal", "seal_frames": 256, "seal_s": 1, "spo2": "110 -25"})
    check_settings({"links": ["serial", "ble"], "public_vitals": True})


def test_a_policy_can_be_changed_and_the_keys_stay() -> None:
    """A changed setting leaves key and secret in the image as they were."""
    identity = new_identity("one")
    image = filesystem_image(identity, {"policy": "sign"}, 1 << 16)
    changed = reconfigured(image, {"policy": "private"})
    assert changed != image
    assert identity.key in changed
    assert identity.secret in changed
    assert b'"policy": "private"' in changed
