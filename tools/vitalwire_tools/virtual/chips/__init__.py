"""Register-level models of sensor chips. They know virtual time, registers and a recording; never a driver.

A model is stricter than the chip: an access the data sheet does not allow is refused loudly instead of ignored.
"""
