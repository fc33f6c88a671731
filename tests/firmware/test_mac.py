"""HMAC-SHA256 and HKDF-SHA256 as the device computes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cryptography_vectors
import pytest

VECTORS = Path(cryptography_vectors.__file__).parent


def blocks(name: str, first: str) -> list[dict[str, str]]:
    """Return the `KEY = value` groups of a vector file, each begun by the key `first`."""
    found: list[dict[str, str]] = []
    for line in (VECTORS / name).read_text().splitlines():
        key, separator, value = (part.strip() for part in line.partition("="))
        if separator and not key.startswith("#"):
            if key == first:
                found.append({})
            found[-1][key] = value
    return found


def test_hmac_of_rfc_4231(micropython: Callable, tmp_path: Path) -> None:
    """Every RFC 4231 test case, keys longer than a block among them, gives the published tag, also fed in parts."""
    cases = [b for b in blocks("HMAC/rfc-4231-sha256.txt", "Len") if "MD" in b]
    assert len(cases) >= 6
    file = tmp_path / "cases.json"
    file.write_text(json.dumps([[c["Key"], c["Msg"], c["MD"]] for c in cases]))
    script = """
import json, sys
from mac import hmac
for key, message, tag in json.load(open(sys.argv[1])):
    key, message, tag = bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(tag)
    for split in (0, 1, len(message)):
        made = hmac(key, message[:split], memoryview(message)[split:])
        assert made[: len(tag)] == tag, (key, message)
    print(len(made))
"""
    assert micropython(script, str(file)).stdout == "32\n" * len(cases)


def test_hkdf_of_rfc_5869(micropython: Callable, tmp_path: Path) -> None:
    """Every RFC 5869 SHA-256 test case gives the published key."""
    cases = [b for b in blocks("KDF/rfc-5869-HKDF-SHA256.txt", "COUNT") if "OKM" in b]
    assert len(cases) == 3
    file = tmp_path / "cases.json"
    file.write_text(json.dumps([[c["IKM"], c.get("salt", ""), c.get("info", ""), c["OKM"]] for c in cases]))
    script = """
import json, sys
from mac import hkdf
for case in json.load(open(sys.argv[1])):
    secret, salt, info, key = (bytes.fromhex(text) for text in case)
    print(hkdf(secret, salt, info, len(key)) == key)
"""
    assert micropython(script, str(file)).stdout == "True\n" * 3


def test_hkdf_gives_at_most_255_blocks(micropython: Callable) -> None:
    """RFC 5869 bounds the output at 255 hashes: the last length works, one more byte is refused."""
    script = """
from mac import hkdf
print(len(hkdf(b"secret", b"", b"info", 8160)))
try:
    hkdf(b"secret", b"", b"info", 8161)
except ValueError:
    print("refused")
"""
    assert micropython(script).stdout == "8160\nrefused\n"


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (b"", b"", True),
        (b"tag", b"tag", True),
        (b"tag", b"taG", False),
        (b"tag", b"Tag", False),
        (b"tag", b"ta", False),
        (b"ta", b"tag", False),
    ],
)
def test_equal(micropython: Callable, a: bytes, b: bytes, expected: bool) -> None:
    """Two tags are equal only if every byte and the length are, for bytes and bytearrays alike."""
    script = f"from mac import equal; print(equal({a!r}, {b!r}), equal(bytearray({a!r}), {b!r}))"
    assert micropython(script).stdout == f"{expected} {expected}\n"
