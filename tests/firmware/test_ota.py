"""Updates on the device: what it takes and refuses, and that no power cut leaves it without a whole application."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from vitalwire import cbor, crypto
from vitalwire.update import Package, pack, read_package
from vitalwire_protocol import spec
from vitalwire_protocol.spec import Command, Limit, Result, UpdateKey, UpdateKind

HERE = Path(__file__).resolve().parent
MAKER = ec.generate_private_key(ec.SECP256R1())
FILES = {"start.mpy": b"s" * 700, "vitalwire.mpy": bytes(range(256)) * 20, "hal/esp32.mpy": b"h" * 300}


def package(counter: int, **changes: Any) -> Package:
    """Return an update; its files differ with the counter."""
    files = {path: bytes([counter]) + data for path, data in FILES.items()}
    return pack(MAKER, **{"files": files, "board": "bench", "firmware": "x", "counter": counter, **changes})


class Bench:
    """A device in a process of its own."""

    def __init__(self, path: Path, size: int = 64, *, fresh: bool = True) -> None:
        self.process = subprocess.Popen(
            ["micropython", "-X", "heapsize=2m", str(HERE / "ota_mp.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "MICROPYPATH": f"{HERE.parents[1] / 'firmware'}:.frozen"},
        )
        maker = crypto.public_point(MAKER)[1:]
        if fresh:
            self.do(f"fresh({str(path)!r}, {size})")
        self.do(f"device = Device({str(path)!r}, {maker!r}, {{}}, {size})")

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()

    def do(self, code: str) -> Any:
        """Return the value of an expression on the device."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        try:
            return ast.literal_eval(answer)
        except (SyntaxError, ValueError):
            if not answer:
                raise EOFError from None  # the process was killed
            self.process.kill()
            pytest.fail(answer + self.process.stdout.read())

    def knows(self, *packages: Package) -> None:
        """Give the test's side of the device packages to send."""
        for each in packages:
            parts = (each.signed, each.digest, each.data)
            self.do(f"device.packages.update({{{each.manifest.counter}: {parts!r}}})")

    def ask(self, command: Command, argument: Any = None) -> tuple[Result, int, int]:
        """Return result, offset and size of a command."""
        result, offset, size = self.do(f"device.ask({int(command)}, {argument!r})")
        return Result(result), offset, size

    def send(self, counter: int, most: int = 200) -> Result:
        """Send a package; returns the last result."""
        return Result(self.do(f"device.send({counter}, {most})")[0])

    def files(self) -> Any:
        """Return what lies at the top of the flash."""
        return self.do("device.files()")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Start devices that end with the test."""
    benches: list[Bench] = []

    def start(size: int = 64) -> Bench:
        benches.append(Bench(tmp_path / f"flash{len(benches)}", size))
        benches[-1].do("device.mount()")
        benches[-1].do("device.start()")
        return benches[-1]

    yield start
    for each in benches:
        each.close()


def image(counter: int) -> Package:
    """Return an update to a whole image, of some sectors."""
    content = {"image": bytes([counter, 0xE9]) * 5000}
    return pack(MAKER, content, board="bench", firmware="x", counter=counter, kind=UpdateKind.IMAGE)


def lives(path: Path, at: int, failing: bool, whole: bool) -> tuple[bool, int]:
    """Live until the power goes at operation `at`, and then to the end; returns whether it went, and all starts."""
    starts = 0
    for fresh in (True, False):
        device = Bench(path, fresh=fresh)
        try:
            device.knows(*(image(n) if whole else package(n) for n in (3, 4)))
            end = device.do(f"device.story({failing}, {at if fresh else 0}, {whole})")
            assert isinstance(end, int), f"cut at {at}: {end}"
            starts += end
            if fresh:
                return False, starts
        except EOFError:
            assert fresh
        finally:
            device.close()
    return True, starts


@pytest.mark.parametrize("failing", [False, True], ids=["works", "first trial fails"])
@pytest.mark.parametrize("whole", [False, True], ids=["application", "image"])
def test_power_cut_at_every_write_of_an_update(
    tmp_path: Path, failing: bool, whole: bool, long: bool, results: Callable[..., None]
) -> None:
    """Cut anywhere, the board starts something whole, never older than confirmed, and the update goes on."""
    at, step, cuts, starts = 1, 1 if long else 13, 0, 0
    while True:
        for left in tmp_path.iterdir():
            left.unlink()
        cut, more = lives(tmp_path / "flash", at, failing, whole)
        if not cut:
            break
        cuts, starts, at = cuts + 1, starts + more, at + step
    assert at > (50 if whole else 100)
    what, end = "of the whole image, " * whole, "the first trial fails" if failing else "each works"
    results(
        f"updates, {what}a cut at every write, {end}",
        cuts=cuts,
        starts=starts,
    )


def test_an_update_runs_on_trial_until_it_is_confirmed(bench: Callable[..., Bench]) -> None:
    """The new one runs once; not confirmed, the old one runs again, and the failure is told once."""
    device = bench()
    device.knows(package(5))
    assert device.send(5) == Result.OK
    assert device.do("device.start()") == ""
    assert device.ask(Command.UPDATE_BEGIN, [200, bytes(32)])[0] != Result.BAD_ARGUMENT
    assert device.send(5) == Result.OK
    assert device.ask(Command.UPDATE_APPLY, 0)[0] == Result.OK
    assert device.do("device.asked") == 0
    assert device.do("device.start()") == "/board/a"
    assert device.ask(Command.UPDATE_STATUS)[0] == Result.BAD_ARGUMENT  # nothing else during a trial
    assert device.do("device.start()") == ""
    assert device.do("slots.take_failed('/board')") == 5
    assert device.do("slots.take_failed('/board')") is None
    assert device.send(5) == Result.OK  # nothing has to be sent again
    assert device.ask(Command.UPDATE_APPLY, 1)[0] == Result.OK
    assert device.do("device.asked") == 1
    assert device.do("device.start()") == "/board/a"
    assert device.do("device.confirm()") == 5
    assert [device.do("device.start()") for _ in range(3)] == ["/board/a"] * 3


@pytest.mark.parametrize(
    ("looks", "starts"),
    [
        ([(None, False), (23.0, False), (25.99, False), (26.0, False)], 3),
        ([(2.5, False)], 0),  # it is that hour
        ([(1.0, False), (3.5, False)], 1),  # it came between two looks
        ([(25.0, False), (26.5, True), (27.5, True), (28.0, False)], 3),
        ([(9000.0, False), (1.0, False), (2.0, False)], 2),  # the clock was wrong and was put back
    ],
    ids=["at its hour", "in its hour", "after its hour", "low battery", "clock put back"],
)
def test_an_update_starts_at_the_hour_that_is_set(
    bench: Callable[..., Bench], looks: list[tuple[float | None, bool]], starts: int
) -> None:
    """It waits while UTC is unknown, the hour has not come or the battery is low, and says so; nothing else goes."""
    device = bench()
    device.knows(package(5))
    device.do("device.configure(update_hour=2)")
    assert device.send(5) == Result.OK
    assert device.ask(Command.UPDATE_APPLY, 1)[0] == Result.OK
    assert device.do("device.pending") is True
    asked = [device.do(f"device.look{look!r}") for look in looks]
    assert asked == [int(number >= starts) for number in range(len(looks))]
    assert device.ask(Command.UPDATE_STATUS)[0] == Result.OK
    assert device.do("device.pending") is True
    assert device.ask(Command.UPDATE_BEGIN, [200, bytes(32)])[0] == Result.BAD_ARGUMENT
    assert device.ask(Command.UPDATE_APPLY, 1)[0] == Result.BAD_ARGUMENT
    assert device.do("device.start()") == "/board/a"


def test_a_start_or_another_setting_ends_the_wait(bench: Callable[..., Bench]) -> None:
    """Another hour counts from then on, 24 at once; a start of any other cause starts the update, too."""
    device = bench()
    device.knows(package(5))
    device.do("device.configure(update_hour=2)")
    device.send(5)
    device.ask(Command.UPDATE_APPLY, 1)
    assert device.do("device.look(1.0)") == 0
    device.do("device.trial.at(4)")
    assert [device.do(f"device.look({utc})") for utc in (3.0, 4.0)] == [0, 1]
    device.do("device.trial.at(24)")
    assert device.do("device.look()") == 2
    assert device.do("device.start()") == "/board/a"
    assert device.ask(Command.UPDATE_STATUS)[0] == Result.BAD_ARGUMENT
    assert device.do("device.pending") is False


def test_a_whole_image_runs_on_trial_too(bench: Callable[..., Bench]) -> None:
    """An image goes into the other partition and runs once; not confirmed, the old one returns, and that is told."""
    device = bench()
    device.knows(image(5), image(6))
    assert device.send(5) == Result.UPDATE_UNSUPPORTED
    device.do("setattr(device, 'spare', device.loader.spare)")
    device.do("device.start()")
    device.send(5, most=20)
    device.do("device.start()")
    assert device.do("device.send(5)")[1] > image(5).signed + 4000  # what was there was not sent again
    assert device.ask(Command.UPDATE_APPLY, 1)[0] == Result.OK
    device.do("device.start()")
    assert device.do("[device.tried(), device.runs(5), device.loader.image()]") == [True, True, "ota_1"]
    device.do("device.start()")
    assert device.do("[device.tried(), device.loader.image()]") == [False, "ota_0"]
    assert device.do("slots.take_failed('/board')") == 5
    assert device.send(6) == Result.OK
    assert device.ask(Command.UPDATE_APPLY, 0)[0] == Result.OK
    device.do("device.start()")
    assert device.do("[device.tried(), device.confirm()]") == [True, 6]
    device.do("device.start()")
    assert device.do("[device.tried(), device.runs(6), slots.load('/board')]") == [
        False,
        True,
        {"run": "", "counter": 6},
    ]
    device.do("device.start()")
    assert device.send(5) == Result.UPDATE_OLD


def test_an_image_that_the_chip_does_not_start_changes_nothing(bench: Callable[..., Bench]) -> None:
    """The maker signed what is no program of this chip: its loader refuses it, and other updates are taken still."""
    device = bench()
    device.knows(image(5))
    device.do("setattr(device, 'spare', device.loader.spare)")
    device.do("def fails(label): raise OSError(-0x1503)")  # ESP_ERR_OTA_VALIDATE_FAILED
    device.do("setattr(device.loader, 'choose', fails)")
    device.do("device.start()")
    before = device.do("slots.load('/board')")
    assert device.send(5) == Result.OK
    assert device.ask(Command.UPDATE_APPLY, 1)[0] == Result.UPDATE_TOO_BIG
    assert device.do("slots.load('/board')") == before
    assert device.ask(Command.UPDATE_STATUS)[0] == Result.OK
    device.knows(package(5))
    assert device.send(5) == Result.OK
    assert device.ask(Command.UPDATE_APPLY, 1)[0] == Result.OK


def test_an_image_that_does_not_fit_is_refused(bench: Callable[..., Bench]) -> None:
    """More bytes than the partition has, more than one file, and more than any image may have are refused."""
    device = bench()
    device.do("setattr(device, 'spare', device.loader.spare)")
    device.do("device.start()")
    for files, result in (
        ([row("image", 8 * 4096 + 1)], Result.UPDATE_TOO_BIG),
        ([row("image", Limit.MAX_UPDATE_IMAGE + 1)], Result.UPDATE_TOO_BIG),
        ([row("image"), row("other")], Result.UPDATE_FORGED),
    ):
        manifest = forged(KIND=int(UpdateKind.IMAGE), FILES=files)
        device.ask(Command.UPDATE_BEGIN, [len(manifest), hashlib.sha256(manifest).digest()])
        assert device.ask(Command.UPDATE_WRITE, [0, manifest])[0] == result


def test_an_update_goes_on_where_it_was(bench: Callable[..., Bench]) -> None:
    """After a start in the middle, only what was not durable is sent again; another update begins from nothing."""
    device = bench()
    device.knows(package(2), package(3))
    device.send(2, most=14)
    device.do("device.start()")
    began = device.do("device.send(2)")[1]
    assert began > package(2).signed + 4096
    device.send(2, most=3)
    assert device.do("device.send(3)")[1] == 0
    assert device.do("device.holds('/board/a', 3)")


def test_only_the_next_bytes_are_taken(bench: Callable[..., Bench]) -> None:
    """Bytes sent twice or too early change nothing, and the reply says which are wanted."""
    device = bench()
    good = package(2)
    device.ask(Command.UPDATE_BEGIN, [good.signed, good.digest])
    for offset in (0, 0, 5, 1 << 40):
        result, at, _ = device.ask(Command.UPDATE_WRITE, [offset, good.data[:100]])
        assert (result, at) == (Result.OK, 100)
    device.knows(good)
    assert device.send(2) == Result.OK
    assert device.do("device.holds('/board/a', 2)")


@pytest.mark.parametrize(
    "argument", [None, 7, [], [1], [100, b"x"], ["a", b"x" * 32], [True, bytes(32)], [-1, bytes(32)], [5000, bytes(32)]]
)
def test_a_wrong_argument_changes_nothing(bench: Callable[..., Bench], argument: Any) -> None:
    """What is no argument of a command is refused, before and after something was begun."""
    device = bench()
    before = device.files()
    assert device.ask(Command.UPDATE_BEGIN, argument)[0] == Result.BAD_ARGUMENT
    assert device.files() == before
    assert device.ask(Command.UPDATE_APPLY, 2)[0] == Result.BAD_ARGUMENT
    for command, value in ((Command.UPDATE_APPLY, 1), (Command.UPDATE_WRITE, [0, b"x"])):
        assert device.ask(command, value)[0] == Result.NO_UPDATE


def forged(**changes: Any) -> bytes:
    """Return a manifest signed by the maker whose map was changed by key name; `None` takes a key out."""
    good = {
        "VERSION": 1,
        "KIND": 1,
        "BOARD": "bench",
        "FIRMWARE": "x",
        "COUNTER": 9,
        "FILES": [["a.mpy", 1, bytes(32)]],
    }
    fields = {UpdateKey[name]: value for name, value in (good | changes).items() if value is not None}
    return crypto.sign1(MAKER, cbor.encode(fields), aad=spec.AAD_UPDATE)


def row(path: str, size: int = 1) -> list[Any]:
    """Return a file of a manifest."""
    return [path, size, bytes(32)]


OTHER = ec.generate_private_key(ec.SECP256R1())
REFUSED: dict[str, tuple[bytes, Result]] = {
    "another's key": (pack(OTHER, {"a": b"a"}, board="bench", firmware="x", counter=9).data[:-1], Result.UPDATE_FORGED),
    "another use": (crypto.sign1(MAKER, crypto.sign1_payload(forged())), Result.UPDATE_FORGED),
    "tampered": (forged().replace(b"bench", b"benCh"), Result.UPDATE_FORGED),
    "no COSE": (b"x" * 200, Result.UPDATE_FORGED),
    "not a map": (crypto.sign1(MAKER, cbor.encode([1] * 9), aad=spec.AAD_UPDATE), Result.UPDATE_FORGED),
    "no CBOR": (crypto.sign1(MAKER, b"\xff" * 9, aad=spec.AAD_UPDATE), Result.UPDATE_FORGED),
    "a key missing": (forged(FIRMWARE=None), Result.UPDATE_FORGED),
    "another version": (forged(VERSION=2), Result.UPDATE_FORGED),
    "counter no number": (forged(COUNTER="9"), Result.UPDATE_FORGED),
    "counter out of bounds": (forged(COUNTER=1 << 32), Result.UPDATE_FORGED),
    "no files": (forged(FILES=[]), Result.UPDATE_FORGED),
    "file of two parts": (forged(FILES=[["a", 1]]), Result.UPDATE_FORGED),
    "short digest": (forged(FILES=[["a", 1, b"x"]]), Result.UPDATE_FORGED),
    "out of the slot": (forged(FILES=[row("../key")]), Result.UPDATE_FORGED),
    "absolute": (forged(FILES=[row("/key")]), Result.UPDATE_FORGED),
    "deep": (forged(FILES=[row("a/b/c")]), Result.UPDATE_FORGED),
    "hidden": (forged(FILES=[row(".x")]), Result.UPDATE_FORGED),
    "upper case": (forged(FILES=[row("A")]), Result.UPDATE_FORGED),
    "long path": (forged(FILES=[row("a" * (Limit.MAX_PATH + 1))]), Result.UPDATE_FORGED),
    "twice": (forged(FILES=[row("a"), row("a")]), Result.UPDATE_FORGED),
    "file and folder": (forged(FILES=[row("a"), row("a/b")]), Result.UPDATE_FORGED),
    "the device's own": (forged(FILES=[row("manifest")]), Result.UPDATE_FORGED),
    "another board": (forged(BOARD="other"), Result.UPDATE_FOREIGN),
    "as old as what runs": (forged(COUNTER=0), Result.UPDATE_OLD),
    "a whole image": (forged(KIND=int(UpdateKind.IMAGE)), Result.UPDATE_UNSUPPORTED),
    "a big file": (forged(FILES=[row("a", Limit.MAX_UPDATE_FILE + 1)]), Result.UPDATE_TOO_BIG),
    "an empty file": (forged(FILES=[row("a", 0)]), Result.UPDATE_TOO_BIG),
    "many files": (forged(FILES=[row(f"a{n}") for n in range(Limit.MAX_UPDATE_FILES + 1)]), Result.UPDATE_TOO_BIG),
    "more than there is room": (forged(FILES=[row("a", 100_000), row("b", 100_000)]), Result.UPDATE_TOO_BIG),
}  # fmt: skip


@pytest.mark.parametrize(("manifest", "result"), REFUSED.values(), ids=REFUSED)
def test_what_the_device_does_not_take(bench: Callable[..., Bench], manifest: bytes, result: Result) -> None:
    """A manifest not for this board, too old, too big or not signed is refused for its reason and leaves nothing."""
    device = bench()
    before = device.files()
    answer, at, _ = device.ask(Command.UPDATE_BEGIN, [len(manifest), hashlib.sha256(manifest).digest()])
    while answer == Result.OK and at < len(manifest):
        answer, at, _ = device.ask(Command.UPDATE_WRITE, [at, manifest[at : at + 400]])
    assert answer == result
    assert at == 0
    assert device.files() == before
    assert device.ask(Command.UPDATE_APPLY, 1)[0] == Result.NO_UPDATE


def test_a_manifest_other_than_announced_is_refused(bench: Callable[..., Bench]) -> None:
    """Bytes whose digest is not that of the beginning are thrown away, although the maker signed them."""
    device = bench()
    good = package(2)
    device.ask(Command.UPDATE_BEGIN, [good.signed, bytes(32)])
    at, answer = 0, Result.OK
    while answer == Result.OK:
        answer, at, _ = device.ask(Command.UPDATE_WRITE, [at, good.data[at : min(at + 400, good.signed)]])
    assert answer == Result.UPDATE_FORGED


def test_a_damaged_file_is_sent_again(bench: Callable[..., Bench]) -> None:
    """A file that is not the one signed is thrown away when it is complete; the rest stays."""
    device = bench()
    good = package(2)
    bad = bytearray(good.data)
    bad[good.signed + 800] ^= 1  # in the second file
    device.do(f"device.packages.update({{2: ({good.signed}, {good.digest!r}, {bytes(bad)!r})}})")
    assert device.send(2) == Result.UPDATE_DAMAGED
    assert device.ask(Command.UPDATE_APPLY, 1)[0] == Result.NO_UPDATE
    device.knows(good)
    assert device.send(2) == Result.OK
    assert device.do("device.holds('/board/a', 2)")


def test_flash_without_room_is_an_answer(bench: Callable[..., Bench]) -> None:
    """When the flash fills up in the middle, the device says so and goes on running what it runs."""
    device = bench(size=64)
    device.knows(package(2))
    device.send(2, most=8)
    device.do("device.fill(4096 * 56)")
    assert device.send(2) == Result.UPDATE_TOO_BIG
    assert device.do("device.start()") == ""


def test_the_packed_file_is_checked_on_the_host(tmp_path: Path) -> None:
    """A package is read back only whole, unaltered and with the maker's key."""
    from vitalwire.errors import InputError, SignatureError, UsageError

    good = package(2)
    assert read_package(good.data, MAKER.public_key()) == good
    with pytest.raises(SignatureError):
        read_package(good.data, OTHER.public_key())
    for bad in (good.data[:-1], good.data + b"x", good.data[:-1] + b"x", b"", b"x" * 100, good.data[:100]):
        with pytest.raises(InputError):
            read_package(bad, MAKER.public_key())
    for wrong in ({"../a": b"a"}, {"a": b""}, {}, {"manifest": b"x"}):
        with pytest.raises(UsageError):
            pack(MAKER, wrong, board="bench", firmware="x", counter=1)
