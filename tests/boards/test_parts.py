"""The sensor parts: what stands in several rooms because each needs its own half of it."""

from __future__ import annotations

from vitalwire_tools.codegen.board import KEYS
from vitalwire_tools.codegen.parts import driver, parts
from vitalwire_tools.virtual.chips.base import AnalogChip, I2cChip, SpiChip
from vitalwire_tools.virtual.hardware import CHIPS


def test_every_part_has_a_driver_and_a_model_on_its_bus() -> None:
    """What a board.toml may name is what has a driver in the firmware and a model of the same bus, no more or less."""
    kinds = {I2cChip: "i2c", SpiChip: "spi", AnalogChip: "adc"}
    assert {part: kinds[chip.__bases__[0]] for part, chip in CHIPS.items()} == parts()
    assert set(parts().values()) == set(KEYS)


def test_every_driver_says_what_its_chip_takes() -> None:
    """`vitalwire board power` finds a current in each driver, in uA and no more than the whole processor's."""
    for part in parts():
        taken = driver(part).get("_SUPPLY_UA")
        assert isinstance(taken, int), part
        assert 0 < taken < 20_000, part
