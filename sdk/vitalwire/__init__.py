"""Signed vital signs from the sensor chip to the record."""
