"""Booking: facility months, cases, bills and the ledger, written in batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple

from services.settlement.rules.bills import Bill
from services.settlement.rules.chain import LedgerKey, canonical, leaf_of
from services.settlement.rules.ledger import Entry
from services.settlement.rules.statements import StatementState
from services.settlement.store.archives import archived
from shared.database import Connection

FACILITY_UPSERT = """
    INSERT INTO facility (facility_code, name, kind, level, region, revision)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[])
    ON CONFLICT (facility_code) DO UPDATE
    SET name = EXCLUDED.name, kind = EXCLUDED.kind, level = EXCLUDED.level, region = EXCLUDED.region,
        revision = EXCLUDED.revision
    WHERE EXCLUDED.revision > facility.revision
"""
FACILITY_REGION = """
    SELECT coalesce(
        (SELECT region FROM facility WHERE facility_code = $1),
        (SELECT care_region FROM settlement_case WHERE facility_code = $1 ORDER BY period DESC, case_id DESC LIMIT 1))
"""
MONTHS_INSERT = """
    INSERT INTO facility_month (facility_code, period, confirmed)
    SELECT f, p, false FROM unnest($1::text[], $2::text[]) AS wanted(f, p) ORDER BY f, p
    ON CONFLICT DO NOTHING
"""
# Sorted, so that two that lock many months at once never wait for each other in a circle. What is read of them is read
# by the next statement: one that waits for a lock still sees other tables as they were before it waited.
_LOCK = """
    SELECT facility_code, period FROM facility_month
    WHERE (facility_code, period) IN (SELECT * FROM unnest($1::text[], $2::text[]))
    ORDER BY facility_code, period
"""
MONTHS_SHARE = _LOCK + " FOR SHARE"
MONTHS_SEIZE = _LOCK + " FOR UPDATE"
MONTHS = """
    SELECT m.facility_code, m.period, m.confirmed, m.statement_id, s.state AS statement_state
    FROM facility_month m LEFT JOIN statement s USING (statement_id)
    WHERE (m.facility_code, m.period) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
CASES_FIND = """
    SELECT facility_code, period, care_region, home_region, case_id FROM settlement_case
    WHERE (facility_code, period, home_region, care_region)
        IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]))
"""
CASES_INSERT = """
    INSERT INTO settlement_case
        (case_id, facility_code, period, care_region, home_region, clearing_region, chain, state, opened_at)
    SELECT c, f, p, care, home, clearing, string_to_array(chain, ' '), 'open', $8
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        AS new(c, f, p, care, home, clearing, chain)
    ORDER BY f, p, home, care
    ON CONFLICT DO NOTHING
"""
BILLS_KNOWN = f"""
    SELECT settlement_id FROM unnest($1::text[]) AS n(settlement_id)
    WHERE EXISTS (SELECT FROM bill b WHERE b.settlement_id = n.settlement_id) OR {archived("n.settlement_id")}
"""
# What was archived is not in the table, and is not booked again all the same.
BILLS_INSERT = f"""
    INSERT INTO bill (settlement_id, case_id, visit_id, person_id, facility_code, facility_settlement_no, care_region,
        home_region, insutype, med_type, clr_type, refund, reverses_settlement_id, settled_at, settled_period, period,
        total_fen, fund_fen, account_fen, cash_fen, hospital_fen, payable_fen, traceparent, booked_at)
    SELECT *, $24 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::bool[], $13::text[], $14::timestamptz[], $15::text[],
        $16::text[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[],
        $23::text[]) AS n(settlement_id)
    WHERE NOT {archived("n.settlement_id")}
    ON CONFLICT DO NOTHING RETURNING settlement_id
"""
# With each transaction the mark under which it waits for the chain, in the same round trip.
TRANSACTIONS_INSERT = """
    WITH booked AS (
        INSERT INTO ledger_transaction
            (transaction_id, kind, case_id, period, value_date, reverses_transaction_id, booked_at)
        SELECT *, $7 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], $6::text[])
    )
    INSERT INTO ledger_unsealed (transaction_id, mark) SELECT * FROM unnest($1::text[], $8::bytea[])
"""
ENTRIES_INSERT = """
    INSERT INTO ledger_entry (transaction_id, line_no, book, account_kind, counterparty, fund_pay_type, amount_fen)
    SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
"""


class Month(NamedTuple):
    """A facility's month, as its row is locked."""

    facility_code: str
    period: str
    confirmed: bool
    statement_id: str | None
    statement_state: StatementState | None


class CaseKey(NamedTuple):
    """What a case is one of."""

    facility_code: str
    period: str
    care_region: str
    home_region: str


class NewCase(NamedTuple):
    """A case to be opened."""

    case_id: str
    key: CaseKey
    clearing_region: str
    chain: Sequence[str]


class Placed(NamedTuple):
    """A bill with the case and month it is booked in, and the span that books it."""

    bill: Bill
    case_id: str
    period: str
    traceparent: str | None


class Transaction(NamedTuple):
    """One ledger transaction with its entries."""

    transaction_id: str
    kind: str
    case_id: str | None
    """None where it is of no single case: a position of a cycle is paid."""
    period: str
    value_date: date
    reverses_transaction_id: str | None
    entries: Sequence[Entry]


async def save_facilities(tx: Connection, rows: Sequence[tuple[str, str, str, str, str, int]]) -> None:
    """Keep copies of facilities (code, name, kind, level, region, revision), each once; older revisions are ignored."""
    await tx.execute(FACILITY_UPSERT, *columns(rows, 6))


async def facility_region(tx: Connection, facility_code: str) -> str | None:
    """Where a facility is: by designation's word, or by its own bills."""
    return await tx.fetchval(FACILITY_REGION, facility_code)  # type: ignore[no-any-return]


async def lock_months(tx: Connection, keys: Iterable[tuple[str, str]], *, alone: bool) -> list[Month]:
    """The months of some facilities, made when absent and locked: shared for booking, alone for everything else."""
    wanted = sorted(set(keys))
    arrays = columns(wanted, 2)
    lock = MONTHS_SEIZE if alone else MONTHS_SHARE
    if len(await tx.fetch(lock, *arrays)) < len(wanted):
        await tx.execute(MONTHS_INSERT, *arrays)
        await tx.fetch(lock, *arrays)
    return [_month(row) for row in await tx.fetch(MONTHS, *arrays)]


def _month(row: object) -> Month:
    month = Month(*row)  # type: ignore[misc]
    state = month.statement_state
    return month._replace(statement_state=None if state is None else StatementState(state))


async def find_cases(tx: Connection, keys: Sequence[CaseKey]) -> dict[CaseKey, str]:
    """The ids of the cases that exist."""
    facilities, periods, cares, homes = columns(keys, 4)
    rows = await tx.fetch(CASES_FIND, facilities, periods, homes, cares)
    return {CaseKey(*row[:4]): row["case_id"] for row in rows}


async def add_cases(tx: Connection, cases: Sequence[NewCase], now: datetime) -> None:
    """Open cases; one that somebody else opens at the same time stays theirs."""
    rows = [(c.case_id, *c.key, c.clearing_region, " ".join(c.chain)) for c in cases]
    await tx.execute(CASES_INSERT, *columns(rows, 7), now)


async def booked_already(tx: Connection, settlement_ids: Iterable[str]) -> set[str]:
    """Those of some bills that are in the books."""
    return {row["settlement_id"] for row in await tx.fetch(BILLS_KNOWN, list(settlement_ids))}


async def add_bills(tx: Connection, placed: Sequence[Placed], now: datetime) -> set[str]:
    """Write bills; the ids of those that were not booked before."""
    rows = await tx.fetch(BILLS_INSERT, *columns([_bill_row(p) for p in placed], 23), now)
    return {row["settlement_id"] for row in rows}


def _bill_row(placed: Placed) -> tuple[object, ...]:
    b = placed.bill
    return (
        b.settlement_id,
        placed.case_id,
        b.visit_id,
        b.person_id,
        b.facility_code,
        b.facility_settlement_no,
        b.care_region,
        b.home_region,
        b.insutype,
        b.med_type,
        b.clr_type,
        b.refund,
        b.reverses_settlement_id,
        b.settled_at,
        b.settled_month,
        placed.period,
        b.total_fen,
        b.fund_fen,
        b.account_fen,
        b.cash_fen,
        b.hospital_fen,
        b.payable_fen,
        placed.traceparent,
    )


async def add_transactions(tx: Connection, transactions: Sequence[Transaction], key: LedgerKey, now: datetime) -> None:
    """Write ledger transactions with their entries and marks, all in two statements."""
    marks = [key.mark(_leaf(transaction, now)) for transaction in transactions]
    await tx.execute(TRANSACTIONS_INSERT, *columns([t[:6] for t in transactions], 6), now, marks)
    lines = [
        (t.transaction_id, line_no, book, account.kind, account.counterparty, account.fund_pay_type, amount_fen)
        for t in transactions
        for line_no, book, account, amount_fen in t.entries
    ]
    await tx.execute(ENTRIES_INSERT, *columns(lines, 7))


def _leaf(t: Transaction, now: datetime) -> bytes:
    return leaf_of(
        canonical(
            t.transaction_id, t.kind, t.case_id, t.period, t.value_date, now, t.reverses_transaction_id, t.entries
        )
    )


def columns(rows: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    """Rows turned into the arrays that `unnest` takes."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
