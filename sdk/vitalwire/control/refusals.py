"""What a device's refusal means to a person, and what to do next; programs go by its name."""

from __future__ import annotations

from vitalwire.errors import CommandError
from vitalwire_protocol.spec import Command, Result

_UPDATES = (Command.UPDATE_BEGIN, Command.UPDATE_WRITE, Command.UPDATE_APPLY, Command.UPDATE_STATUS)
_PROVISION = "`vitalwire board provision PORT --device NAME --ca DIR"
_WORDS: dict[Result, tuple[str, str]] = {  # what it means, what to do
    Result.NOT_PROVISIONED: (
        "it has no secret, or this computer does not know it",
        f"{_PROVISION}` gives it one, and tells this computer",
    ),
    Result.UPDATE_FORGED: (
        "it is not signed by the maker's key that the device has",
        f"{_PROVISION} --maker PEM --replace` gives it another",
    ),
    Result.UPDATE_FOREIGN: ("it is for another board", "`vitalwire board release BOARD` makes one"),
    Result.UPDATE_OLD: (
        "its counter is not above that of the firmware that runs",
        "`vitalwire board release --counter` says a higher one",
    ),
    Result.UPDATE_DAMAGED: ("it did not arrive as it was signed", "send it again"),
    Result.UPDATE_TOO_BIG: (
        "the device has no room for it in memory or flash",
        "send it again, it goes on where it was; a virtual board has more with --heap 320",
    ),
    Result.UPDATE_UNSUPPORTED: ("it is a whole image, and the device has no partitions for one", ""),
    Result.CONFIGURATION_FORGED: (
        "it is not signed by the operator's key that the device has",
        f"{_PROVISION} --operator PEM --replace` gives it another",
    ),
    Result.CONFIGURATION_FOREIGN: ("it is for another device", ""),
    Result.CONFIGURATION_OLD: ("its version is not above that of the newest it took", "give a higher --version"),
    Result.CONFIGURATION_UNKNOWN: (
        "its firmware has no such setting",
        "`vitalwire config show URL` names those it has",
    ),
    Result.CONFIGURATION_RANGE: ("a value is out of bounds, or does not go with the rest", ""),
    Result.CONFIGURATION_FAILED: ("it had no room to look at it or to keep it", "send it again"),
}


def refusal(command: Command, result: Result | int, about: str = "") -> CommandError:
    """Return the error for a command that a device does not carry out; its `reason` is the result's name.

    `about` names what of it the device did not take.
    """
    name = result.name if isinstance(result, Result) else str(result)
    words, advice = _WORDS.get(result, ("", "")) if isinstance(result, Result) else ("", "")
    if result == Result.NOT_PROVISIONED and command in _UPDATES:
        words = "it has no maker's key, or this computer not its secret"
        advice = f"{_PROVISION} --maker PEM` mends both"
    elif result == Result.BAD_ARGUMENT and command in _UPDATES:
        words = "not while another one starts or is on trial"
        advice = "`vitalwire record` confirms that one"
    elif result == Result.NOT_PROVISIONED and command == Command.CONFIGURE:
        words, advice = (
            "it has no operator's key, or this computer not its secret",
            f"{_PROVISION} --operator PEM` mends both",
        )
    said = f"{command.name} was refused: {name}" + (f" ({about})" if about else "")
    return CommandError(f"{said}: {words}" if words else said, reason=name, advice=advice)
