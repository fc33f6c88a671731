"""The generated files say what `spec` says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vitalwire_protocol import spec
from vitalwire_tools.codegen import tables, wire

ROOT = Path(__file__).resolve().parents[2]


def test_check_passes_on_the_checkout() -> None:
    """`--check` finds nothing stale in a clean checkout."""
    done = subprocess.run([sys.executable, "-m", "vitalwire_tools.codegen", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_changed_spec_makes_both_files_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed value in `spec` changes what both generators write."""
    monkeypatch.setattr(spec, "SIGNALS", dict(list(spec.SIGNALS.items())[1:]))
    assert wire.render_signals() != (ROOT / "firmware/signals.py").read_text()
    text = (ROOT / "protocol/SPEC.md").read_text()
    assert tables.render(text) != text


def test_names_of_equal_value_are_all_written() -> None:
    """Every limit is on the device and in SPEC.md, also where two have the same value."""
    text, constants = (ROOT / "protocol/SPEC.md").read_text(), wire.device_constants()
    assert [name for name in spec.Limit.__members__ if name not in constants or f"`{name}` |" not in text] == []


def test_device_packers_refuse_what_struct_would_wrap(micropython) -> None:
    """A packer raises ValueError one above and one below each field's range, and writes nothing."""
    script = """
import struct, wire
buf = bytearray(12)
for values in ((256, 0, 0, 0, 0), (-1, 0, 0, 0, 0), (0, 0, 65536, 0, 0), (0, 0, 0, 1 << 32, 0), (0, 0, 0, 0, -1)):
    try:
        wire.pack(wire.RECORD_HEADER, buf, 0, *values)
        print("accepted", values)
    except ValueError:
        pass
assert not any(buf)
wire.pack(wire.RECORD_HEADER, buf, 0, 255, 255, 65535, 0xFFFFFFFF, 1)
print(struct.unpack_from(wire.RECORD_HEADER, buf, 0) == (255, 255, 65535, 0xFFFFFFFF, 1))
"""
    assert micropython(script).stdout == "True\n"


def test_device_structs_have_the_sizes_of_spec(micropython) -> None:
    """Each SIZE constant on the device is what `construct` says."""
    names = "; ".join(f"print(wire.{name.upper()}_SIZE)" for name in wire.DEVICE_STRUCTS)
    sizes = "".join(f"{struct.sizeof()}\n" for struct in wire.DEVICE_STRUCTS.values())
    assert micropython(f"import wire; {names}").stdout == sizes
