"""The table of targets on the host. Nothing here or below it knows atheris."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from . import corpus, files, messages, signed, streams


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder: what it reads, the function that tries an input, inputs to begin with, the longest one tried."""

    what: str
    attempt: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 4096


TARGETS: dict[str, Target] = {
    "cbor": Target("CBOR items", messages.try_cbor, lambda: corpus.raw("cbor")),
    "cose": Target("signed and MACed messages, keys", messages.try_cose, lambda: messages.prefixed("frame")),
    "frame": Target("frames, to their samples", messages.try_frame, lambda: messages.prefixed("frame")),
    "blocks": Target("the byte string of blocks", messages.try_blocks, messages.blocks_seeds),
    "block": Target("blocks, together and alone", messages.try_block, messages.block_seeds),
    "packet": Target("packets and log lines", messages.try_packet, messages.packet_seeds),
    "reply": Target("a device's replies and identity", messages.try_reply, messages.reply_seeds, 512),
    "session": Target("frames from anywhere, in any order", streams.try_session, streams.story_seeds, 16384),
    "verdict": Target("a record, by chain and by signatures", streams.try_verdict, streams.story_seeds, 16384),
    "conversation": Target("all that a peer can send", streams.try_conversation, streams.conversation_seeds, 16384),
    "capture": Target("capture files and their indices", files.try_capture, files.capture_seeds, 16384),
    "url": Target("addresses and their options", files.try_url, lambda: files.URLS, 256),
    "board": Target("board.toml", files.try_board, files.board_seeds),
    "update": Target("updates and their manifests", signed.try_update, signed.update_seeds),
    "configuration": Target(
        "configurations an operator signs", signed.try_configuration, signed.configuration_seeds, 1024
    ),
    "audit": Target("audit logs and their heads", signed.try_audit, signed.audit_seeds),
    "fhir": Target("FHIR resources, as they are compared", signed.try_fhir, lambda: signed.FHIR),
    "faults": Target("scripts of faults", files.try_faults, lambda: files.FAULTS, 1024),
}
