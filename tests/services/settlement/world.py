"""A small world for the tests of settlement: bills as claims announces them, and ways to book them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.settlement.handlers import handlers
from services.settlement.rules.chain import LedgerKey
from shared.database import Connection, Database
from shared.events import Envelope, Event, new_id
from shared.events.claims import DischargeSettled, FundShare, SettlementReversed
from shared.events.designation import FacilityChanged
from shared.regions import RegionTree
from shared.workdays import SHANGHAI, month_of, shanghai_day

REGIONS = RegionTree.load()
HUAIYANG, XIANGCHENG, ZHOUKOU = "411603", "411681", "411600"
"""The county of care, another county of the city, and the city between them."""
WANCHENG, NANYANG, HENAN = "411302", "411300", "410000"
"""A county of another city of the province."""
CHAIN = (HUAIYANG, ZHOUKOU, XIANGCHENG)


def last_month() -> str:
    """The newest month that is over."""
    return month_of(shanghai_day(datetime.now(UTC)).replace(day=1) - timedelta(days=1))


def noon(month: str, day: int = 15) -> datetime:
    """Noon in Asia/Shanghai on a day of a month."""
    first = date.fromisoformat(f"{month}-01")
    return datetime(first.year, first.month, day, 12, tzinfo=SHANGHAI).astimezone(UTC)


@dataclass
class Hospital:
    """A facility of a test's own, which makes bills."""

    code: str = field(default_factory=lambda: f"H{new_id()[-11:]}")
    region: str = HUAIYANG
    month: str = field(default_factory=last_month)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def changed(self, revision: int = 1, name: str = "淮阳区人民医院") -> FacilityChanged:
        """What designation announces about it."""
        return FacilityChanged(
            facility_code=self.code, name=name, kind="hospital", level="2", region=self.region, revision=revision
        )

    def bill(
        self,
        home: str = XIANGCHENG,
        fund_fen: int = 80_000,
        account_fen: int = 5_000,
        cash_fen: int = 15_000,
        **fields: Any,
    ) -> DischargeSettled:
        """A settlement whose sums are right."""
        standard: dict[str, Any] = {
            "settlement_id": new_id(),
            "visit_id": new_id(),
            "person_id": new_id(),
            "facility_code": self.code,
            "facility_settlement_no": f"{self.code}-{next(self._numbers):04d}",
            "care_region": self.region,
            "home_region": home,
            "insutype": "390",
            "psn_type": "15",
            "med_type": "21",
            "clr_type": "21",
            "began_on": noon(self.month, 10).date(),
            "ended_on": noon(self.month).date(),
            "settled_at": noon(self.month),
            "total_fen": fund_fen + account_fen + cash_fen,
            "fund_fen": fund_fen,
            "account_fen": account_fen,
            "cash_fen": cash_fen,
            "hospital_fen": 0,
            "shares": (FundShare(fund_pay_type="390100", amount_fen=fund_fen),) if fund_fen else (),
        }
        return DischargeSettled(**{**standard, **fields})

    def reversal(self, of: DischargeSettled | SettlementReversed, **fields: Any) -> SettlementReversed:
        """The settlement that cancels another one."""
        negative = {name: -getattr(of, name) for name in AMOUNTS}
        shares = tuple(FundShare(fund_pay_type=s.fund_pay_type, amount_fen=-s.amount_fen) for s in of.shares)
        own = {
            "settlement_id": new_id(),
            "facility_settlement_no": f"{self.code}-{next(self._numbers):04d}",
            "reverses_settlement_id": of.settlement_id,
        }
        return SettlementReversed(**{**of.model_dump(), **negative, "shares": shares, **own, **fields})


AMOUNTS = ("total_fen", "fund_fen", "account_fen", "cash_fen", "hospital_fen")


class Books:
    """Settlement's schema, written as its consumer writes it."""

    def __init__(self, database: Database, ledger_key: LedgerKey, regions: RegionTree = REGIONS) -> None:
        self.database, self.ledger_key = database, ledger_key
        self._handlers = handlers(regions, ledger_key)

    async def hear(self, *events: Event, traceparent: str | None = None) -> None:
        """Handle events as the consumer does: runs of one type together, one transaction, without its inbox."""
        async with self.database.transaction() as tx:
            await self.hear_in(tx, *events, traceparent=traceparent)

    async def hear_in(self, tx: Connection, *events: Event, traceparent: str | None = None) -> None:
        """The same in a transaction of the caller's."""
        now = datetime.now(UTC)
        for kind, run in itertools.groupby(events, key=type):
            envelopes = [Envelope(event, now, traceparent=traceparent) for event in run]
            await self._handlers[kind](tx, envelopes, now)

    async def rows(self, query: str, *arguments: object) -> list[Any]:
        """What a query finds."""
        async with self.database.read() as reader:
            return list(await reader.fetch(query, *arguments))

    async def value(self, query: str, *arguments: object) -> Any:
        """The one value a query finds."""
        return (await self.rows(query, *arguments))[0][0]

    async def balances(self, hospital: Hospital) -> dict[tuple[str, str, str], int]:
        """What every book holds of a hospital's bills: by book, account kind and counterparty."""
        rows = await self.rows(
            """SELECT e.book, e.account_kind, e.counterparty, sum(e.amount_fen)::bigint AS balance
               FROM ledger_entry e JOIN ledger_transaction t USING (transaction_id)
               JOIN settlement_case c USING (case_id) WHERE c.facility_code = $1
               GROUP BY 1, 2, 3 HAVING sum(e.amount_fen) <> 0""",
            hospital.code,
        )
        return {(row[0], row[1], row[2]): row[3] for row in rows}


def totals_of(bills: Sequence[DischargeSettled | SettlementReversed]) -> list[dict[str, Any]]:
    """The statement a facility makes of its bills."""
    groups: dict[tuple[str, str, str, bool], dict[str, Any]] = {}
    for bill in bills:
        refund = isinstance(bill, SettlementReversed)
        group = groups.setdefault(
            (bill.home_region, bill.insutype, bill.clr_type, refund),
            {
                "home_region": bill.home_region,
                "insutype": bill.insutype,
                "clr_type": bill.clr_type,
                "refund": refund,
                "total_fen": 0,
                "fund_fen": 0,
                "account_fen": 0,
                "bill_count": 0,
            },
        )
        for name in ("total_fen", "fund_fen", "account_fen"):
            group[name] += getattr(bill, name)
        group["bill_count"] += 1
    return list(groups.values())


def lines_of(bills: Sequence[DischargeSettled | SettlementReversed]) -> list[dict[str, Any]]:
    """The lines a facility makes of its bills."""
    return [
        {
            "facility_settlement_no": bill.facility_settlement_no,
            "refund": isinstance(bill, SettlementReversed),
            "settlement_id": bill.settlement_id,
            "total_fen": bill.total_fen,
            "fund_fen": bill.fund_fen,
            "account_fen": bill.account_fen,
        }
        for bill in bills
    ]
