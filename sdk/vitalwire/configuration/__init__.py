"""A device's configuration from afar: what an operator signs, its way there, what is in force (SPEC.md section 15)."""

from .document import Configuration, parse_configuration, sign_configuration
from .send import Reported, configure, configuring, reported
from .words import from_words, to_words

__all__ = [
    "Configuration",
    "Reported",
    "configure",
    "configuring",
    "from_words",
    "parse_configuration",
    "reported",
    "sign_configuration",
    "to_words",
]
