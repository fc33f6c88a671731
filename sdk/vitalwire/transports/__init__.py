"""Transports move bytes and know nothing else: open, read, write, close."""
