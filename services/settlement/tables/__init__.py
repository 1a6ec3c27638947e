"""The rows settlement keeps. No behaviour: constraints and indexes only. `METADATA` holds all of them."""

from services.settlement.tables import core
from services.settlement.tables.core import METADATA

__all__ = ["METADATA", "core"]
