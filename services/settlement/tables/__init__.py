"""The rows settlement keeps. No behaviour: constraints and indexes only. `METADATA` holds all of them."""

from services.settlement.tables import banking, clearing, clocks, core, files, items, ledger, objections, terms
from services.settlement.tables.core import METADATA

__all__ = ["METADATA", "banking", "clearing", "clocks", "core", "files", "items", "ledger", "objections", "terms"]
