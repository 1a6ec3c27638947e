"""Settlements, how they came about, and what a person's year has used up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from services.claims.rules.benefit import YearBook
from shared.database import Connection, Statement, columns
from shared.policy.decision import Facts


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
    policy: str
    benefit: str
    shares: str
    """JSON: 基金支付类型 to fen."""
    ratio: Decimal
    total_fen: int
    fund_fen: int
    person_fen: int
    account_fen: int
    cash_fen: int
    hospital_fen: int
    own_fen: int
    over_ceiling_fen: int
    prepay_fen: int
    in_scope_fen: int
    deductible_fen: int
    by_ratio_fen: int
    over_cap_fen: int
    relieved_fen: int
    traceparent: str | None


_NAMES = list(SettlementRow.__dataclass_fields__)
_ROW = attrgetter(*_NAMES)
_TYPES = {
    "began_on": "date",
    "ended_on": "date",
    "settled_at": "timestamptz",
    "shares": "jsonb",
    "ratio": "numeric",
    **{name: "bigint" for name in _NAMES if name.endswith("_fen")},
}
_COLUMNS = ", ".join(_NAMES)
_ARRAYS = ", ".join(f"${n}::{_TYPES.get(name, 'text')}[]" for n, name in enumerate(_NAMES, 1))


def settlement_columns(alias: str) -> str:
    """The columns of a settlement, for other queries."""
    return ", ".join(f"{alias}.{name}" for name in _NAMES)


SETTLEMENTS_INSERT = f"INSERT INTO settlement ({_COLUMNS}) SELECT * FROM unnest({_ARRAYS})"
SETTLEMENT = f"SELECT {_COLUMNS} FROM settlement WHERE settlement_id = $1"
# Its key never changes, so that a work item may name it meanwhile: who writes one holds the book that a reversal, with
# its settlement locked, waits for.
SETTLEMENT_FOR_UPDATE = SETTLEMENT + " FOR NO KEY UPDATE"
REVERSAL_OF = f"SELECT {_COLUMNS} FROM settlement WHERE reverses_settlement_id = $1"
SETTLEMENTS_PAGE = f"""
    SELECT {_COLUMNS} FROM settlement
    WHERE facility_code = $1 AND settled_at >= $2 AND settled_at < $3 AND settlement_id > $4
    ORDER BY settlement_id LIMIT $5
"""
BOOKS_ENSURE = """
    INSERT INTO year_book (person_id, used, newest_on)
    SELECT DISTINCT person_id, '{}'::jsonb, NULL::date FROM unnest($1::text[]) AS p(person_id) ORDER BY person_id
    ON CONFLICT DO NOTHING
"""
BOOKS = "SELECT person_id, used, newest_on FROM year_book WHERE person_id = ANY($1::text[])"
BOOKS_FOR_UPDATE = BOOKS + " ORDER BY person_id FOR UPDATE"
BOOKS_SAVE = """
    UPDATE year_book AS b SET used = n.used::jsonb, newest_on = n.newest_on
    FROM unnest($1::text[], $2::text[], $3::date[]) AS n(person_id, used, newest_on)
    WHERE b.person_id = n.person_id
"""
WORKINGS_INSERT = """
    INSERT INTO working (settlement_id, facts, changes, steps)
    SELECT settlement_id, facts::jsonb, changes::jsonb, steps
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) AS w(settlement_id, facts, changes, steps)
"""
WORKINGS = "SELECT settlement_id, facts, changes, steps FROM working WHERE settlement_id = ANY($1::text[])"


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


async def lock_books(tx: Connection, person_ids: Iterable[str]) -> dict[str, YearBook]:
    """What the persons have used up, made where there was nothing, locked until the transaction ends."""
    wanted = list(set(person_ids))
    locked = await tx.fetch(BOOKS_FOR_UPDATE, wanted)
    if len(locked) < len(wanted):  # after a person's first bill one look is enough
        await tx.execute(BOOKS_ENSURE, wanted)
        locked = await tx.fetch(BOOKS_FOR_UPDATE, wanted)
    return {person_id: YearBook(json.loads(used), newest_on) for person_id, used, newest_on in locked}


async def book_of(tx: Connection, person_id: str) -> YearBook:
    """What a person has used up, as it is."""
    rows = await tx.fetch(BOOKS, [person_id])
    return YearBook(json.loads(rows[0]["used"]), rows[0]["newest_on"]) if rows else YearBook()


def books_saved(changed: Mapping[str, YearBook]) -> Statement:
    """Write locked books."""
    rows = ((person_id, json.dumps(dict(book.used)), book.newest_on) for person_id, book in changed.items())
    return Statement(BOOKS_SAVE, columns(rows))


@dataclass(frozen=True, slots=True)
class WorkingRow:
    """How a settlement came about: the facts it was decided by, what it added to the counters, and every step."""

    settlement_id: str
    facts: Facts
    changes: Mapping[str, int]
    steps: bytes
    """The record of the calculation, compressed: see `rules.working`."""


def workings_added(rows: Iterable[WorkingRow]) -> Statement:
    """Keep the workings of settlements."""
    return Statement(
        WORKINGS_INSERT,
        columns((r.settlement_id, json.dumps(dict(r.facts)), json.dumps(dict(r.changes)), r.steps) for r in rows),
    )


async def working_of(tx: Connection, settlement_id: str) -> WorkingRow | None:
    """How a settlement came about; None for a reversal, which has no working of its own."""
    return (await workings_of(tx, [settlement_id])).get(settlement_id)


async def workings_of(tx: Connection, settlement_ids: Sequence[str]) -> dict[str, WorkingRow]:
    """How some settlements came about, by settlement; those without a working are not among them."""
    return {
        row["settlement_id"]: WorkingRow(
            row["settlement_id"], json.loads(row["facts"]), json.loads(row["changes"]), row["steps"]
        )
        for row in await tx.fetch(WORKINGS, list(settlement_ids))
    }
