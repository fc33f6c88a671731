# Generated from vitalwire_protocol/spec.py by `python -m vitalwire_tools.codegen`; do not edit.
# What may be configured from afar: name: (default, smallest, largest) or (default, all of them); a word's number is its
# place from 1 on. NAMES[key] is the name of a configuration's key. STARTS: what takes a start. cycle(on_s, every_s):
# whether the two go together.
SETTINGS = {
    "frame_ms": (2000, 250, 8000),
    "status_s": (60, 1, 3600),
    "when_full": ("drop", ("drop", "stop")),
    "policy": ("sign", ("sign", "seal", "private")),
    "seal_frames": (32, 2, 256),
    "seal_s": (60, 1, 3600),
    "log_level": ("info", ("debug", "info", "warning", "error")),
    "channels_off": (0, 0, 4294967295),
    "low_mv": (0, 0, 5000),
    "on_s": (0, 0, 3600),
    "every_s": (0, 0, 86400),
    "batch_s": (0, 0, 86400),
    "update_hour": (24, 0, 24),
    "ecg_hz": (0, (0, 125, 128, 250, 256, 500, 512)),
    "ppg_hz": (0, (0, 50, 100, 200)),
    "accel_hz": (0, (0, 26, 52, 104, 208)),
}
NAMES = {
    1: "frame_ms",
    2: "status_s",
    3: "when_full",
    4: "policy",
    5: "seal_frames",
    6: "seal_s",
    7: "log_level",
    8: "channels_off",
    9: "low_mv",
    10: "on_s",
    11: "every_s",
    12: "batch_s",
    13: "update_hour",
    14: "ecg_hz",
    15: "ppg_hz",
    16: "accel_hz",
}
STARTS = (
    "frame_ms",
    "policy",
    "on_s",
    "every_s",
    "ecg_hz",
    "ppg_hz",
    "accel_hz",
)


def cycle(on_s, every_s):
    return 0 < on_s < every_s or on_s == every_s == 0
