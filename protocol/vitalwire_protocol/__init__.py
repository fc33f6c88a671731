"""The contract of vitalwire: `spec` holds every layout, id and limit; nothing here does I/O."""
