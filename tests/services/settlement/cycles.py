"""A city of a test's own, with counties that clear with each other through it, and everybody who acts there."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.settlement.config import SettlementSettings
from services.settlement.handlers import handlers
from services.settlement.rules.cases import Step
from services.settlement.rules.terms import Choice
from services.settlement.store import bills as bill_store
from services.settlement.store import cases as case_store
from services.settlement.store import clearing as store
from services.settlement.store import terms as terms_store
from services.settlement.store.clearing import Cycle, Position
from services.settlement.use_cases import clearing, unpaid
from services.settlement.use_cases.confirmations import confirm_cases
from services.settlement.use_cases.months import BY_ITSELF, take_month_step
from services.settlement.use_cases.parts import Settlement
from shared.auth import Principal, Role
from shared.events import Envelope
from shared.events.claims import DischargeSettled, SettlementReversed
from shared.regions import Region, RegionTree
from shared.workdays import WorkCalendar
from tests.services.settlement.world import Books, Hospital

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
"""A Monday."""
LATE = NOW + timedelta(days=40)
"""When everything is overdue."""

_numbers = itertools.count(random.randrange(7 * 99))


def _code() -> str:
    """A city that no other test has and no map shows."""
    province, city = divmod(next(_numbers) % (7 * 99), 99)
    return f"{72 + province}{city + 1:02}00"


def _tree(city: str) -> RegionTree:
    province = f"{city[:2]}0000"
    counties = [Region(f"{city[:4]}{n:02}", f"县{n}", f"county {n}", "county", city) for n in range(1, 7)]
    above = [
        Region("100000", "全国", "nation", "nation", None),
        Region(province, "省", "province", "province", "100000"),
        Region(city, "市", "city", "city", province),
    ]
    return RegionTree([*above, *counties])


@dataclass
class City:
    """A city and its counties, in no other test's way: `city.county(1)`."""

    books: Books
    code: str = field(default_factory=_code)

    def __post_init__(self) -> None:
        self.tree = _tree(self.code)
        settings = SettlementSettings()
        self.parts = Settlement(self.books.database, self.tree, settings, WorkCalendar(), self.books.ledger_key)
        self._handlers = handlers(self.tree, self.books.ledger_key)

    def county(self, number: int) -> str:
        """One of its counties."""
        return f"{self.code[:4]}{number:02}"

    def hospital(self, county: int, month: str = "2026-10") -> Hospital:
        """A facility in a county."""
        return Hospital(region=self.county(county), month=month)

    async def agree(self, region: str, **values: Any) -> None:
        """Terms of a region, as two of its officers would put them in force."""
        async with self.books.database.transaction() as tx:
            made = await terms_store.add_terms(tx, Choice(region, date(2026, 1, 1), values), "test", "one", NOW, {})
            await terms_store.decide(tx, made.terms_no, "approved", "two", NOW)

    async def hear(self, *bills: DischargeSettled | SettlementReversed) -> None:
        """Book bills."""
        async with self.books.database.transaction() as tx:
            for kind, run in itertools.groupby(bills, key=type):
                await self._handlers[kind](tx, [Envelope(bill, NOW) for bill in run], NOW)

    async def matched(self, hospital: Hospital) -> dict[str, str]:
        """The hospital's month agrees with its statement; the hashes of its cases by home region."""
        async with self.books.database.transaction() as tx:
            await bill_store.lock_months(tx, [(hospital.code, hospital.month)], alone=True)
            for step in (Step.SUBMIT, Step.MATCH):
                ids = await take_month_step(tx, hospital.code, hospital.month, step, BY_ITSELF, NOW)
            found = await case_store.cases(tx, ids)
        return {case.home_region: case.case_id for case in found.values()}

    async def confirm(self, case_ids: Iterable[str], now: datetime = NOW) -> None:
        """Every party confirms what it saw."""
        async with self.books.database.read() as reader:
            found = await case_store.cases(reader, case_ids)
        for case in found.values():
            for party in case.parties:
                who = Principal("one", Role.FINANCE, party)
                outcome = await confirm_cases(self.parts, who, {case.case_id: case.numbers_hash or ""}, now)
                assert not isinstance(outcome[case.case_id], list), outcome

    async def confirmed(
        self, hospital: Hospital, *bills: DischargeSettled | SettlementReversed, now: datetime = NOW
    ) -> dict[str, str]:
        """Bills of a month that everybody confirmed: the cases by home region."""
        await self.hear(*bills)
        cases = await self.matched(hospital)
        await self.confirm(cases.values(), now)
        return cases

    async def cut(self, now: datetime = NOW, region: str | None = None) -> Cycle:
        """The city cuts a cycle."""
        async with self.books.database.transaction() as tx:
            return await clearing.cut(self.parts, tx, region or self.code, "clerk", now)

    async def positions(self, cycle: Cycle, *, replaced: bool = False) -> dict[tuple[str, str], Position]:
        """The positions of a cycle by payer and payee."""
        query = "SELECT position_id FROM clearing_position WHERE cycle_id = $1 ORDER BY position_id"
        async with self.books.database.read() as reader:
            ids = [row["position_id"] for row in await reader.fetch(query, cycle.cycle_id)]
            found = await store.positions(reader, ids)
        return {(p.payer, p.payee): p for p in found.values() if replaced or p.state != "replaced"}

    async def pay(self, position: Position, now: datetime = NOW) -> None:
        """An order for a position is made, and the money arrives."""
        async with self.books.database.transaction() as tx:
            taken = await clearing.take_positions(tx, position.payer, [position.position_id])
            assert isinstance(taken[position.position_id], Position), taken
        async with self.books.database.transaction() as tx:
            await clearing.settle_positions(self.parts, tx, [position.position_id], now)

    async def pay_all(self, cycle: Cycle, now: datetime = NOW) -> list[tuple[str, str, int]]:
        """Whoever can pay pays, until nobody has to: who paid whom how much, in the order in which it could be."""
        paid = []
        while open_ := [p for p in (await self.positions(cycle)).values() if p.state == "open" and p.due_on]:
            for position in open_:
                await self.pay(position, now)
                paid.append((position.payer, position.payee, position.amount_fen))
        return paid

    async def apply_rule(
        self, position: Position, available_fen: int | None = None, now: datetime = LATE, party: str | None = None
    ) -> list[str]:
        """The city applies the unpaid rule."""
        async with self.books.database.transaction() as tx:
            who = Principal("clerk", Role.FINANCE, party or self.code)
            return await unpaid.apply_rule(self.parts, tx, who, position.position_id, available_fen, now)

    async def states(self, *case_ids: str) -> list[str]:
        """Where cases stand."""
        async with self.books.database.read() as reader:
            found = await case_store.cases(reader, case_ids)
        return [found[case_id].state.value for case_id in case_ids]

    async def balances(self, *kinds: str) -> dict[tuple[str, str, str], int]:
        """What the books of the city, its counties and all facilities there hold, of some kinds of accounts."""
        rows = await self.books.rows(
            """SELECT book, account_kind, counterparty, sum(amount_fen)::bigint AS balance FROM ledger_entry
               WHERE (book LIKE $1 OR counterparty LIKE $1) AND account_kind = ANY($2::text[])
               GROUP BY 1, 2, 3 HAVING sum(amount_fen) <> 0""",
            f"{self.code[:4]}%",
            list(kinds),
        )
        return {(row[0], row[1], row[2]): row[3] for row in rows}


def by_pair(positions: Mapping[tuple[str, str], Position]) -> dict[tuple[str, str], int]:
    """What each has to pay each."""
    return {pair: position.amount_fen for pair, position in positions.items()}
