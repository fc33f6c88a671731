"""The one place where a byte layout, an id, a key, a unit or a limit of vitalwire is written.

Everything else is derived: `firmware/wire.py` and the tables of `protocol/SPEC.md` are generated from here and
checked for staleness; the SDK reads these objects at import. This file imports nothing of ours and does no I/O.

Order of the file: limits, COSE, frame, events and status, channels, blocks, packets, BLE, commands, journal, updates,
configurations, captures.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import construct as c

VERSION = 1

# ---------------------------------------------------------------- limits: what a peer may make us hold


class Limit(IntEnum):
    """Upper bounds; whoever exceeds one is refused."""

    MAX_FRAME = 4032  # bytes of a whole frame: one journal record in one flash sector
    MAX_COMMAND = 512  # bytes of a command or of a reply
    MAX_OPEN = 32  # bytes of an open command: anybody may send these, so reading one must be cheap
    MAX_LOG = 200  # bytes of a log line's text
    MAX_DEPTH = 5  # nesting of CBOR arrays and maps
    MAX_ITEMS = 64  # entries of one CBOR array or map
    MAX_TEXT = 64  # bytes of a text string
    MAX_CHANNELS = 32
    MAX_STREAMS = 16
    MAX_BITS = 24  # of a sample
    MAX_EXPONENT = 24  # of ten, of either sign, in SCALE and OFFSET
    MAX_COEFFICIENTS = 4  # of one calibration
    MAX_ACCURACY = 63  # exponent of two of a UTC's uncertainty in microseconds
    MAX_BLOCK_SAMPLES = 8192
    MAX_EVENTS = 16  # in one event frame
    MAX_MARKS = 32  # runs in one data frame
    MAX_SCALARS = 32  # in one data frame
    MAX_RANGES = 16  # of sequence numbers in one acknowledgement
    MAX_GROUP = 256  # frames from one seal to the next, it included
    MAX_SEQ = 0xFFFFFFFE  # 4,294,967,294 frames: 272 years of 2 s frames
    MAX_BOOT = 0xFFFFFFFE
    MAX_UPDATE_FILES = 63  # below MAX_ITEMS, so that too many are told as such
    MAX_UPDATE_FILE = 131072  # bytes of one file of an update
    MAX_UPDATE_IMAGE = 4194304  # bytes of a whole image
    MAX_PATH = 40  # characters of its path


# ---------------------------------------------------------------- COSE (RFC 9052, RFC 9053, RFC 9864)


class Tag(IntEnum):
    """CBOR tags of the COSE messages in use."""

    MAC0 = 17
    SIGN1 = 18


class Alg(IntEnum):
    """COSE algorithms in use; a device writes ES256, a reader takes ESP256 too."""

    ES256 = -7
    ESP256 = -9
    HMAC_256_256 = 5
    AES_CCM_16_64_128 = 10


class Header(IntEnum):
    """COSE header parameters (protected only: unprotected maps are empty)."""

    ALG = 1
    CRIT = 2


class CoseKey(IntEnum):
    """Parameters of an EC2 public key (RFC 9053 section 7.1); deterministic order is 1, -1, -2, -3."""

    KTY = 1
    CRV = -1
    X = -2
    Y = -3


KTY_EC2 = 2
CRV_P256 = 1
SIGNATURE_SIZE = 64
MAC_SIZE = 32
CCM_KEY_SIZE = 16
CCM_NONCE_SIZE = 13
CCM_TAG_SIZE = 8

# What a signature, MAC or encryption is for: the external_aad, so that none can be used as another.
AAD_FRAME = b"vitalwire/1 frame"
AAD_COMMAND = b"vitalwire/1 command"
AAD_REPLY = b"vitalwire/1 reply"
AAD_PRIVATE = b"vitalwire/1 private"
AAD_UPDATE = b"vitalwire/1 update"
AAD_CONFIGURATION = b"vitalwire/1 config"

# HKDF-SHA256 (RFC 5869) `info` of the keys made from the provisioned secret; `salt` is the device's thumbprint.
SECRET_SIZE = 32
INFO_COMMAND = b"vitalwire/1 command mac"
INFO_FRAME = b"vitalwire/1 frame mac"
INFO_PRIVATE = b"vitalwire/1 private"
INFO_PASSKEY = b"vitalwire/1 ble passkey"

PrivateNonce = c.Struct("boot" / c.Int32ul, "seq" / c.Int32ul, "zeros" / c.Bytes(5))

# ---------------------------------------------------------------- frame (CBOR map with integer keys, RFC 8949 4.2)

PREV_SIZE = 16  # of the SHA-256 of the whole preceding frame
DIGEST_SIZE = 8  # of the SHA-256 of the whole descriptor frame
THUMBPRINT_SIZE = 32  # SHA-256 of the COSE_Key (RFC 9679)


class Kind(IntEnum):
    """What a frame carries."""

    DESCRIPTOR = 1
    DATA = 2
    EVENT = 3
    STATUS = 4


class Key(IntEnum):
    """Keys of a frame's payload map; a reader skips and keeps the ones it does not know."""

    KIND = 1
    BOOT = 2
    SEQ = 3
    PREV = 4
    DESCRIPTOR = 5
    TICKS = 6
    UTC = 7
    UTC_ACCURACY = 8
    BLOCKS = 9
    MARKS = 10
    SCALARS = 11
    EVENTS = 12
    COUNTERS = 13
    VERSION = 16
    DEVICE = 17
    PUBLIC_KEY = 18
    BOARD = 19
    FIRMWARE = 20
    POLICY = 21
    CHANNELS = 22
    CALIBRATIONS = 23
    DURABLE = 24
    PRIVATE = 25


class ChannelKey(IntEnum):
    """Keys of one channel's map in a descriptor; value = offset + counts * scale, both mantissa * 10^exponent."""

    ID = 0
    NAME = 1
    MDC = 2
    UNIT = 3
    PART = 4
    STREAM = 5
    RATE = 6
    BITS = 7
    SCALE = 8
    OFFSET = 9


class Policy(IntEnum):
    """How a device protects its frames."""

    SIGN = 1  # every frame is a COSE_Sign1
    SEAL = 2  # frames are COSE_Mac0; a COSE_Sign1 now and then seals those before it
    PRIVATE = 3  # every frame is a COSE_Sign1; samples and what befell the wearer are encrypted in it


class Durable(IntEnum):
    """Whose word is enough for a device to erase a frame."""

    READER = 1  # a reader's acknowledgement, for which it holds the device's secret
    BROKER = 2  # that, or the word of a message broker that it has taken the frame


class Mark(IntEnum):
    """State of a run of samples; travels beside them, never as a magic value."""

    LEAD_OFF = 1
    SATURATED = 2
    LOST = 3  # the sensor lost these; their number is exact
    ESTIMATED = 4  # the sensor lost these; their number is estimated from the clock


# ---------------------------------------------------------------- events and status


class Event(IntEnum):
    """Codes of an event."""

    BOOT = 1
    LEAD_OFF = 2
    LEAD_ON = 3
    BUTTON = 4
    LOW_BATTERY = 5
    FALL = 6
    SENSOR_FAULT = 7
    SENSOR_OK = 8
    OVERRUN = 9
    DROPPED = 10
    JOURNAL_FULL = 11
    TIME_SET = 12
    COMMAND_REFUSED = 13
    CHANNEL_STARTED = 14
    CHANNEL_STOPPED = 15
    UPDATE_CONFIRMED = 32  # the updated firmware works and stays
    UPDATE_RETURNED = 33  # it did not prove itself; the one before runs again
    CONFIGURED = 34  # another configuration is in force, and the board made a frame under it
    CONFIGURATION_RETURNED = 35  # the board did not run with it; the one before is in force again
    CONFIGURATION_REFUSED = 36
    SHUTDOWN = 37  # the battery is empty: the device sleeps until it is charged
    PAUSE_BEGUN = 38  # all sensors rest, as configured, until
    PAUSE_ENDED = 39  # those that are not switched off sample again


class EventKey(IntEnum):
    """Keys of an event's detail map."""

    CHANNEL = 1
    STREAM = 2
    CAUSE = 3
    FIRST = 4
    LAST = 5
    DIGEST = 6
    COUNT = 7
    ESTIMATED = 8
    FAULT = 9
    MILLIVOLT = 10
    UTC = 11
    UTC_ACCURACY = 12
    PREV = 13
    VERSION = 14  # of a configuration
    BEFORE = 15  # version of the configuration before
    SETTING = 16


class Cause(IntEnum):
    """Why the device booted."""

    POWER_ON = 1
    HARD_RESET = 2
    WATCHDOG = 3
    DEEP_SLEEP = 4  # it slept because its battery was empty
    SOFT_RESET = 5
    COMMAND = 6
    FAULT = 7
    UPDATE = 8  # to start another application
    BROWN_OUT = 9  # the supply broke down for a moment
    CONFIGURATION = 10  # to put another configuration in force


class Fault(IntEnum):
    """What is wrong with a sensor."""

    MISSING = 1
    WRONG_PART = 2
    WEDGED = 3
    BUS = 4


class Counter(IntEnum):
    """Keys of a status frame's counters."""

    UPTIME_S = 1
    FRAMES = 2
    UNACKED = 3
    JOURNAL_SECTORS = 4
    JOURNAL_USED = 5
    DROPPED = 6
    RESENT = 7
    BAD_PACKETS = 8
    REFUSED = 9
    OVERRUNS = 10
    LOST_SAMPLES = 11
    HEAP_FREE = 12
    HEAP_LOW = 13
    BATTERY_MV = 14
    BUSY_PERMILLE = 16
    SENSORS_DOWN = 17
    EVENTS_LOST = 18
    ASLEEP_S = 19  # seconds that the processor slept in pauses


# ---------------------------------------------------------------- channels: codes and units, once


@dataclass(frozen=True, slots=True)
class Signal:
    """One row of the channel table."""

    name: str
    mdc: int | None  # IEEE 11073-10101 code, partition included; None: a local code
    mdc_name: str | None
    loinc: tuple[str, ...]
    unit: str  # UCUM


SIGNALS: dict[str, Signal] = {
    s.name: s
    for s in (
        Signal("ecg_lead_i", 131329, "MDC_ECG_ELEC_POTL_I", (), "mV"),
        Signal("ecg_lead_ii", 131330, "MDC_ECG_ELEC_POTL_II", (), "mV"),
        Signal("ppg_red", 150452, "MDC_PULS_OXIM_PLETH", (), "1"),
        Signal("ppg_ir", 150452, "MDC_PULS_OXIM_PLETH", (), "1"),
        Signal("accel_x", None, None, (), "m/s2"),
        Signal("accel_y", None, None, (), "m/s2"),
        Signal("accel_z", None, None, (), "m/s2"),
        Signal("temperature_body", 150364, "MDC_TEMP_BODY", ("8310-5",), "Cel"),
        Signal("temperature_skin", 150388, "MDC_TEMP_SKIN", ("39106-0",), "Cel"),
        Signal("battery", 67996, "MDC_ATTR_VAL_BATT_CHARGE", (), "%"),
        Signal("battery_voltage", None, None, (), "mV"),
        Signal("heart_rate", 147842, "MDC_ECG_HEART_RATE", ("8867-4",), "/min"),
        Signal("pulse_rate", 149530, "MDC_PULS_OXIM_PULS_RATE", ("8867-4",), "/min"),
        Signal("spo2", 150456, "MDC_PULS_OXIM_SAT_O2", ("2708-6", "59408-5"), "%"),
        Signal("respiration_rate", 151562, "MDC_RESP_RATE", ("9279-1",), "/min"),
    )
}

# Readings that a sensor may be calibrated for, and what their polynomial in CALIBRATIONS is of.
CALIBRATED: dict[str, str] = {
    "spo2": "the ratio of ratios: alternating over steady light of `ppg_red`, divided by the same of `ppg_ir`",
}

# ---------------------------------------------------------------- blocks (binary, inside Key.BLOCKS)

VarInt = c.VarInt  # unsigned LEB128, at most 5 bytes, no superfluous byte
ZigZag = c.ZigZag  # signed, LEB128 of (n << 1) ^ (n >> 31)
CODING_BITS = 3

Block = c.Struct(
    "head" / VarInt,  # (length of the body << CODING_BITS) | coding
    "coding" / c.Computed(c.this.head & ((1 << CODING_BITS) - 1)),
    "body" / c.Bytes(c.this.head >> CODING_BITS),
)


class Coding(IntEnum):
    """How the body of a block holds its samples."""

    RAW = 0  # each sample in the channel's bits
    LIFT = 1  # predicted by interpolation and differences, in Rice codes
    EXTENDED = 7  # reserved for codings that name themselves in the body; refused in this version


# Field widths of a LIFT body, in order; `kernel` once for each level.
LIFT_ORDER_BITS = 2
LIFT_LEVELS_BITS = 3
LIFT_SIZE_BITS = 3
LIFT_PARAMETER_BITS = 5
LIFT_SHIFT_BITS = 3
LIFT_SUM_BITS = 2
LIFT_KERNEL_BITS = 3
LIFT_UNIT = 8  # residuals of the smallest sub-block
LIFT_MAX_PARAMETER = 28  # Rice parameter + 1; 0 is a sub-block of zeros
LIFT_MAX_RESIDUAL_BITS = 28  # after zigzag
LIFT_SCALE = 6  # weights are in units of 2**-LIFT_SCALE
# Weights of the even samples 1, 3, 5 and 7 half steps away on either side; kernel 0 repeats the even sample before.
LIFT_KERNELS = (
    (0, 0, 0, 0),  # hold
    (32, 0, 0, 0),  # linear
    (8, 8, 8, 8),  # mean of eight
    (22, 6, 4, 0),  # smooth
    (26, 8, -1, -1),  # smooth
    (36, -4, 0, 0),  # cubic
    (39, -9, 2, 0),  # sharp
    (40, -13, 7, -2),  # sharpest
)
LIFT_WEIGHTS = bytes(weight & 0xFF for kernel in LIFT_KERNELS for weight in kernel)  # int8, for the device

LiftBody = c.Bitwise(  # parse(body, bits=BITS of the channel)
    c.Struct(
        "order" / c.BitsInteger(LIFT_ORDER_BITS),
        "levels" / c.BitsInteger(LIFT_LEVELS_BITS),
        "size" / c.BitsInteger(LIFT_SIZE_BITS),
        "parameter" / c.BitsInteger(LIFT_PARAMETER_BITS),
        "shift" / c.BitsInteger(LIFT_SHIFT_BITS),
        "sum" / c.BitsInteger(LIFT_SUM_BITS),
        "kernels" / c.Array(c.this.levels, c.BitsInteger(LIFT_KERNEL_BITS)),
        "first" / c.BitsInteger(c.this._params.bits - c.this.shift, signed=True),
        "planes" / c.GreedyRange(c.Bit),  # unary plane, remainder plane, fill; reading tells their lengths
    )
)

# The blocks string of a data frame: one readout per stream, in the order of the descriptor. Frame ticks are those of
# the first readout that has samples; `ticks` of each later one is the difference to the readout before it.
ReadoutHeader = c.Struct(
    "count" / VarInt,  # samples of each channel of the stream; 0: nothing follows
    "ticks" / ZigZag,  # absent in the first readout that has samples
)

# ---------------------------------------------------------------- packets (byte streams)

PACKET_DELIMITER = 0


class PacketType(IntEnum):
    """What a packet's body is."""

    FRAME = 1
    COMMAND = 2
    REPLY = 3
    LOG = 4


PacketHeader = c.Struct("type" / c.Int8ul, "id" / c.Int8ul)
PacketTrailer = c.Struct("crc" / c.Int32ul)  # CRC-32 (ISO-HDLC) of header and body
LogHeader = c.Struct("level" / c.Int8ul)  # the text follows, UTF-8


class LogLevel(IntEnum):
    """Severity of a log line; a device sends those at or above its level."""

    DEBUG = 1
    INFO = 2
    WARNING = 3
    ERROR = 4


# ---------------------------------------------------------------- packets over Bluetooth Low Energy

BLE_SERVICE = "3b312c94-ccce-4037-88bb-1810c7c59a50"
BLE_TO_DEVICE = "3b312c95-ccce-4037-88bb-1810c7c59a50"  # written by the central: the stream to the device
BLE_FROM_DEVICE = "3b312c96-ccce-4037-88bb-1810c7c59a50"  # notifications: the stream from the device
BLE_CONTROL = "3b312c97-ccce-4037-88bb-1810c7c59a50"  # control point, written by the central
BLE_PASSKEY_SIZE = 4
BLE_PASSKEYS = 1_000_000  # there are so many; the number that a user types has six digits


class BleControl(IntEnum):
    """What a central writes to the control point."""

    LIMIT = 1  # a BleLimit: how many notifications of this connection may be sent in all


BleLimit = c.Struct("code" / c.Int8ul, "total" / c.Int32ul)


# ---------------------------------------------------------------- commands


class Command(IntEnum):
    """What a controller asks; only the first two need no MAC."""

    IDENTIFY = 1
    DESCRIBE = 2
    ACKNOWLEDGE = 3
    PING = 4
    SET_TIME = 5
    START = 6
    STOP = 7
    LOG_LEVEL = 8
    REBOOT = 9
    REPL = 10
    UPDATE_BEGIN = 16
    UPDATE_WRITE = 17
    UPDATE_STATUS = 18
    UPDATE_APPLY = 19
    CONFIGURE = 24
    CONFIGURATION = 25


OPEN_COMMANDS = (Command.IDENTIFY, Command.DESCRIBE)


class CommandKey(IntEnum):
    """Keys of a command's and of a reply's payload map."""

    COMMAND = 1
    DEVICE = 2  # thumbprint, first DIGEST_SIZE bytes
    BOOT = 3
    NONCE = 4
    COUNTER = 5
    ARGUMENT = 6
    RESULT = 7
    TICKS = 8
    THUMBPRINT = 9
    FIRMWARE = 10
    BOARD = 11
    NAME = 12
    OFFSET = 16  # bytes of an update the device has
    SIZE = 17  # bytes it will have in all; 0 while its manifest is not complete
    CONFIRMED = 18  # anti-rollback counter of the confirmed firmware
    REPORTED = 19  # byte string: the CBOR map of `ReportedKey`
    PENDING = 20  # whether a configuration waits for the end of a frame, or an update for its start


NONCE_SIZE = 8


class Result(IntEnum):
    """How a command ended."""

    OK = 0
    BAD_FORM = 1  # no command: its CBOR, its COSE, a limit, or a key missing or of the wrong type or size
    BAD_MAC = 2
    WRONG_DEVICE = 3
    WRONG_BOOT = 4
    WRONG_NONCE = 5
    STALE_COUNTER = 6
    UNKNOWN_COMMAND = 7
    BAD_ARGUMENT = 8  # missing, of the wrong form, out of bounds, or not possible now
    NOT_PROVISIONED = 9  # the device has no secret
    NOT_ALLOWED = 10  # needs a MAC, or is switched off on this device
    NO_UPDATE = 16  # none was begun, or it is not complete
    UPDATE_FORGED = 17  # its manifest has not the form, or is not signed by the maker's key
    UPDATE_FOREIGN = 18  # it is for another board
    UPDATE_OLD = 19  # its counter is not above the confirmed firmware's
    UPDATE_DAMAGED = 20  # a file has not the digest of the manifest; it is to be sent again
    UPDATE_TOO_BIG = 21  # it exceeds a limit, or the room in flash
    UPDATE_UNSUPPORTED = 22  # a whole image, and this board has no partitions for one
    CONFIGURATION_FORGED = 24  # it has not the form, or is not signed by the operator's key
    CONFIGURATION_FOREIGN = 25  # it is for another device
    CONFIGURATION_OLD = 26  # its version is not above that of the newest ever taken
    CONFIGURATION_UNKNOWN = 27  # this firmware has no such setting
    CONFIGURATION_RANGE = 28  # a value out of bounds, that does not go with the rest, or that this board's parts lack
    CONFIGURATION_FAILED = 29  # no room to look at it or to keep it


# ---------------------------------------------------------------- journal (flash)

SECTOR_SIZE = 4096
JOURNAL_MAGIC = 0x314A5756  # "VWJ1"
RECORD_ALIGN = 4


class Record(IntEnum):
    """What a journal record holds; ERASED is what flash reads after an erase."""

    FRAME = 1  # a frame that is no descriptor
    DESCRIPTOR = 2  # a descriptor frame
    ACK = 3  # ranges of frames that are durable elsewhere
    STATE = 4  # the counters; `seq` is the first number that no frame has had
    DROP = 5  # the range of a `DROPPED` event still to be made, written before its frames are erased
    COPY = 6  # a descriptor frame, carried forward because its sector is reclaimed
    ERASED = 0xFF


class RecordFlag(IntEnum):
    """Bits of a record's flags."""

    DECLARES = 1  # this frame holds the event for the `DROP` recorded before it


SectorHeader = c.Struct(
    "magic" / c.Int32ul,
    "number" / c.Int32ul,  # counts sectors ever opened, so the ring's order is known at mount
    "boot" / c.Int32ul,
    "acked" / c.Int32ul,  # every frame up to this seq is durable elsewhere or given up
    "crc" / c.Int32ul,  # CRC-32 of what stands before it
)
RecordHeader = c.Struct(
    "type" / c.Int8ul,
    "flags" / c.Int8ul,
    "length" / c.Int16ul,
    "seq" / c.Int32ul,
    "crc" / c.Int32ul,  # CRC-32 of what stands before it and of the body
)
AckBody = c.Struct("first" / c.Int32ul, "last" / c.Int32ul)  # one or several
StateBody = c.Struct(
    "boot" / c.Int32ul,
    "prev" / c.Bytes(PREV_SIZE),  # of the digest of the last durable frame
)
DropBody = c.Struct(
    "first" / c.Int32ul,
    "last" / c.Int32ul,
    "prev" / c.Bytes(PREV_SIZE),  # of the first
    "digest" / c.Bytes(PREV_SIZE),  # of the last
)

# ---------------------------------------------------------------- updates


class UpdateKind(IntEnum):
    """What an update replaces."""

    APPLICATION = 1  # the files of an application slot
    IMAGE = 2  # all of the chip's program, MicroPython included; its one file goes into an OTA partition


class UpdateKey(IntEnum):
    """Keys of an update's manifest; all are there and no others."""

    VERSION = 1
    KIND = 2
    BOARD = 3
    FIRMWARE = 4
    COUNTER = 5  # rises with each release that must not be followed by an older one
    FILES = 6  # array of [path, bytes, SHA-256]


# ---------------------------------------------------------------- configurations


class ConfigurationKey(IntEnum):
    """Keys of a configuration; all are there and no others."""

    FORMAT = 1  # the version of this contract
    DEVICE = 2  # thumbprint of the one it is for
    VERSION = 3  # above that of every configuration the device has taken
    SETTINGS = 4  # map from `Setting` to values; what is not named is as provisioned


class ReportedKey(IntEnum):
    """Keys of what a device reports of its configuration."""

    IN_FORCE = 1  # version of the configuration in force; 0: as provisioned
    NEWEST = 2  # version of the newest ever taken
    SETTINGS = 3  # map of every setting
    OUTCOME = 4  # `Result` of the last configuration that was looked at since the start; absent before
    SETTING = 5  # the setting for which it was refused; 0: for none


class Setting(IntEnum):
    """What may be configured; every value is an unsigned integer, bounds and words stand in `SETTINGS`."""

    FRAME_MS = 1  # length of a data frame at most: one that is full ends sooner
    STATUS_S = 2  # seconds between two status frames
    WHEN_FULL = 3  # a full journal gives up its oldest frames, or makes no more
    POLICY = 4
    SEAL_FRAMES = 5  # under SEAL: frames from one signature to the next, and
    SEAL_S = 6  # seconds
    LOG_LEVEL = 7
    CHANNELS_OFF = 8  # a bit for each channel id; whole sensors only
    LOW_MV = 9  # millivolts of an empty battery; 0: the board's own
    ON_S = 10  # seconds that the sensors are on, from each start of a cycle, and
    EVERY_S = 11  # from one start to the next; both 0: always on
    BATCH_S = 12  # seconds from one time that the radio is on to the next; 0: it always is
    UPDATE_HOUR = 13  # hour of UTC from which an update starts, not while the battery is low; 24: at once
    ECG_HZ = 14  # sampling rate of every ECG part; 0: the driver's own
    PPG_HZ = 15  # of every oximeter
    ACCEL_HZ = 16  # of every accelerometer


@dataclass(frozen=True, slots=True)
class SettingRule:
    """The bounds of a setting and its value where nobody sets it.

    `words`: names of the values from 1 on. `only`: the values there are, where they are not all between the bounds.
    `starts`: whether it takes a start, instead of changing between two frames.
    """

    default: int
    least: int
    most: int
    words: tuple[str, ...] = ()
    only: tuple[int, ...] = ()
    starts: bool = False


def _words(default: int, *words: str, starts: bool = False) -> SettingRule:
    return SettingRule(default, 1, len(words), words, starts=starts)


def _rates(*values: int) -> SettingRule:
    return SettingRule(0, 0, max(values), only=(0, *values), starts=True)


SETTINGS: dict[Setting, SettingRule] = {
    Setting.FRAME_MS: SettingRule(2000, 250, 8000, starts=True),
    Setting.STATUS_S: SettingRule(60, 1, 3600),
    Setting.WHEN_FULL: _words(1, "drop", "stop"),
    Setting.POLICY: _words(Policy.SIGN, *(policy.name.lower() for policy in Policy), starts=True),
    Setting.SEAL_FRAMES: SettingRule(32, 2, Limit.MAX_GROUP),
    Setting.SEAL_S: SettingRule(60, 1, 3600),
    Setting.LOG_LEVEL: _words(LogLevel.INFO, *(level.name.lower() for level in LogLevel)),
    Setting.CHANNELS_OFF: SettingRule(0, 0, (1 << Limit.MAX_CHANNELS) - 1),
    Setting.LOW_MV: SettingRule(0, 0, 5000),
    Setting.ON_S: SettingRule(0, 0, 3600, starts=True),
    Setting.EVERY_S: SettingRule(0, 0, 86400, starts=True),
    Setting.BATCH_S: SettingRule(0, 0, 86_400),
    Setting.UPDATE_HOUR: SettingRule(24, 0, 24),
    Setting.ECG_HZ: _rates(125, 128, 250, 256, 500, 512),
    Setting.PPG_HZ: _rates(50, 100, 200),
    Setting.ACCEL_HZ: _rates(26, 52, 104, 208),
}


def cycle(on_s: int, every_s: int) -> bool:
    """Return whether sensors can be on for `on_s` of every `every_s` seconds (`ON_S`, `EVERY_S`); both 0: always."""
    return 0 < on_s < every_s or on_s == every_s == 0


# ---------------------------------------------------------------- captures (CBOR sequence, RFC 8742)


class NoteKey(IntEnum):
    """Keys of a note: an untagged map between the frames of a capture."""

    FORMAT = 1
    VERSION = 2
    RECEIVED = 3  # UTC, microseconds since 1970, of the next frame's arrival


CAPTURE_FORMAT = "vitalwire-capture"
