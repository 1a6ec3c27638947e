"""The rows settlement keeps. No behaviour: constraints and indexes only. `METADATA` holds all of them."""

from services.settlement.tables import (
    archives,
    banking,
    clearing,
    clocks,
    core,
    files,
    items,
    ledger,
    movements,
    objections,
    terms,
    withholdings,
)
from services.settlement.tables.core import METADATA

__all__ = [
    "METADATA",
    "archives",
    "banking",
    "clearing",
    "clocks",
    "core",
    "files",
    "items",
    "ledger",
    "movements",
    "objections",
    "terms",
    "withholdings",
]
