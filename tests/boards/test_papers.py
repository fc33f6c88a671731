"""What a board at the prompt may answer when it is provisioned: anything, and only what is right gets it papers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from vitalwire import crypto
from vitalwire.errors import CommandError, RevokedError, TrustError, UsageError, VitalwireError
from vitalwire.registry import Registry
from vitalwire_tools import authority
from vitalwire_tools.fleet import provision
from vitalwire_tools.prompt import Prompt
from vitalwire_tools.signers import Signers

KEY = ec.generate_private_key(ec.SECP256R1())
POINT = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bed-7")])
REQUEST = x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(KEY, hashes.SHA256())
GOOD = REQUEST.public_bytes(Encoding.DER)
GOOD_HEX = GOOD.hex()


class Board:
    """One that answers what it likes to each piece of code; it counts them."""

    virtual = True

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def run(self, code: str) -> str:
        """Answer with the next."""
        return self.answers.pop(0)


def born(secret: Any = "00" * 32, request: Any = GOOD_HEX, board: Any = "virtual", firmware: Any = "1") -> str:
    """Return what a board says of itself."""
    return json.dumps([secret, request, board, firmware])


def give(folder: Path, board: Board, signers: Signers | None = None) -> Registry:
    """Provision it as bed-7; returns the registry."""
    where = folder / "ca"
    ca = authority.load(where) if where.exists() else authority.create(where, "maker")
    with Registry(folder / "registry") as registry:
        provision(cast(Prompt, board), "bed-7", ca, registry, signers=signers or Signers())
    return registry


@pytest.mark.parametrize(
    "said",
    ["", "x", "[]", "[" * 100_000, "{}", born(secret=7), born(request="x"), born(request=7), born(board=["x"]),
     born(firmware="x" * 65), born(secret="00"), born(request=GOOD[:-1].hex())],
)  # fmt: skip
def test_an_answer_without_the_form_is_a_typed_error(tmp_path: Path, said: str) -> None:
    """A board that is broken or hostile stops nothing but itself, and is not enrolled."""
    with pytest.raises(VitalwireError):
        give(tmp_path, Board(said))
    with pytest.raises(CommandError):
        give(tmp_path, Board(""), Signers(maker=POINT))
    with Registry(tmp_path / "registry") as registry:
        assert not list(registry)


@pytest.mark.parametrize("what", ["040302", "0201", "030107"])
def test_a_request_of_an_unknown_kind_is_refused(tmp_path: Path, what: str) -> None:
    """An algorithm, a kind of key or a curve that nobody knows is no request of this device."""
    part = bytes.fromhex(what)
    assert part in GOOD
    request = GOOD.replace(part, part[:-1] + b"\x7f")
    with pytest.raises(TrustError):
        give(tmp_path, Board(born(request=request.hex())))


def test_whoever_is_refused_gets_no_certificate(tmp_path: Path) -> None:
    """A revoked board, or one under another's name, is told so before a certificate of that name goes to it."""
    give(tmp_path, Board(born(), ""))
    with Registry(tmp_path / "registry") as registry:
        registry.revoke(crypto.thumbprint(POINT))
    board = Board(born(), "not to be reached")
    with pytest.raises(RevokedError):
        give(tmp_path, board)
    assert len(board.answers) == 1
    with Registry(tmp_path / "registry") as registry:
        registry.enrol(bytes(32), "bed-7")
    with pytest.raises(UsageError, match="another device"):
        give(tmp_path, Board(born(), "not to be reached"))
