"""What is configured, as typed values: tables of a TOML file to models, secrets and certificates by reference.

Needs the extra `vitalwire[gateway]`. Knows no table by name: whoever is configured here brings a model of its own.
"""

from .address import Address
from .kinds import Kind, Kinds
from .model import Existing, Settings, Written, read_table
from .proof import prove
from .secret import Secret
from .tls import ServerTls, Tls
from .watch import Watch

__all__ = [
    "Address",
    "Existing",
    "Kind",
    "Kinds",
    "Secret",
    "ServerTls",
    "Settings",
    "Tls",
    "Watch",
    "Written",
    "prove",
    "read_table",
]
