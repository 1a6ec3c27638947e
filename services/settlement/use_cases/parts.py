"""The parts the use cases work with, and whose matters a caller may see."""

from __future__ import annotations

from dataclasses import dataclass

from services.settlement.config import SettlementSettings
from services.settlement.rules.chain import LedgerKey
from shared.auth import Principal, Role
from shared.database import Database
from shared.regions import RegionTree
from shared.workdays import WorkCalendar


@dataclass(frozen=True, slots=True)
class Settlement:
    """What `app.make` builds."""

    database: Database
    regions: RegionTree
    settings: SettlementSettings
    calendar: WorkCalendar
    ledger_key: LedgerKey


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
