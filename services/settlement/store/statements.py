"""Statements: totals, lines, matches, differences, and the decision that the books stand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from services.settlement.rules.statements import (
    Comparison,
    Key,
    Line,
    Scope,
    Statement,
    StatementState,
    Sums,
)
from services.settlement.store.bills import columns
from services.settlement.store.matching import allow_loops, avoid_loops
from shared.database import Connection, row_to, rows_to

STATEMENT_INSERT = """
    INSERT INTO statement (statement_id, party, care_region, period, version_no, state, match_no, submitted_by,
        submitted_at, submitted_on, day, home_region)
    SELECT $1, $2, $3, $4, coalesce(max(version_no), 0) + 1, 'reopened', 0, $5, $6, $7, $8, $9
    FROM statement
    WHERE party = $2 AND period = $4 AND (day, home_region) IS NOT DISTINCT FROM ($8, $9)
      AND ($9 IS NULL OR care_region = $3)
    RETURNING version_no
"""
STATEMENT_REPLACE = """
    UPDATE statement SET state = 'replaced'
    WHERE party = $1 AND period = $2 AND state <> 'replaced'
      AND (day, home_region) IS NOT DISTINCT FROM ($3::date, $4::text) AND ($4 IS NULL OR care_region = $5)
"""
# Nobody else begins a version of the same until the transaction ends; a month has its own row for that.
MATCH_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('settlement.match ' || $1, 0))"
STATEMENT_LOCK = """
    SELECT pg_advisory_xact_lock(hashtextextended(
        concat_ws(' ', 'statement', $1::text, $2::text, $3::text, $4::text), 0))
"""
STATEMENT_CURRENT = "UPDATE facility_month SET statement_id = $3 WHERE facility_code = $1 AND period = $2"
STATEMENT_CONCLUDE = "UPDATE statement SET state = $2, match_no = $3 WHERE statement_id = $1"
STATEMENTS_REOPEN = "UPDATE statement SET state = 'reopened' WHERE statement_id = ANY($1::text[])"
STATEMENTS_REOPENED = "SELECT statement_id FROM statement WHERE state = 'reopened' ORDER BY statement_id LIMIT 100"
# Bills were booked that a day or a chain did not see: booking appends, and waits for nobody.
TOUCH = """
    INSERT INTO statement_touch (statement_id)
    SELECT statement_id
    FROM (
        SELECT s.statement_id
        FROM unnest($1::text[], $2::text[], $3::date[]) AS b(facility, period, day)
        JOIN statement s ON s.home_region IS NULL AND s.party = b.facility AND s.period = b.period AND s.day = b.day
        WHERE s.state <> 'replaced'
        UNION
        SELECT s.statement_id
        FROM unnest($2::text[], $4::text[], $5::text[]) AS b(period, care, home)
        JOIN statement s ON s.period = b.period AND s.care_region = b.care AND s.home_region = b.home
        WHERE s.state <> 'replaced'
    ) AS touched
"""
TOUCH_ITSELF = "INSERT INTO statement_touch (statement_id, waits_for) VALUES ($1, pg_current_xact_id()::text::bigint)"
# Of a statement that is being compared at this moment the notes stay for the next look.
TOUCHED_REOPEN = """
    WITH ripe AS (
        SELECT touch_no, statement_id FROM statement_touch
        WHERE waits_for IS NULL OR waits_for < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    ), free AS (
        SELECT statement_id FROM statement WHERE statement_id IN (SELECT statement_id FROM ripe)
        FOR NO KEY UPDATE SKIP LOCKED
    ), done AS (
        DELETE FROM statement_touch t USING ripe JOIN free USING (statement_id) WHERE t.touch_no = ripe.touch_no
    )
    UPDATE statement s SET state = 'reopened' FROM free
    WHERE s.statement_id = free.statement_id AND s.state <> 'replaced'
"""
_COLUMNS = """
    statement_id, party, care_region, period, version_no, state, match_no, submitted_on, day, home_region
"""
STATEMENT = f"SELECT {_COLUMNS} FROM statement WHERE statement_id = $1"
# Not against booking, which notes down that a statement has to be compared again, and so refers to it.
STATEMENT_LOCKED = f"{STATEMENT} FOR NO KEY UPDATE"
STATEMENTS = f"""
    SELECT {_COLUMNS} FROM statement
    WHERE (party = $1 OR care_region = ANY($2::text[]) OR home_region = ANY($2::text[]) OR party = ANY($2::text[]))
      AND ($3::text IS NULL OR period = $3) AND ($4::text IS NULL OR party = $4) AND ($5::date IS NULL OR day = $5)
      AND statement_id > $6
    ORDER BY statement_id LIMIT $7
"""
DAYS = f"""
    SELECT {_COLUMNS} FROM statement
    WHERE party = $1 AND period = $2 AND day IS NOT NULL AND state <> 'replaced' ORDER BY day
"""
_MONTH = "b.case_id = ANY (ARRAY(SELECT case_id FROM settlement_case WHERE facility_code = $1 AND period = $2))"
_GROUPS = """
    SELECT b.home_region, b.insutype, b.clr_type, b.refund, sum(b.total_fen)::bigint, sum(b.fund_fen)::bigint,
        sum(b.account_fen)::bigint, count(*)
    FROM bill b
"""
_GROUPED = "GROUP BY b.home_region, b.insutype, b.clr_type, b.refund"
# An array of cases, so that the bills of all of them are read in one go: patients of forty regions come mixed.
BOOKS_TOTALS = f"{_GROUPS} WHERE {_MONTH} {_GROUPED}"
BOOKS_TOTALS_DAY = f"""
    {_GROUPS}
    WHERE {_MONTH} AND b.settled_at >= $3::date::timestamp AT TIME ZONE 'Asia/Shanghai'
      AND b.settled_at < ($3::date + 1)::timestamp AT TIME ZONE 'Asia/Shanghai'
    {_GROUPED}
"""
BOOKS_TOTALS_CHAIN = f"""
    {_GROUPS}
    WHERE b.case_id = ANY (ARRAY(
        SELECT case_id FROM settlement_case WHERE period = $1 AND care_region = $2 AND home_region = $3))
    {_GROUPED}
"""
TOTALS_UPSERT = """
    INSERT INTO statement_total (statement_id, home_region, insutype, clr_type, refund, total_fen, fund_fen,
        account_fen, bill_count, books_total_fen, books_fund_fen, books_account_fen, books_bill_count)
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::bool[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[])
    ON CONFLICT (statement_id, home_region, insutype, clr_type, refund) DO UPDATE
    SET books_total_fen = EXCLUDED.books_total_fen, books_fund_fen = EXCLUDED.books_fund_fen,
        books_account_fen = EXCLUDED.books_account_fen, books_bill_count = EXCLUDED.books_bill_count
"""
TOTALS = """
    SELECT home_region, insutype, clr_type, refund, total_fen, fund_fen, account_fen, bill_count,
        books_total_fen, books_fund_fen, books_account_fen, books_bill_count
    FROM statement_total WHERE statement_id = $1 ORDER BY home_region, insutype, clr_type, refund
"""
LINES_INSERT = """
    INSERT INTO statement_line
        (statement_id, facility_settlement_no, refund, settlement_id, total_fen, fund_fen, account_fen)
    SELECT $1, * FROM unnest($2::text[], $3::bool[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
    ON CONFLICT DO NOTHING
"""
LINES_DIFFERING = """
    SELECT n.position - 1 AS position, n.number
    FROM unnest($2::text[], $3::bool[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[]) WITH ORDINALITY
        AS n(number, refund, settlement_id, total_fen, fund_fen, account_fen, position)
    JOIN statement_line l
        ON l.statement_id = $1 AND l.facility_settlement_no = n.number AND l.refund = n.refund
    WHERE (l.settlement_id, l.total_fen, l.fund_fen, l.account_fen)
        IS DISTINCT FROM (n.settlement_id, n.total_fen, n.fund_fen, n.account_fen)
    ORDER BY n.position
"""
_SUMS = "SELECT refund, sum(total_fen)::bigint, sum(fund_fen)::bigint, sum(account_fen)::bigint, count(*)"
LINES_SUMS = f"{_SUMS} FROM statement_line WHERE statement_id = $1 GROUP BY refund"
FILE_SUMS = f"{_SUMS} FROM statement_file_line WHERE file_no = $1 GROUP BY refund"
_DIFFERENCE = """
    difference_class, facility_settlement_no, refund, settlement_id, home_region, books_total_fen, books_fund_fen,
    books_account_fen, stated_total_fen, stated_fund_fen, stated_account_fen, line_no, stated_settlement_no,
    stated_settlement_id, other_period
"""
DIFFERENCES = f"""
    SELECT position, {_DIFFERENCE} FROM difference
    WHERE statement_id = $1 AND match_no = $2 AND position > $3 ORDER BY position LIMIT $4
"""
# Only what neither the match before nor that of a day found: nothing is announced twice.
DIFFERENCES_NEW = f"""
    WITH known AS (
        SELECT * FROM difference WHERE statement_id = $1 AND match_no = $2 - 1
        UNION ALL
        SELECT e.* FROM statement s JOIN statement o ON o.party = s.party AND o.period = s.period
        JOIN difference e ON e.statement_id = o.statement_id AND e.match_no = o.match_no
        WHERE s.statement_id = $1 AND s.day IS NULL AND s.home_region IS NULL
          AND o.day IS NOT NULL AND o.state <> 'replaced'
    )
    SELECT position, {_DIFFERENCE} FROM difference d
    WHERE d.statement_id = $1 AND d.match_no = $2 AND d.difference_class <> 'within_tolerance' AND NOT EXISTS (
        SELECT FROM known e WHERE e.item_key = d.item_key
        AND (e.difference_class, e.books_fund_fen, e.stated_fund_fen)
            IS NOT DISTINCT FROM (d.difference_class, d.books_fund_fen, d.stated_fund_fen))
    ORDER BY d.position LIMIT $3
"""
RESOLUTION = """
    SELECT reason, proposed_by, proposed_at, approved_by, approved_at FROM resolution
    WHERE statement_id = $1 AND match_no = $2
"""
RESOLUTION_INSERT = """
    INSERT INTO resolution (statement_id, match_no, reason, proposed_by, proposed_at) VALUES ($1, $2, $3, $4, $5)
"""
RESOLUTION_APPROVE = """
    UPDATE resolution SET approved_by = $3, approved_at = $4 WHERE statement_id = $1 AND match_no = $2
"""


SUMS_TIMEOUT_S = 60.0
"""Millions of lines take longer to add up than the queries of daily work may."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One bill on which statement and books do not agree; the absent side is None. Amounts in fen."""

    position: int
    difference_class: str
    facility_settlement_no: str
    refund: bool
    settlement_id: str | None
    home_region: str | None
    books_total_fen: int | None
    books_fund_fen: int | None
    books_account_fen: int | None
    stated_total_fen: int | None
    stated_fund_fen: int | None
    stated_account_fen: int | None
    line_no: int | None
    """The line of the statement's file."""
    stated_settlement_no: str | None
    """The number the line gives, where it is another than the bill's."""
    stated_settlement_id: str | None
    """The settlement id the line gives, where it is another than the bill's."""
    other_period: str | None
    """The month on the other side, where that differs."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """That the books stand, proposed by one person and perhaps approved by another."""

    reason: str
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None
    approved_at: datetime | None


class New(NamedTuple):
    """What is stated anew: by whom, and about which bills."""

    statement_id: str
    party: str
    care_region: str
    period: str
    day: date | None = None
    home_region: str | None = None


async def add_version(tx: Connection, new: New, *, subject: str, at: datetime, on: date) -> Statement:
    """A new version, which from now on counts, in place of the one before."""
    lock = (new.party, new.period, None if new.day is None else str(new.day), new.home_region)
    await tx.execute(STATEMENT_LOCK, *lock)
    await tx.execute(STATEMENT_REPLACE, new.party, new.period, new.day, new.home_region, new.care_region)
    version_no = await tx.fetchval(STATEMENT_INSERT, *new[:4], subject, at, on, new.day, new.home_region)
    added = Statement(*new[:4], version_no, StatementState.REOPENED, 0, on, new.day, new.home_region)
    if added.scope is Scope.MONTH:
        await tx.execute(STATEMENT_CURRENT, new.party, new.period, new.statement_id)
    return added


async def statement(tx: Connection, statement_id: str) -> Statement | None:
    """One version of a statement."""
    row = await tx.fetchrow(STATEMENT, statement_id)
    return None if row is None else _statement(row)


async def statements(
    tx: Connection,
    facility_code: str | None,
    areas: Sequence[str],
    *,
    period: str | None,
    of_party: str | None,
    day: date | None,
    after: str,
    limit: int,
) -> list[Statement]:
    """Statements a caller may see, by id."""
    rows = await tx.fetch(STATEMENTS, facility_code, list(areas), period, of_party, day, after, limit)
    return [_statement(row) for row in rows]


async def try_lock_match(tx: Connection, statement_id: str) -> bool:
    """Whether this transaction alone may match a statement; false while another one does."""
    return await tx.fetchval(MATCH_TRY_LOCK, statement_id)  # type: ignore[no-any-return]


async def lock_statement(tx: Connection, statement_id: str) -> Statement | None:
    """A version as it stands once nobody else compares it."""
    row = await tx.fetchrow(STATEMENT_LOCKED, statement_id)
    return None if row is None else _statement(row)


async def days(tx: Connection, of: Statement) -> list[Statement]:
    """The days a facility stated of its month, as they stand."""
    return [_statement(row) for row in await tx.fetch(DAYS, of.party, of.period)]


def _statement(row: Any) -> Statement:
    return Statement(**{**row, "state": StatementState(row["state"])})


async def conclude(tx: Connection, statement_id: str, state: StatementState, match_no: int) -> None:
    """Write the outcome of a comparison."""
    await tx.execute(STATEMENT_CONCLUDE, statement_id, state, match_no)


async def reopen(tx: Connection, statement_ids: Sequence[str]) -> None:
    """Mark statements whose books changed after the comparison."""
    await tx.execute(STATEMENTS_REOPEN, list(statement_ids))


class Touch(NamedTuple):
    """Where a bill was booked."""

    facility_code: str
    period: str
    day: date
    care_region: str
    home_region: str


async def touch(tx: Connection, touches: Collection[Touch]) -> None:
    """Note for the days and chains that were stated already that bills came after."""
    await tx.execute(TOUCH, *columns(list(touches), 5))


async def touch_itself(tx: Connection, statement_id: str) -> None:
    """Note that a statement is new: who books right now does not know of it yet."""
    await tx.execute(TOUCH_ITSELF, statement_id)


async def reopen_touched(tx: Connection) -> None:
    """Mark the days and chains that bills came for, once everything that was being booked then is booked."""
    await tx.execute(TOUCHED_REOPEN)


async def reopened(tx: Connection) -> list[str]:
    """Some statements that are to be compared again."""
    return [row["statement_id"] for row in await tx.fetch(STATEMENTS_REOPENED)]


async def books_totals(tx: Connection, of: Statement) -> dict[Key, Sums]:
    """What the books hold of the bills a statement is about."""
    match of.scope:
        case Scope.MONTH:
            rows = await tx.fetch(BOOKS_TOTALS, of.party, of.period, timeout=SUMS_TIMEOUT_S)
        case Scope.DAY:
            rows = await tx.fetch(BOOKS_TOTALS_DAY, of.party, of.period, of.day, timeout=SUMS_TIMEOUT_S)
        case Scope.CHAIN:
            ends = (of.care_region, of.home_region)
            rows = await tx.fetch(BOOKS_TOTALS_CHAIN, of.period, *ends, timeout=SUMS_TIMEOUT_S)
    return {Key(*row[:4]): Sums(*row[4:]) for row in rows}


async def save_comparisons(tx: Connection, statement_id: str, comparisons: Sequence[Comparison]) -> None:
    """Keep the groups of a statement with the books beside them."""
    rows = [(*c.key, *c.stated, *c.books) for c in comparisons]
    await tx.execute(TOTALS_UPSERT, statement_id, *columns(rows, 12))


async def comparisons(tx: Connection, statement_id: str) -> list[Comparison]:
    """The groups of a statement with the books as they were compared last."""
    rows = await tx.fetch(TOTALS, statement_id)
    return [Comparison(Key(*row[:4]), Sums(*row[4:8]), Sums(*row[8:])) for row in rows]


async def add_lines(tx: Connection, statement_id: str, lines: Sequence[Line]) -> list[tuple[int, str]]:
    """Write lines that are not there yet; position and number of those that are there with other amounts."""
    arrays = columns(lines, 6)
    await tx.execute(LINES_INSERT, statement_id, *arrays)
    return [tuple(row) for row in await tx.fetch(LINES_DIFFERING, statement_id, *arrays)]


async def line_sums(tx: Connection, statement_id: str) -> Mapping[bool, Sums]:
    """The sums of a statement's lines, of settlements and of refunds; empty when there are no lines."""
    return {row[0]: Sums(*row[1:]) for row in await tx.fetch(LINES_SUMS, statement_id)}


async def file_sums(tx: Connection, file_no: int) -> Mapping[bool, Sums]:
    """The sums of a file's lines, of settlements and of refunds."""
    return {row[0]: Sums(*row[1:]) for row in await tx.fetch(FILE_SUMS, file_no, timeout=SUMS_TIMEOUT_S)}


async def differences(tx: Connection, of: Statement, after: int, limit: int) -> list[Difference]:
    """The differences of a statement's last match, by position."""
    return rows_to(Difference, await tx.fetch(DIFFERENCES, of.statement_id, of.match_no, after, limit))


async def new_differences(tx: Connection, statement_id: str, match_no: int, limit: int) -> list[Difference]:
    """Differences the match before did not find."""
    await avoid_loops(tx)
    found = rows_to(Difference, await tx.fetch(DIFFERENCES_NEW, statement_id, match_no, limit))
    await allow_loops(tx)
    return found


async def resolution(tx: Connection, of: Statement) -> Resolution | None:
    """What was proposed about the differences of the last match."""
    return row_to(Resolution, await tx.fetchrow(RESOLUTION, of.statement_id, of.match_no))


async def add_resolution(tx: Connection, of: Statement, reason: str, subject: str, at: datetime) -> None:
    """Propose that the books stand."""
    await tx.execute(RESOLUTION_INSERT, of.statement_id, of.match_no, reason, subject, at)


async def approve_resolution(tx: Connection, of: Statement, subject: str, at: datetime) -> None:
    """Approve it."""
    await tx.execute(RESOLUTION_APPROVE, of.statement_id, of.match_no, subject, at)
