"""The parts the use cases work with, and whose matters a caller may see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from services.settlement.bank.adapter import BankAdapter
from services.settlement.config import SettlementSettings
from services.settlement.rules.chain import LedgerKey
from services.settlement.rules.terms import CHOICES, Terms
from shared.auth import Principal, Role
from shared.codes import CodeSets
from shared.database import Database
from shared.personal import PersonalDataKeys
from shared.regions import RegionTree
from shared.workdays import WorkCalendar


@dataclass(frozen=True, slots=True)
class BankDesk:
    """The way to the bank: what carries its files, and the keys under which account numbers are kept."""

    adapter: BankAdapter
    keys: PersonalDataKeys

    def seal(self, column: str, text: str) -> str:
        """A text as it is kept."""
        return self.keys.encrypt(text, context=f"settlement.{column}")

    def unseal(self, column: str, sealed: str) -> str:
        """A text that is kept. Raises PersonalDataUnreadable."""
        return self.keys.decrypt(sealed, context=f"settlement.{column}")

    def resealed(self, column: str, sealed: str) -> str:
        """The same under the active key. Raises PersonalDataUnreadable."""
        return self.seal(column, self.unseal(column, sealed)) if self.keys.needs_rotation(sealed) else sealed


@dataclass(frozen=True, slots=True)
class Settlement:
    """What `app.make` builds."""

    database: Database
    regions: RegionTree
    settings: SettlementSettings
    calendar: WorkCalendar
    ledger_key: LedgerKey
    desk: BankDesk | None = None
    """None where nothing comes near the bank."""

    @property
    def bank(self) -> BankDesk:
        """The way to the bank. Raises RuntimeError when these parts were built without one."""
        if self.desk is None:
            raise RuntimeError("built without a bank")
        return self.desk

    @property
    def codes(self) -> CodeSets:
        """The code sets, as they hold in these regions."""
        return _codes(self.regions)

    @property
    def default_terms(self) -> Terms:
        """What holds where no region chose: the settings."""
        chosen = self.settings.model_dump(include=set(CHOICES))
        days = self.settings.confirmation_working_days
        return Terms(region="", valid_from=date.min, reconciliation_working_days=days, **chosen)


@lru_cache(maxsize=8)
def _codes(regions: RegionTree) -> CodeSets:
    return CodeSets.load(regions)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a caller sees: a facility its own matters, an agency those of its area and those it is a party to."""

    facility_code: str | None
    areas: tuple[str, ...]

    def sees(self, facility_code: str, agencies: tuple[str, ...]) -> bool:
        """Whether a matter of a facility and some agencies is within it."""
        return facility_code == self.facility_code or not set(agencies).isdisjoint(self.areas)

    def sees_book(self, party: str, region: str | None) -> bool:
        """Whether the book of a party is within it; `region` is where the party is."""
        return party == self.facility_code or region in self.areas


def sight_of(regions: RegionTree, principal: Principal) -> Sight:
    """What a caller sees."""
    if principal.role is Role.FACILITY:
        return Sight(principal.party, ())
    if principal.party not in regions:
        return Sight(None, ())
    return Sight(None, tuple(r.code for r in regions if regions.covers(principal.party, r.code)))
