"""The product's own parts, without a server around them."""

from __future__ import annotations

from services.settlement.config import SettlementSettings
from services.settlement.rules.chain import LedgerKey
from services.settlement.use_cases.parts import Settlement
from shared.database import Database
from shared.keys import ledger_key
from shared.settings import Settings
from shared.workdays import WorkCalendar
from tests.services.settlement.world import REGIONS


def parts_of(settings: Settings, database: Database) -> Settlement:
    """What the use cases work with, on an open database."""
    return Settlement(database, REGIONS, SettlementSettings(), WorkCalendar(), LedgerKey(ledger_key(settings)))
