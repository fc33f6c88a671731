"""The virtual board: real firmware under a real MicroPython, on chips that are models fed with real recordings."""
