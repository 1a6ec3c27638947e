"""The rows settlement keeps. No behaviour: constraints and indexes only. `METADATA` holds all of them."""

from services.settlement.tables import core, files, items, ledger
from services.settlement.tables.core import METADATA

__all__ = ["METADATA", "core", "files", "items", "ledger"]
