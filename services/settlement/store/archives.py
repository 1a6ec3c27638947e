"""Archived years: what leaves with one, what it leaves behind, and the partitions it is taken out of."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from services.settlement.rules.archives import (
    Archive,
    ArchiveStep,
    Contents,
    KeptArchive,
    KeptFile,
    Left,
    Part,
    People,
    Row,
    Standing,
    Step,
    Sums,
    Until,
)
from shared.database import Connection, columns

HOLDING = """(
    SELECT a.* FROM ledger_archive a WHERE NOT EXISTS (
        SELECT FROM ledger_archive_step s WHERE s.archive_no = a.archive_no AND s.step = 'restored')
)"""
"""SQL: the archives that hold their years."""


def left_behind(table: str) -> str:
    """SQL: the rows of a table that archives left behind, of those that hold."""
    return f"(SELECT o.* FROM {table} o JOIN {HOLDING} AS h USING (archive_no))"


OPENINGS = left_behind("ledger_opening")


def entries_and_openings(condition: str = "") -> str:
    """SQL: all amounts of all accounts, each opening as a debit and a credit with the entries they are of."""
    return f"""(
        SELECT book, account_kind, counterparty, fund_pay_type, amount_fen, 1::bigint AS entries FROM ledger_entry
        {condition}
        UNION ALL
        SELECT book, account_kind, counterparty, fund_pay_type, fen, CASE WHEN first THEN entries ELSE 0 END
        FROM {OPENINGS} AS o CROSS JOIN LATERAL (VALUES (true, debit_fen), (false, -credit_fen)) AS side(first, fen)
        {condition}
    )"""


def archived(bill: str) -> str:
    """SQL: whether a bill is in an archive, given that it is not in the books."""
    return f"""({bill} < coalesce((SELECT max(until_id) FROM {HOLDING} AS h), '') AND (
        EXISTS (SELECT FROM ledger_chain c WHERE c.transaction_id = {bill})
        OR EXISTS (SELECT FROM {left_behind("ledger_archived_bill")} AS z WHERE z.settlement_id = {bill})))"""


LAST_YEAR = f"SELECT max(year) FROM {HOLDING} AS h"
BILL_IS_ARCHIVED = f"SELECT {archived('$1')} AND NOT EXISTS (SELECT FROM bill WHERE settlement_id = $1)"
CASE_IS_ARCHIVED = f"SELECT EXISTS (SELECT FROM {left_behind('ledger_archived_case')} AS k WHERE k.case_id = $1)"
ARCHIVES = """
    SELECT archive_no, year, until_id, transactions, entries, bills, reversals, total_fen, fund_fen, account_fen,
        payable_fen, left_links, left_sha256, contents_sha256, files, done_by, approved_by, archived_at, mac
    FROM ledger_archive ORDER BY archive_no
"""
STEPS = "SELECT archive_no, step, done_by, approved_by, done_at, mac FROM ledger_archive_step ORDER BY archive_no, step"
ARCHIVE_INSERT = """
    INSERT INTO ledger_archive (archive_no, year, until_id, transactions, entries, bills, reversals, total_fen,
        fund_fen, account_fen, payable_fen, left_links, left_sha256, contents_sha256, files, done_by, approved_by,
        archived_at, mac)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::jsonb, $16, $17, $18, $19)
"""
STEP_INSERT = """
    INSERT INTO ledger_archive_step (archive_no, step, done_by, approved_by, done_at, mac)
    VALUES ($1, $2, $3, $4, $5, $6)
"""
UNTIL_ID = "SELECT ulid_from_year($1 + 1)"
ARCHIVER_LOCK = "SELECT pg_advisory_xact_lock(hashtext('settlement.archive'))"

# What keeps a year from leaving

_OLDEST_YEAR = """
    SELECT min(right(relname, 4)::int) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'bill'::regclass AND relname ~ '_[0-9]{4}$'
"""
STANDING = f"""
    SELECT ({_OLDEST_YEAR}) AS oldest_year,
        (SELECT count(*) FROM settlement_case c WHERE c.state <> 'closed' AND c.period <= $2 AND (
            EXISTS (SELECT FROM bill b WHERE b.case_id = c.case_id)
            OR EXISTS (SELECT FROM carried_bill k WHERE k.to_case_id = c.case_id))) AS cases_open,
        (SELECT count(*) FROM work_item WHERE state = 'open' AND period <= $2) AS items_open,
        (SELECT count(*) FROM objection o JOIN settlement_case c USING (case_id)
         WHERE o.state = 'open' AND c.period <= $2) AS objections_open,
        (SELECT count(*) FROM statement WHERE state = 'reopened' AND period <= $2) AS statements_open,
        (SELECT count(*) FROM bills_until($1, $2, $3) b JOIN ledger_transaction t ON t.transaction_id = b.settlement_id
         WHERE NOT EXISTS (SELECT FROM ledger_chain c WHERE c.transaction_id = t.transaction_id)) AS unsealed
"""

# What leaves, and what it leaves behind

_BOOKED = "bills_until($1, $2, $3) b JOIN ledger_transaction t ON t.transaction_id = b.settlement_id"
_CLEARED_IN = """
    coalesce((
        SELECT k.to_case_id FROM carried_bill k WHERE k.settlement_id = b.settlement_id AND NOT EXISTS (
            SELECT FROM carried_bill l WHERE l.settlement_id = k.settlement_id AND l.from_case_id = k.to_case_id)),
        b.case_id)
"""
SUMS = """
    SELECT count(*) AS bills, count(*) FILTER (WHERE refund) AS reversals, coalesce(sum(total_fen), 0)::bigint,
        coalesce(sum(fund_fen), 0)::bigint, coalesce(sum(account_fen), 0)::bigint, coalesce(sum(payable_fen), 0)::bigint
    FROM bills_until($1, $2, $3) b
"""
OPENINGS_OF = f"""
    SELECT e.book, e.account_kind, e.counterparty, e.fund_pay_type,
        coalesce(sum(e.amount_fen) FILTER (WHERE e.amount_fen > 0), 0)::bigint,
        coalesce(-sum(e.amount_fen) FILTER (WHERE e.amount_fen < 0), 0)::bigint, count(*)
    FROM {_BOOKED} JOIN ledger_entry e USING (transaction_id)
    GROUP BY e.book, e.account_kind, e.counterparty, e.fund_pay_type
    ORDER BY e.book COLLATE "C", e.account_kind COLLATE "C", e.counterparty COLLATE "C", e.fund_pay_type COLLATE "C"
"""
CASES_OF = f"""
    SELECT cleared_in, count(*), sum(total_fen)::bigint, sum(fund_fen)::bigint, sum(account_fen)::bigint,
        sum(payable_fen)::bigint
    FROM (SELECT {_CLEARED_IN} AS cleared_in, b.* FROM bills_until($1, $2, $3) b) AS b
    GROUP BY cleared_in ORDER BY cleared_in COLLATE "C"
"""
UNBOOKED_OF = """
    SELECT b.settlement_id FROM bills_until($1, $2, $3) b
    WHERE NOT EXISTS (SELECT FROM ledger_transaction t WHERE t.transaction_id = b.settlement_id)
    ORDER BY b.settlement_id COLLATE "C"
"""
SUMS_KEPT = """
    SELECT bills, reversals, total_fen, fund_fen, account_fen, payable_fen FROM ledger_archive WHERE archive_no = $1
"""
OPENINGS_KEPT = """
    SELECT book, account_kind, counterparty, fund_pay_type, debit_fen, credit_fen, entries
    FROM ledger_opening WHERE archive_no = $1
    ORDER BY book COLLATE "C", account_kind COLLATE "C", counterparty COLLATE "C", fund_pay_type COLLATE "C"
"""
CASES_KEPT = """
    SELECT case_id, bill_count, total_fen, fund_fen, account_fen, payable_fen
    FROM ledger_archived_case WHERE archive_no = $1 ORDER BY case_id COLLATE "C"
"""
UNBOOKED_KEPT = """
    SELECT settlement_id FROM ledger_archived_bill WHERE archive_no = $1 ORDER BY settlement_id COLLATE "C"
"""
OPENINGS_INSERT = """
    INSERT INTO ledger_opening
        (archive_no, book, account_kind, counterparty, fund_pay_type, debit_fen, credit_fen, entries)
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[])
"""
CASES_INSERT = """
    INSERT INTO ledger_archived_case (archive_no, case_id, bill_count, total_fen, fund_fen, account_fen, payable_fen)
    SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
"""
UNBOOKED_INSERT = """
    INSERT INTO ledger_archived_bill (archive_no, settlement_id) SELECT $1, * FROM unnest($2::text[])
"""
# The links whose transactions are archived already, and those whose transactions leave now.
LEFT_LINKS = """
    SELECT c.chain_no, c.leaf, t.transaction_id IS NULL AS left_before FROM ledger_chain c
    LEFT JOIN ledger_transaction t ON t.transaction_id = c.transaction_id AND t.transaction_id < $1
    LEFT JOIN bills_until($1, $2, $3) b ON b.settlement_id = t.transaction_id
    WHERE c.transaction_id < $1 AND (t.transaction_id IS NULL OR b.settlement_id IS NOT NULL)
    ORDER BY c.chain_no
"""
LEAVES = """
    SELECT chain_no, transaction_id, leaf FROM ledger_chain
    WHERE chain_no = ANY($1::bigint[]) ORDER BY chain_no
"""

# The rows as the files have them: in the order of the chain, moments in microseconds since 1970.
_US = "(extract(epoch FROM {0}) * 1000000)::bigint AS {1}_us"
BILLS_OUT = f"""
    SELECT b.settlement_id, b.case_id, {_CLEARED_IN} AS cleared_in, b.visit_id, b.person_id, b.facility_code,
        b.facility_settlement_no, b.care_region, b.home_region, b.insutype, b.med_type, b.clr_type, b.refund,
        b.reverses_settlement_id, {_US.format("b.settled_at", "settled_at")}, b.settled_period, b.period, b.total_fen,
        b.fund_fen, b.account_fen, b.cash_fen, b.hospital_fen, b.payable_fen, b.traceparent,
        {_US.format("b.booked_at", "booked_at")}
    FROM bills_until($1, $2, $3) b ORDER BY b.settlement_id COLLATE "C"
"""
TRANSACTIONS_OUT = f"""
    SELECT c.chain_no, t.transaction_id, t.kind, t.case_id, t.period, t.value_date,
        {_US.format("t.booked_at", "booked_at")}, t.reverses_transaction_id
    FROM {_BOOKED} JOIN ledger_chain c USING (transaction_id) ORDER BY c.chain_no
"""
ENTRIES_OUT = f"""
    SELECT c.chain_no, e.transaction_id, e.line_no, e.book, e.account_kind, e.counterparty, e.fund_pay_type,
        e.amount_fen
    FROM {_BOOKED} JOIN ledger_chain c USING (transaction_id) JOIN ledger_entry e USING (transaction_id)
    ORDER BY c.chain_no, e.line_no
"""
OUT: Mapping[Part, str] = {
    Part.BILLS: BILLS_OUT,
    Part.TRANSACTIONS: TRANSACTIONS_OUT,
    Part.ENTRIES: ENTRIES_OUT,
}
"""What each file of an archive holds."""

# What is in the tables although an archive has it.
RETURNED_BILLS = f"""
    SELECT b.settlement_id FROM bill b WHERE b.settlement_id < (SELECT max(until_id) FROM {HOLDING} AS h) AND (
        EXISTS (SELECT FROM {left_behind("ledger_archived_bill")} AS z WHERE z.settlement_id = b.settlement_id)
        OR (EXISTS (SELECT FROM ledger_chain c WHERE c.transaction_id = b.settlement_id)
            AND NOT EXISTS (SELECT FROM ledger_transaction t WHERE t.transaction_id = b.settlement_id)))
    ORDER BY b.settlement_id
"""

# Partitions

YEAR_LOCK = "SELECT lock_year($1)"
YEAR_LEAVE = "SELECT leave_year($1)"
YEAR_RETURN = "SELECT return_year($1)"
LEFT_DROP = "SELECT drop_left($1)"
RETURNING_MAKE = """
    CREATE TEMP TABLE returning_bill (LIKE bill) ON COMMIT DROP;
    CREATE TEMP TABLE returning_ledger_transaction (LIKE ledger_transaction) ON COMMIT DROP;
    CREATE TEMP TABLE returning_ledger_entry (LIKE ledger_entry) ON COMMIT DROP;
    GRANT SELECT ON returning_bill, returning_ledger_transaction, returning_ledger_entry TO PUBLIC
"""

ARCHIVING_TIMEOUT_S = 4 * 3600.0
"""A year of a large city is written and read again in an hour or two; nobody waits for it."""
ROWS_AT_ONCE = 5000


async def last_year(tx: Connection) -> int | None:
    """The last archived year; None while there is none."""
    return await tx.fetchval(LAST_YEAR)  # type: ignore[no-any-return]


async def bill_is_archived(tx: Connection, settlement_id: str) -> bool:
    """Whether a bill that is not in the books is in an archive."""
    return bool(await tx.fetchval(BILL_IS_ARCHIVED, settlement_id))


async def case_is_archived(tx: Connection, case_id: str) -> bool:
    """Whether bills of a case are in an archive."""
    return bool(await tx.fetchval(CASE_IS_ARCHIVED, case_id))


async def archives(tx: Connection) -> list[KeptArchive]:
    """All archives, those that were restored too, with what became of them."""
    steps: dict[int, dict[Step, tuple[ArchiveStep, bytes]]] = {}
    for row in await tx.fetch(STEPS):
        number, step, done_by, approved_by, done_at, mac = row
        done = ArchiveStep(number, Step(step), People(done_by, approved_by), done_at)
        steps.setdefault(number, {})[done.step] = (done, mac)
    return [_kept(row, steps.get(row["archive_no"], {})) for row in await tx.fetch(ARCHIVES)]


def _kept(row: Any, steps: Mapping[Step, tuple[ArchiveStep, bytes]]) -> KeptArchive:
    files = {name: KeptFile(*file) for name, file in sorted(json.loads(row["files"]).items())}
    archive = Archive(
        archive_no=row["archive_no"],
        year=row["year"],
        until_id=row["until_id"],
        transactions=row["transactions"],
        entries=row["entries"],
        sums=Sums(*row[5:11]),
        left=Left(row["left_links"], row["left_sha256"]),
        contents_sha256=row["contents_sha256"],
        files=files,
        people=People(row["done_by"], row["approved_by"]),
        archived_at=row["archived_at"],
    )
    return KeptArchive(archive, row["mac"], steps)


async def until(tx: Connection, year: int) -> Until:
    """Where a year ends."""
    return Until(year, await tx.fetchval(UNTIL_ID, year))


async def lock_archiver(tx: Connection) -> None:
    """Until this transaction ends nobody else archives or restores."""
    await tx.execute(ARCHIVER_LOCK)


async def standing(tx: Connection, end: Until, *, proven: bool) -> Standing:
    """What keeps a year's bills from leaving."""
    row = await tx.fetchrow(STANDING, *_of(end), timeout=ARCHIVING_TIMEOUT_S)
    assert row is not None  # noqa: S101 - one row of counts
    return Standing(**row, proven=proven)


def _of(end: Until) -> tuple[str, str, datetime]:
    return end.id, end.period, end.at


async def contents(tx: Connection, end: Until) -> Contents:
    """What leaves with a year, added up from the tables."""
    return await _contents(tx, (SUMS, OPENINGS_OF, CASES_OF, UNBOOKED_OF), *_of(end))


async def contents_kept(tx: Connection, archive_no: int) -> Contents:
    """What an archive left behind, as it is kept."""
    return await _contents(tx, (SUMS_KEPT, OPENINGS_KEPT, CASES_KEPT, UNBOOKED_KEPT), archive_no)


async def _contents(tx: Connection, queries: Sequence[str], *values: object) -> Contents:
    (sums,), *tables = [await tx.fetch(query, *values, timeout=ARCHIVING_TIMEOUT_S) for query in queries]
    openings, cases, unbooked = ([tuple(row) for row in table] for table in tables)
    return Contents(Sums(*sums), openings, cases, unbooked)


async def left_links(tx: Connection, end: Until) -> AsyncIterator[tuple[int, bytes, bool]]:
    """Links whose transactions are archived or leave now, and whether they had left before; needs a transaction."""
    async for row in tx.cursor(LEFT_LINKS, *_of(end), prefetch=ROWS_AT_ONCE, timeout=ARCHIVING_TIMEOUT_S):
        yield row[0], row[1], row[2]


async def leaves(tx: Connection, chain_nos: Sequence[int]) -> dict[int, tuple[str, bytes]]:
    """The transaction and the leaf of some links, by number."""
    rows = await tx.fetch(LEAVES, list(chain_nos), timeout=ARCHIVING_TIMEOUT_S)
    return {row["chain_no"]: (row["transaction_id"], row["leaf"]) for row in rows}


async def write_rows(tx: Connection, part: Part, end: Until, file: Path) -> None:
    """Write what leaves into a file of comma-separated values with a head, absent ones as `\\N`."""
    await tx.copy_from_query(
        OUT[part], *_of(end), output=file, format="csv", header=True, null="\\N", timeout=ARCHIVING_TIMEOUT_S
    )


async def bills_leaving(tx: Connection, end: Until) -> AsyncIterator[list[Row]]:
    """The bills that leave, as the file has them; needs a transaction."""
    cursor = await tx.cursor(BILLS_OUT, *_of(end), timeout=ARCHIVING_TIMEOUT_S)
    while rows := await cursor.fetch(ROWS_AT_ONCE, timeout=ARCHIVING_TIMEOUT_S):
        yield [tuple(row) for row in rows]


async def returned_bills(tx: Connection) -> list[str]:
    """Archived bills that are in the tables all the same."""
    return [row["settlement_id"] for row in await tx.fetch(RETURNED_BILLS, timeout=ARCHIVING_TIMEOUT_S)]


async def add(tx: Connection, archive: Archive, mac: bytes, left: Contents) -> None:
    """Keep an archive and what it leaves behind."""
    a = archive
    files = json.dumps({name: list(file) for name, file in a.files.items()})
    head = (a.archive_no, a.year, a.until_id, a.transactions, a.entries, *a.sums, *a.left, a.contents_sha256)
    await tx.execute(ARCHIVE_INSERT, *head, files, *a.people, a.archived_at, mac)
    for query, rows in (
        (OPENINGS_INSERT, left.openings),
        (CASES_INSERT, left.cases),
        (UNBOOKED_INSERT, left.unbooked),
    ):
        if rows:
            await tx.execute(query, a.archive_no, *columns(rows), timeout=ARCHIVING_TIMEOUT_S)


async def add_step(tx: Connection, step: ArchiveStep, mac: bytes) -> None:
    """Keep what became of an archive."""
    await tx.execute(STEP_INSERT, step.archive_no, step.step.value, *step.people, step.done_at, mac)


async def lock_year(tx: Connection, year: int) -> bool:
    """Hold everybody off from writing to a year and to what stayed of those before; False when others are at work."""
    try:
        await tx.execute(YEAR_LOCK, year, timeout=ARCHIVING_TIMEOUT_S)
    except asyncpg.LockNotAvailableError:
        return False
    return True


async def leave_year(tx: Connection, archive_no: int) -> bool:
    """Take an archive's rows out of the tables and set their partitions aside; False when others are at work."""
    try:
        await tx.execute(YEAR_LEAVE, archive_no, timeout=ARCHIVING_TIMEOUT_S)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return False
    return True


async def drop_left(tx: Connection, archive_no: int) -> int:
    """Drop the partitions that were set aside with an archive; how many."""
    return await tx.fetchval(LEFT_DROP, archive_no, timeout=ARCHIVING_TIMEOUT_S)  # type: ignore[no-any-return]


async def make_returning(tx: Connection) -> None:
    """Tables of this transaction's own that take the rows which come back."""
    await tx.execute(RETURNING_MAKE)


async def add_returning(tx: Connection, table: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Lay down rows which come back."""
    await tx.copy_records_to_table(f"returning_{table}", records=rows, columns=names, timeout=ARCHIVING_TIMEOUT_S)


async def return_year(tx: Connection, archive_no: int) -> bool:
    """Make what was laid down the partition of its year again; False when others are at work."""
    try:
        await tx.execute(YEAR_RETURN, archive_no, timeout=ARCHIVING_TIMEOUT_S)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return False
    return True
