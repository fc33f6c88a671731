"""One flash image from a stock MicroPython: what is in it, that it is the same each time, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.boards.stockimage import ROWS, application, stock

from vitalwire import crypto, jws
from vitalwire.cli import main
from vitalwire.errors import InputError, TransportError, UsageError
from vitalwire.registry import Registry
from vitalwire.update import read_package
from vitalwire_protocol.spec import UpdateKind
from vitalwire_tools import littlefs_image, signers
from vitalwire_tools.codegen.board import Board
from vitalwire_tools.codegen.boardfile import boards
from vitalwire_tools.codegen.chips import chips
from vitalwire_tools.image import build, device_files, nvs, read_stock, table
from vitalwire_tools.image.flash import chip_of, flash
from vitalwire_tools.provision import Identity

ALL = {board.name: board for board in boards() if board.name != "virtual"}
DEVKIT = ALL["espressif_esp32_devkitc"]
IDENTITY = Identity("strap 7", bytes(31) + b"\x05", bytes(range(32)))


def part(image: bytes, board: Board, name: str) -> bytes:
    """Return the bytes of a partition."""
    offset, size = board.partitions[name]
    return image[offset : offset + size]


@pytest.mark.parametrize("board", ALL.values(), ids=ALL)
def test_an_image_holds_everything_the_board_needs(board: Board) -> None:
    """Each board's image has the stock application, its own table, the firmware file by file, and an erased journal."""
    read = read_stock(stock(board.chip))
    made = build(read, board, {"repl": False})
    assert len(made.data) == board.flash
    assert made.data[read.app_at :].startswith(read.app)
    rows = {row.label: row for row in table.parse(made.data[table.OFFSET :])}
    assert {"nvs", "phy_init", "factory", "vfs", "journal"} == set(rows)
    assert [(rows[name].offset, rows[name].size) for name in ("vfs", "journal")] == [
        board.partitions[name] for name in ("vfs", "journal")
    ]
    files = littlefs_image.unpack(part(made.data, board, "vfs"))
    assert json.loads(files.pop("config.json")) == {"repl": False}
    assert files == device_files(board, chips()[board.chip].arch)
    assert files["main.py"].endswith(b"import main\n")
    assert "firmware/hal/esp32.mpy" in files
    assert not any("virtual" in path for path in files)
    assert {path[17:-4] for path in files if path.startswith("firmware/sensors/")} == {
        *("__init__", "battery"),
        *(sensor.part for sensor in board.sensors),
    }
    assert set(part(made.data, board, "journal")) == {0xFF}
    nvs_row = rows["nvs"]
    assert set(made.data[nvs_row.offset : nvs_row.end]) == {0xFF}


def test_files_are_for_the_chips_processor() -> None:
    """Every module's code is for its chip, Xtensa with windows or RV32IMC, and for MicroPython 1.24 and newer."""
    native = {"xtensawin": 10, "rv32imc": 11}  # MP_NATIVE_ARCH_*, in bits 2 to 5 of the third byte
    for name in ("espressif_esp32_devkitc", "espressif_esp32c3_devkitm1"):
        arch = chips()[ALL[name].chip].arch
        files = device_files(ALL[name], arch)
        kinds = {content[2] >> 2 & 15 for path, content in files.items() if path.endswith(".mpy")}
        assert kinds == {0, native[arch]}
        heads = {content[:4] for path, content in files.items() if path.endswith(".mpy")}
        # version 6, for native code 6.3, and small integers of no more bits than a chip has: what 1.24 loads
        assert {head[:2] for head in heads} == {b"M\x06"}
        assert {head[2] & 3 for head in heads if head[2]} == {3}
        assert max(head[3] for head in heads) <= 31


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two images made from one download by the command are equal, byte by byte; so are two with one identity."""
    (tmp_path / "stock.bin").write_bytes(stock("esp32c3"))
    made = []
    for name in ("one.bin", "two.bin"):
        arguments = ["--board", "espressif_esp32c3_devkitm1", "--out", str(tmp_path / name), "--json"]
        assert main(["board", "image", str(tmp_path / "stock.bin"), *arguments]) == 0
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    assert len(json.loads(capsys.readouterr().out.split("}\n{")[0] + "}")["parts"]) == 4
    read = read_stock(stock("esp32"))
    assert build(read, DEVKIT, {}, IDENTITY).data == build(read, DEVKIT, {}, IDENTITY).data


@pytest.mark.parametrize("name", ["espressif_esp32_devkitc", "espressif_esp32c3_devkitm1", "seeed_xiao_esp32s3"])
def test_esptool_finds_the_image_valid(name: str, tmp_path: Path) -> None:
    """`esptool image-info` calls the bootloader, with the board's flash size, and the application valid."""
    board = ALL[name]
    made = build(read_stock(stock(board.chip)), board, {}).data
    for at, words in ((chips()[board.chip].bootloader, f"Flash size: {board.flash >> 20}MB"), (0x10000, "v1.24.1")):
        (tmp_path / "part.bin").write_bytes(made[at:])
        command = [sys.executable, "-m", "esptool", "image-info", str(tmp_path / "part.bin")]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        assert "(valid)" in said
        assert "invalid" not in said
        assert words in said
        assert board.chip in said.lower().replace("-", "")
    assert chip_of(made).name == board.chip


def test_an_injected_identity_is_where_the_firmware_looks(tmp_path: Path) -> None:
    """A production line's image keeps key and secret in NVS, out of the file system, and the device is enrolled."""
    made = build(read_stock(stock("esp32")), DEVKIT, {"repl": False}, IDENTITY).data
    files = littlefs_image.unpack(part(made, DEVKIT, "vfs"))
    assert json.loads(files["config.json"]) == {"device": "strap 7", "repl": False}
    assert not any(IDENTITY.key in content or IDENTITY.secret in content for content in files.values())
    area = made[0x9000:0xF000]
    assert area == nvs.write({"key": IDENTITY.key, "secret": IDENTITY.secret}, 0x6000)
    assert IDENTITY.key in area
    assert IDENTITY.secret in area
    assert b"vitalwire" in area
    (tmp_path / "stock.bin").write_bytes(stock("esp32"))
    where = ["--board", DEVKIT.name, "-o", str(tmp_path / "out.bin"), "--registry", str(tmp_path / "registry")]
    assert main(["board", "image", str(tmp_path / "stock.bin"), *where, "--inject", "strap 8"]) == 0
    assert (tmp_path / "out.bin").stat().st_mode & 0o077 == 0
    with Registry(tmp_path / "registry") as registry:
        (device,) = registry
        assert device.name == "strap 8"
        secret = registry.secret(device.thumbprint)
    assert secret is not None
    assert secret in (tmp_path / "out.bin").read_bytes()
    assert crypto.thumbprint(IDENTITY.public_key) != device.thumbprint


def test_signers_are_where_the_firmware_looks(tmp_path: Path) -> None:
    """The public keys of --maker and --operator are in NVS, with an injected identity or without one."""
    for name in ("maker", "operator"):
        jws.create_key(tmp_path / f"{name}.pem")
    given = signers.read(tmp_path / "maker.pem", tmp_path / "operator.pem")
    keys = {"maker": given.maker[1:], "operator": given.operator[1:]}
    (tmp_path / "stock.bin").write_bytes(stock("esp32"))
    command = ["board", "image", str(tmp_path / "stock.bin"), "--board", DEVKIT.name, "-o", str(tmp_path / "out.bin")]
    pems = ["--maker", str(tmp_path / "maker.pem"), "--operator", str(tmp_path / "operator.pem")]
    assert main([*command, *pems]) == 0
    assert (tmp_path / "out.bin").read_bytes()[0x9000:0xF000] == nvs.write(keys, 0x6000)
    made = build(read_stock(stock("esp32")), DEVKIT, {}, IDENTITY, given).data
    secrets = {"key": IDENTITY.key, "secret": IDENTITY.secret}
    assert made[0x9000:0xF000] == nvs.write(secrets | keys, 0x6000)
    assert main([*command, "--maker", str(tmp_path / "stock.bin")]) == 2


def damaged(data: bytes, at: int) -> bytes:
    """Return data with one bit of the byte at `at` changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


GOOD = stock("esp32")
OTHER = (*ROWS[:2], table.Partition("model", table.DATA, 0x40, 0x10000, 0x1000))
REFUSED = {
    "empty": (b"", "begin with a bootloader"),
    "text": (b"<html>not found</html>".ljust(64), "begin with a bootloader"),
    "an application alone": (application("esp32", "v1.24.1"), "no partition table"),
    "bootloader damaged": (damaged(GOOD, 100), "bootloader"),
    "table damaged": (damaged(GOOD, 0x7000 + 8), "MD5"),
    "application damaged": (damaged(GOOD, len(GOOD) - 200), "application"),
    "cut short": (GOOD[:-600], "application"),
    "no application": (stock("esp32", rows=OTHER), "names no application"),
    "too old": (stock("esp32", "v1.23.0"), "it is MicroPython 1.23.0"),
    "something else": (GOOD[:0xF000] + application("esp32", "x"), "is not MicroPython"),
    "another chip": (damaged(damaged(GOOD, 12), 12)[:12] + b"\x0d" + GOOD[13:], "esp32c6"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_download_that_will_not_run_is_refused(case: str) -> None:
    """A .bin that is damaged, cut, too old, or no MicroPython of a known chip is refused in words, with advice."""
    data, words = REFUSED[case]
    with pytest.raises(InputError, match=words) as caught:
        read_stock(data)
    assert "micropython.org" in caught.value.advice


def test_every_newer_version_is_taken() -> None:
    """Releases from 1.24 on and their previews are taken, and their number is read."""
    for text, version in (("v1.24.0", (1, 24, 0)), ("v1.26.0-preview.12.gabcdef", (1, 26, 0)), ("v2.0", (2, 0, 0))):
        assert read_stock(stock("esp32s3", text)).version == version


def test_a_board_and_a_download_must_fit() -> None:
    """Another chip's MicroPython, one whose partitions leave no room, or one without NVS is refused by name."""
    with pytest.raises(UsageError, match="has an esp32, this MicroPython is for esp32c3"):
        build(read_stock(stock("esp32c3")), DEVKIT, {})
    ota = (
        *ROWS[:2],
        table.Partition("ota_0", 0, 0x10, 0x10000, 0x180000),
        table.Partition("ota_1", 0, 0x11, 0x190000, 0x180000),
    )
    with pytest.raises(UsageError, match="vfs at 0x200000 overlaps ota_1"):
        build(read_stock(stock("esp32", rows=ota)), DEVKIT, {})
    with pytest.raises(UsageError, match="no nvs partition"):
        build(read_stock(stock("esp32", rows=ROWS[1:])), DEVKIT, {})
    with pytest.raises(ValueError, match="do not fit"):
        littlefs_image.pack({"big": bytes(70_000)}, 65536)


def test_an_ota_builds_application_becomes_an_update(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An .app-bin for the board's chip is signed as a whole image; another chip's, a cut one or a full image is not."""
    key, app, update = tmp_path / "maker.pem", tmp_path / "app.bin", tmp_path / "update"
    maker = ec.generate_private_key(ec.SECP256R1())
    key.write_bytes(maker.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    command = ["board", "release", DEVKIT.name, str(update), "--key", str(key), "--counter", "3", "--image", str(app)]
    good = application("esp32", "v1.24.1")
    app.write_bytes(good)
    assert main(command) == 0
    package = read_package(update.read_bytes(), maker.public_key())
    assert package.manifest.kind == UpdateKind.IMAGE
    assert package.data[package.signed :] == good
    bad = {
        "for esp32s3, not for esp32": application("esp32s3", "v1.24.1"),
        "does not parse": good[:600],
        "come as .app-bin": good + bytes(16),
        "it is MicroPython 1.20.0": application("esp32", "v1.20.0"),
        "no chip": b"x" * 100,
    }
    for words, data in bad.items():
        app.write_bytes(data)
        assert main(command) != 0
        assert words in capsys.readouterr().err
    app.unlink()
    assert main(command) == 2


def test_flashing_without_a_chip_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is not there, or a file that is no image, ends with one line, advice and an exit code."""
    made = build(read_stock(stock("esp32")), DEVKIT, {}).data
    with pytest.raises(TransportError, match="cannot write to the chip on /dev/nowhere"):
        flash("/dev/nowhere", made)
    (tmp_path / "image.bin").write_bytes(made)
    capsys.readouterr()
    assert main(["board", "flash", "/dev/nowhere", str(tmp_path / "image.bin")]) == 6
    assert "vitalwire ports" in capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "image.bin").write_bytes(GOOD)
    assert main(["board", "flash", "/dev/nowhere", str(tmp_path / "image.bin")]) == 3
    assert "board image" in capsys.readouterr().err


def test_littlefs_images_are_micropythons(tmp_path: Path) -> None:
    """MicroPython mounts the partition, reads every file whatever its size, and writes to it; we read that back."""
    files = {f"d/{n}": bytes(range(n % 256)) * (n // 256 + 1) for n in (1, 100, 127, 128, 129, 300, 5000)}
    (tmp_path / "disk").write_bytes(littlefs_image.pack(files | {"top": b"1"}, 65536))
    script = f"""
import os, vfs
class Disk:
    def __init__(self): self.f = open({str(tmp_path / "disk")!r}, "r+b")
    def readblocks(self, n, b, o=0): self.f.seek(n * 4096 + o); self.f.readinto(b)
    def writeblocks(self, n, b, o=0): self.f.seek(n * 4096 + o); self.f.write(b)
    def ioctl(self, op, a):
        if op == 4: return 16
        if op == 5: return 4096
        if op == 6: self.f.seek(a * 4096); self.f.write(bytes([255]) * 4096)
        if op == 3: self.f.flush()
        return 0
vfs.mount(Disk(), "/m")
for name in os.listdir("/m/d"):
    n = int(name)
    assert open("/m/d/" + name, "rb").read() == bytes(range(n % 256)) * (n // 256 + 1), name
with open("/m/new", "w") as f: f.write("x" * 200)
vfs.umount("/m")
print("ok")
"""
    done = subprocess.run(["micropython", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "ok\n", done.stderr
    assert littlefs_image.unpack((tmp_path / "disk").read_bytes()) == files | {"top": b"1", "new": b"x" * 200}
