"""The product's own parts, without a server around them."""

from __future__ import annotations

from services.settlement.bank.adapter import FolderBank
from services.settlement.config import SettlementSettings
from services.settlement.rules.chain import LedgerKey
from services.settlement.use_cases.parts import BankDesk, Settlement
from shared.database import Database
from shared.keys import DATA_KEYS, ledger_key
from shared.personal import PersonalDataKeys
from shared.settings import Settings
from shared.workdays import WorkCalendar
from tests.services.settlement.world import REGIONS


def parts_of(settings: Settings, database: Database) -> Settlement:
    """What the use cases work with, on an open database; whoever comes near the bank brings one of its own."""
    keys = PersonalDataKeys.from_json((settings.secrets_dir / DATA_KEYS).read_bytes())
    desk = BankDesk(FolderBank(settings.secrets_dir / "no-bank"), keys)
    return Settlement(database, REGIONS, SettlementSettings(), WorkCalendar(), LedgerKey(ledger_key(settings)), desk)
