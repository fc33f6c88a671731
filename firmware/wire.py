# Generated from vitalwire_protocol/spec.py by `python -m vitalwire_tools.codegen`; do not edit.
# Ids, limits and layouts of the contract. Packers raise ValueError where struct.pack would wrap silently.
from struct import pack_into, unpack_from
from micropython import const

VERSION = const(1)
KTY_EC2 = const(2)
CRV_P256 = const(1)
SIGNATURE_SIZE = const(64)
MAC_SIZE = const(32)
AAD_FRAME = b'vitalwire/1 frame'
AAD_COMMAND = b'vitalwire/1 command'
AAD_REPLY = b'vitalwire/1 reply'
SECRET_SIZE = const(32)
INFO_COMMAND = b'vitalwire/1 command mac'
PREV_SIZE = const(16)
DIGEST_SIZE = const(8)
THUMBPRINT_SIZE = const(32)
CODING_BITS = const(3)
PACKET_DELIMITER = const(0)
NONCE_SIZE = const(8)
SECTOR_SIZE = const(4096)
JOURNAL_MAGIC = const(826955606)
RECORD_ALIGN = const(4)
LIFT_ORDER_BITS = const(2)
LIFT_LEVELS_BITS = const(3)
LIFT_SIZE_BITS = const(3)
LIFT_PARAMETER_BITS = const(5)
LIFT_SHIFT_BITS = const(3)
LIFT_SUM_BITS = const(2)
LIFT_KERNEL_BITS = const(3)
LIFT_UNIT = const(8)
LIFT_SCALE = const(6)
LIFT_WEIGHTS = b"\x00\x00\x00\x00 \x00\x00\x00\x08\x08\x08\x08\x16\x06\x04\x00\x1a\x08\xff\xff$\xfc\x00\x00'\xf7\x02\x00(\xf3\x07\xfe"
MAX_FRAME = const(4032)
MAX_COMMAND = const(512)
MAX_OPEN = const(32)
MAX_LOG = const(200)
MAX_DEPTH = const(5)
MAX_ITEMS = const(64)
MAX_TEXT = const(64)
MAX_CHANNELS = const(32)
MAX_STREAMS = const(16)
MAX_BITS = const(24)
MAX_EXPONENT = const(24)
MAX_BLOCK_SAMPLES = const(8192)
MAX_EVENTS = const(16)
MAX_MARKS = const(32)
MAX_SCALARS = const(32)
MAX_RANGES = const(16)
MAX_SEQ = const(4294967294)
MAX_BOOT = const(4294967294)
TAG_MAC0 = const(17)
TAG_SIGN1 = const(18)
ALG_ES256 = const(-7)
ALG_ESP256 = const(-9)
ALG_HMAC_256_256 = const(5)
COSEKEY_KTY = const(1)
COSEKEY_CRV = const(-1)
COSEKEY_X = const(-2)
COSEKEY_Y = const(-3)
KIND_DESCRIPTOR = const(1)
KIND_DATA = const(2)
KIND_EVENT = const(3)
KIND_STATUS = const(4)
KEY_KIND = const(1)
KEY_BOOT = const(2)
KEY_SEQ = const(3)
KEY_PREV = const(4)
KEY_DESCRIPTOR = const(5)
KEY_TICKS = const(6)
KEY_UTC = const(7)
KEY_UTC_ACCURACY = const(8)
KEY_BLOCKS = const(9)
KEY_MARKS = const(10)
KEY_SCALARS = const(11)
KEY_EVENTS = const(12)
KEY_COUNTERS = const(13)
KEY_VERSION = const(16)
KEY_DEVICE = const(17)
KEY_PUBLIC_KEY = const(18)
KEY_BOARD = const(19)
KEY_FIRMWARE = const(20)
KEY_POLICY = const(21)
KEY_CHANNELS = const(22)
CHANNELKEY_ID = const(0)
CHANNELKEY_NAME = const(1)
CHANNELKEY_MDC = const(2)
CHANNELKEY_UNIT = const(3)
CHANNELKEY_PART = const(4)
CHANNELKEY_STREAM = const(5)
CHANNELKEY_RATE = const(6)
CHANNELKEY_BITS = const(7)
CHANNELKEY_SCALE = const(8)
CHANNELKEY_OFFSET = const(9)
POLICY_SIGN = const(1)
MARK_LEAD_OFF = const(1)
MARK_SATURATED = const(2)
MARK_LOST = const(3)
MARK_ESTIMATED = const(4)
EVENT_BOOT = const(1)
EVENT_LEAD_OFF = const(2)
EVENT_LEAD_ON = const(3)
EVENT_BUTTON = const(4)
EVENT_LOW_BATTERY = const(5)
EVENT_FALL = const(6)
EVENT_SENSOR_FAULT = const(7)
EVENT_SENSOR_OK = const(8)
EVENT_OVERRUN = const(9)
EVENT_DROPPED = const(10)
EVENT_JOURNAL_FULL = const(11)
EVENT_TIME_SET = const(12)
EVENT_COMMAND_REFUSED = const(13)
EVENT_CHANNEL_STARTED = const(14)
EVENT_CHANNEL_STOPPED = const(15)
EVENTKEY_CHANNEL = const(1)
EVENTKEY_STREAM = const(2)
EVENTKEY_CAUSE = const(3)
EVENTKEY_FIRST = const(4)
EVENTKEY_LAST = const(5)
EVENTKEY_DIGEST = const(6)
EVENTKEY_COUNT = const(7)
EVENTKEY_ESTIMATED = const(8)
EVENTKEY_FAULT = const(9)
EVENTKEY_MILLIVOLT = const(10)
EVENTKEY_UTC = const(11)
EVENTKEY_UTC_ACCURACY = const(12)
EVENTKEY_PREV = const(13)
CAUSE_POWER_ON = const(1)
CAUSE_HARD_RESET = const(2)
CAUSE_WATCHDOG = const(3)
CAUSE_SOFT_RESET = const(5)
CAUSE_COMMAND = const(6)
CAUSE_FAULT = const(7)
FAULT_MISSING = const(1)
FAULT_WRONG_PART = const(2)
FAULT_WEDGED = const(3)
FAULT_BUS = const(4)
COUNTER_UPTIME_S = const(1)
COUNTER_FRAMES = const(2)
COUNTER_UNACKED = const(3)
COUNTER_JOURNAL_SECTORS = const(4)
COUNTER_JOURNAL_USED = const(5)
COUNTER_DROPPED = const(6)
COUNTER_RESENT = const(7)
COUNTER_BAD_PACKETS = const(8)
COUNTER_REFUSED = const(9)
COUNTER_OVERRUNS = const(10)
COUNTER_LOST_SAMPLES = const(11)
COUNTER_HEAP_FREE = const(12)
COUNTER_HEAP_LOW = const(13)
COUNTER_BATTERY_MV = const(14)
COUNTER_BUSY_PERMILLE = const(16)
COUNTER_SENSORS_DOWN = const(17)
COUNTER_EVENTS_LOST = const(18)
CODING_RAW = const(0)
CODING_LIFT = const(1)
CODING_EXTENDED = const(7)
PACKETTYPE_FRAME = const(1)
PACKETTYPE_COMMAND = const(2)
PACKETTYPE_REPLY = const(3)
PACKETTYPE_LOG = const(4)
LOGLEVEL_DEBUG = const(1)
LOGLEVEL_INFO = const(2)
LOGLEVEL_WARNING = const(3)
LOGLEVEL_ERROR = const(4)
COMMAND_IDENTIFY = const(1)
COMMAND_DESCRIBE = const(2)
COMMAND_ACKNOWLEDGE = const(3)
COMMAND_PING = const(4)
COMMAND_SET_TIME = const(5)
COMMAND_START = const(6)
COMMAND_STOP = const(7)
COMMAND_LOG_LEVEL = const(8)
COMMAND_REBOOT = const(9)
COMMAND_REPL = const(10)
COMMANDKEY_COMMAND = const(1)
COMMANDKEY_DEVICE = const(2)
COMMANDKEY_BOOT = const(3)
COMMANDKEY_NONCE = const(4)
COMMANDKEY_COUNTER = const(5)
COMMANDKEY_ARGUMENT = const(6)
COMMANDKEY_RESULT = const(7)
COMMANDKEY_TICKS = const(8)
COMMANDKEY_THUMBPRINT = const(9)
COMMANDKEY_FIRMWARE = const(10)
COMMANDKEY_BOARD = const(11)
COMMANDKEY_NAME = const(12)
RESULT_OK = const(0)
RESULT_BAD_FORM = const(1)
RESULT_BAD_MAC = const(2)
RESULT_WRONG_DEVICE = const(3)
RESULT_WRONG_BOOT = const(4)
RESULT_WRONG_NONCE = const(5)
RESULT_STALE_COUNTER = const(6)
RESULT_UNKNOWN_COMMAND = const(7)
RESULT_BAD_ARGUMENT = const(8)
RESULT_NOT_PROVISIONED = const(9)
RESULT_NOT_ALLOWED = const(10)
RECORD_FRAME = const(1)
RECORD_DESCRIPTOR = const(2)
RECORD_ACK = const(3)
RECORD_STATE = const(4)
RECORD_DROP = const(5)
RECORD_COPY = const(6)
RECORD_ERASED = const(255)
RECORDFLAG_DECLARES = const(1)

# name: (MDC code, UCUM unit)
SIGNALS = {
    "ecg_lead_i": (131329, "mV"),
    "ecg_lead_ii": (131330, "mV"),
    "ppg_red": (150452, "1"),
    "ppg_ir": (150452, "1"),
    "accel_x": (None, "m/s2"),
    "accel_y": (None, "m/s2"),
    "accel_z": (None, "m/s2"),
    "temperature_body": (150364, "Cel"),
    "temperature_skin": (150388, "Cel"),
    "battery": (67996, "%"),
    "battery_voltage": (None, "mV"),
    "heart_rate": (147842, "/min"),
    "pulse_rate": (149530, "/min"),
    "spo2": (150456, "%"),
    "respiration_rate": (151562, "/min"),
}


PACKET_HEADER_SIZE = const(2)


def pack_packet_header(buf, pos, type, id):
    if not (0 <= type <= 0xff and 0 <= id <= 0xff):
        raise ValueError("packet_header")
    pack_into("<BB", buf, pos, type, id)


def unpack_packet_header(buf, pos):
    return unpack_from("<BB", buf, pos)


PACKET_TRAILER_SIZE = const(4)


def pack_packet_trailer(buf, pos, crc):
    if not (0 <= crc <= 0xffffffff):
        raise ValueError("packet_trailer")
    pack_into("<L", buf, pos, crc)


def unpack_packet_trailer(buf, pos):
    return unpack_from("<L", buf, pos)


LOG_HEADER_SIZE = const(1)


def pack_log_header(buf, pos, level):
    if not (0 <= level <= 0xff):
        raise ValueError("log_header")
    pack_into("<B", buf, pos, level)


def unpack_log_header(buf, pos):
    return unpack_from("<B", buf, pos)


SECTOR_HEADER_SIZE = const(20)


def pack_sector_header(buf, pos, magic, number, boot, acked, crc):
    if not (0 <= magic <= 0xffffffff and 0 <= number <= 0xffffffff and 0 <= boot <= 0xffffffff and 0 <= acked <= 0xffffffff and 0 <= crc <= 0xffffffff):
        raise ValueError("sector_header")
    pack_into("<LLLLL", buf, pos, magic, number, boot, acked, crc)


def unpack_sector_header(buf, pos):
    return unpack_from("<LLLLL", buf, pos)


RECORD_HEADER_SIZE = const(12)


def pack_record_header(buf, pos, type, flags, length, seq, crc):
    if not (0 <= type <= 0xff and 0 <= flags <= 0xff and 0 <= length <= 0xffff and 0 <= seq <= 0xffffffff and 0 <= crc <= 0xffffffff):
        raise ValueError("record_header")
    pack_into("<BBHLL", buf, pos, type, flags, length, seq, crc)


def unpack_record_header(buf, pos):
    return unpack_from("<BBHLL", buf, pos)


ACK_BODY_SIZE = const(8)


def pack_ack_body(buf, pos, first, last):
    if not (0 <= first <= 0xffffffff and 0 <= last <= 0xffffffff):
        raise ValueError("ack_body")
    pack_into("<LL", buf, pos, first, last)


def unpack_ack_body(buf, pos):
    return unpack_from("<LL", buf, pos)


STATE_BODY_SIZE = const(20)


def pack_state_body(buf, pos, boot, prev):
    if not (0 <= boot <= 0xffffffff and len(prev) == 16):
        raise ValueError("state_body")
    pack_into("<L16s", buf, pos, boot, prev)


def unpack_state_body(buf, pos):
    return unpack_from("<L16s", buf, pos)


DROP_BODY_SIZE = const(40)


def pack_drop_body(buf, pos, first, last, prev, digest):
    if not (0 <= first <= 0xffffffff and 0 <= last <= 0xffffffff and len(prev) == 16 and len(digest) == 16):
        raise ValueError("drop_body")
    pack_into("<LL16s16s", buf, pos, first, last, prev, digest)


def unpack_drop_body(buf, pos):
    return unpack_from("<LL16s16s", buf, pos)


def put_varint(buf, pos, n):
    if not 0 <= n <= 0xFFFFFFFF:
        raise ValueError("varint")
    while n > 0x7F:
        buf[pos] = n & 0x7F | 0x80
        n >>= 7
        pos += 1
    buf[pos] = n
    return pos + 1


def put_zigzag(buf, pos, n):
    return put_varint(buf, pos, 2 * n if n >= 0 else -2 * n - 1)
