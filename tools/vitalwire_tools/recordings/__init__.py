"""Real recordings of vital signs as integers: published ones out of archives, or a file of the user's own."""

from .archives import fetch
from .files import load_file
from .model import Recording
from .published import breathing, load

__all__ = ["Recording", "breathing", "fetch", "load", "load_file"]
