"""The sensor parts: what stands in several rooms because each needs its own half of it."""

from __future__ import annotations

from vitalwire_tools.codegen.board import SELECTS
from vitalwire_tools.codegen.parts import parts
from vitalwire_tools.virtual.chips.base import I2cChip
from vitalwire_tools.virtual.hardware import CHIPS


def test_every_part_has_a_driver_and_a_model_on_its_bus() -> None:
    """What a board.toml may name is what has a driver in the firmware and a model of the same bus, no more or less."""
    assert {part: "i2c" if issubclass(chip, I2cChip) else "spi" for part, chip in CHIPS.items()} == parts()
    assert set(parts().values()) == set(SELECTS)
