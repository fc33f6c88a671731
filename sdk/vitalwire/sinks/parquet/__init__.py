"""Parquet files on a disk or in blob storage, by date and device; each appears whole, and a repeat changes nothing."""

from .settings import Settings
from .sink import Parquet, from_settings

__all__ = ["Parquet", "Settings", "from_settings"]
