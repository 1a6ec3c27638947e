"""Settlements and the counters of a person's year."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from services.claims.rules.benefit import Counters
from shared.database import Connection, Statement, columns


@dataclass(frozen=True, slots=True)
class SettlementRow:
    """A settlement as stored; see `tables.Settlement` for the identities its amounts keep."""

    settlement_id: str
    visit_id: str
    person_id: str
    facility_code: str
    facility_settlement_no: str
    reverses_settlement_id: str | None
    reason: str | None
    kind: str
    care_region: str
    home_region: str
    insutype: str
    psn_type: str
    med_type: str
    clr_type: str
    pay_loc: str
    began_on: date
    ended_on: date
    settled_at: datetime
    year: int
    benefit: str
    plan: str
    fund_pay_type: str
    ratio: Decimal
    total_fen: int
    fund_fen: int
    person_fen: int
    account_fen: int
    cash_fen: int
    hospital_fen: int
    own_fen: int
    prepay_fen: int
    in_scope_fen: int
    deductible_fen: int
    by_ratio_fen: int
    over_cap_fen: int
    traceparent: str | None


_NAMES = list(SettlementRow.__dataclass_fields__)
_ROW = attrgetter(*_NAMES)
_TYPES = {
    "began_on": "date",
    "ended_on": "date",
    "settled_at": "timestamptz",
    "year": "int",
    "ratio": "numeric",
    **{name: "bigint" for name in _NAMES if name.endswith("_fen")},
}
_COLUMNS = ", ".join(_NAMES)
_ARRAYS = ", ".join(f"${n}::{_TYPES.get(name, 'text')}[]" for n, name in enumerate(_NAMES, 1))

SETTLEMENTS_INSERT = f"INSERT INTO settlement ({_COLUMNS}) SELECT * FROM unnest({_ARRAYS})"
SETTLEMENT = f"SELECT {_COLUMNS} FROM settlement WHERE settlement_id = $1"
SETTLEMENT_FOR_UPDATE = SETTLEMENT + " FOR UPDATE"
REVERSAL_OF = f"SELECT {_COLUMNS} FROM settlement WHERE reverses_settlement_id = $1"
SETTLEMENTS_PAGE = f"""
    SELECT {_COLUMNS} FROM settlement
    WHERE facility_code = $1 AND settled_at >= $2 AND settled_at < $3 AND settlement_id > $4
    ORDER BY settlement_id LIMIT $5
"""
COUNTERS_ENSURE = """
    INSERT INTO year_counter (person_id, year, insutype, benefit, deductible_fen, fund_fen, bills)
    SELECT DISTINCT person_id, year, insutype, benefit, 0, 0, 0
    FROM unnest($1::text[], $2::int[], $3::text[], $4::text[]) AS k(person_id, year, insutype, benefit)
    ORDER BY person_id, year, insutype, benefit
    ON CONFLICT DO NOTHING
"""
COUNTERS = """
    SELECT c.person_id, c.year, c.insutype, c.benefit, c.deductible_fen, c.fund_fen, c.bills
    FROM year_counter AS c
    JOIN (SELECT DISTINCT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[])
            AS k(person_id, year, insutype, benefit)) AS k
        USING (person_id, year, insutype, benefit)
"""
COUNTERS_FOR_UPDATE = COUNTERS + " ORDER BY c.person_id, c.year, c.insutype, c.benefit FOR UPDATE OF c"
COUNTERS_SAVE = """
    UPDATE year_counter AS c SET deductible_fen = n.deductible_fen, fund_fen = n.fund_fen, bills = n.bills
    FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::int[])
        AS n(person_id, year, insutype, benefit, deductible_fen, fund_fen, bills)
    WHERE (c.person_id, c.year, c.insutype, c.benefit) = (n.person_id, n.year, n.insutype, n.benefit)
"""

CounterKey = tuple[str, int, str, str]
"""(person, year, insurance, benefit)."""


def settlements_added(rows: Sequence[SettlementRow]) -> Statement:
    """Insert. Raises asyncpg.UniqueViolationError: settlement_number, settlement_reversed_once."""
    return Statement(SETTLEMENTS_INSERT, columns(map(_ROW, rows)))


async def get(tx: Connection, settlement_id: str, *, for_update: bool = False) -> SettlementRow | None:
    """One settlement."""
    return _row(await tx.fetchrow(SETTLEMENT_FOR_UPDATE if for_update else SETTLEMENT, settlement_id))


async def reversal_of(tx: Connection, settlement_id: str) -> SettlementRow | None:
    """The reversal of a settlement, if there is one."""
    return _row(await tx.fetchrow(REVERSAL_OF, settlement_id))


async def page(
    tx: Connection, facility_code: str, since: datetime, until: datetime, after: str, limit: int
) -> list[SettlementRow]:
    """A facility's settlements made in [since, until), by id."""
    rows = await tx.fetch(SETTLEMENTS_PAGE, facility_code, since, until, after, limit)
    return [SettlementRow(*row.values()) for row in rows]


def _row(record: Any | None) -> SettlementRow | None:
    return None if record is None else SettlementRow(*record.values())


async def lock_counters(tx: Connection, keys: Iterable[CounterKey]) -> dict[CounterKey, Counters]:
    """The counters, made where there were none, locked until the transaction ends."""
    wanted = set(keys)
    locked = await tx.fetch(COUNTERS_FOR_UPDATE, *columns(wanted))
    if len(locked) < len(wanted):  # after a person's first bill of the year one look is enough
        await tx.execute(COUNTERS_ENSURE, *columns(wanted))
        locked = await tx.fetch(COUNTERS_FOR_UPDATE, *columns(wanted))
    return {_key(r): _counters(r) for r in locked}


async def counters(tx: Connection, keys: Iterable[CounterKey]) -> dict[CounterKey, Counters]:
    """The counters as they are; those that never counted are absent."""
    return {_key(r): _counters(r) for r in await tx.fetch(COUNTERS, *columns(keys))}


def counters_saved(changed: Mapping[CounterKey, Counters]) -> Statement:
    """Write locked counters."""
    return Statement(
        COUNTERS_SAVE, columns((*key, c.deductible_fen, c.fund_fen, c.bills) for key, c in changed.items())
    )


def _key(row: Any) -> CounterKey:
    return row["person_id"], row["year"], row["insutype"], row["benefit"]


def _counters(row: Any) -> Counters:
    return Counters(row["deductible_fen"], row["fund_fen"], row["bills"])
