"""Feeds decoders what nobody meant them to get: `python -m vitalwire_tools.fuzz` lists the targets and how to run one.

The contract each target holds: only the errors a caller was promised come out, whatever goes in, and what two ways of
reading the same bytes say agrees.
"""
