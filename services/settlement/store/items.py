"""Work items: renewed by every match, acted upon, listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.settlement.rules.items import AGENCY_ACTS, DECIDING, Action, ActionKind, Closing, Item, ItemState
from services.settlement.rules.statements import Statement
from services.settlement.store import matching
from services.settlement.store.statements import Difference
from shared.database import Connection, row_to, rows_to
from shared.workdays import DueDate

_FIGURES = (
    "difference_class",
    "books_total_fen",
    "books_fund_fen",
    "books_account_fen",
    "stated_total_fen",
    "stated_fund_fen",
    "stated_account_fen",
)


def _same_figures(one: str, other: str) -> str:
    sides = (", ".join(f"{table}.{name}" for name in _FIGURES) for table in (one, other))
    return "({}) IS NOT DISTINCT FROM ({})".format(*sides)


# The last action on an item counts. It decides when it needs no approval or has it, and the figures are those it was
# taken on; a difference that is found for the first time has no item and no action yet.
ITEMS_RENEW = f"""
    WITH found AS (
        SELECT d.item_key, d.difference_class, d.position, d.books_total_fen IS NOT NULL AS booked,
            greatest(abs(coalesce(d.stated_total_fen, 0) - coalesce(d.books_total_fen, 0)),
                     abs(coalesce(d.stated_fund_fen, 0) - coalesce(d.books_fund_fen, 0)),
                     abs(coalesce(d.stated_account_fen, 0) - coalesce(d.books_account_fen, 0))) AS amount_fen,
            a.kind IS NOT NULL AS decided
        FROM difference d
        LEFT JOIN work_item w ON w.party = $3 AND w.period = $4 AND w.item_key = d.item_key
        LEFT JOIN LATERAL (
            SELECT * FROM item_action a WHERE a.item_no = w.item_no ORDER BY a.action_no DESC LIMIT 1) AS last ON true
        LEFT JOIN LATERAL (
            SELECT last.kind FROM difference e
            WHERE (e.statement_id, e.match_no, e.position) = (last.statement_id, last.match_no, last.position)
              AND last.kind = ANY($10::text[]) AND (last.approved_at IS NOT NULL OR NOT last.approval_needed)
              AND {_same_figures("d", "e")} LIMIT 1) AS a ON true
        WHERE d.statement_id = $1 AND d.match_no = $2 AND d.difference_class <> 'within_tolerance'
    )
    INSERT INTO work_item AS w (party, care_region, period, item_key, difference_class, state, acting_party,
        due_on, provisional, amount_fen, booked, statement_id, match_no, position, found_at, reopened_count,
        closed_at, closed_as, home_region, since, working_days)
    SELECT $3, $5, $4, item_key, difference_class, CASE WHEN decided THEN 'closed' ELSE 'open' END,
        CASE WHEN difference_class = ANY($9::text[]) THEN $5 ELSE $3 END, $6, $7, amount_fen, booked, $1, $2, position,
        $8, 0, CASE WHEN decided THEN $8::timestamptz END, CASE WHEN decided THEN 'decided' END, $11,
        $12, $13
    FROM found
    ON CONFLICT (party, period, item_key) DO UPDATE
    SET difference_class = EXCLUDED.difference_class, state = EXCLUDED.state, amount_fen = EXCLUDED.amount_fen,
        booked = EXCLUDED.booked, statement_id = EXCLUDED.statement_id, match_no = EXCLUDED.match_no,
        position = EXCLUDED.position, closed_as = EXCLUDED.closed_as,
        closed_at = CASE WHEN EXCLUDED.state = 'closed' THEN coalesce(w.closed_at, EXCLUDED.closed_at) END,
        acting_party = CASE WHEN w.state = 'open' AND w.difference_class = EXCLUDED.difference_class
                            THEN w.acting_party ELSE EXCLUDED.acting_party END,
        due_on = CASE WHEN w.state = 'open' THEN w.due_on ELSE EXCLUDED.due_on END,
        provisional = CASE WHEN w.state = 'open' THEN w.provisional ELSE EXCLUDED.provisional END,
        since = CASE WHEN w.state = 'open' THEN w.since ELSE EXCLUDED.since END,
        working_days = CASE WHEN w.state = 'open' THEN w.working_days ELSE EXCLUDED.working_days END,
        reopened_count = w.reopened_count + (w.state = 'closed' AND EXCLUDED.state = 'open')::int
"""
# A month answers for all its items, those of its days too; a day or a chain only for those that it found itself.
_ITEMS_OF = """
    party = $1 AND period = $2 AND state = 'open' AND EXISTS (
        SELECT FROM statement s JOIN statement o ON o.statement_id = work_item.statement_id
        WHERE s.statement_id = $3 AND ((s.day IS NULL AND s.home_region IS NULL)
            OR (s.day, s.home_region, s.care_region) IS NOT DISTINCT FROM (o.day, o.home_region, o.care_region)))
"""
ITEMS_CLOSE = f"""
    UPDATE work_item SET state = 'closed', closed_at = $5, closed_as = $6
    WHERE {_ITEMS_OF} AND (statement_id, match_no) <> ($3, $4)
"""
ITEMS_CLOSE_ALL = f"UPDATE work_item SET state = 'closed', closed_at = $4, closed_as = $5 WHERE {_ITEMS_OF}"
ITEMS_OPEN = f"SELECT EXISTS (SELECT FROM work_item WHERE {_ITEMS_OF})"
_ITEM = """
    item_no, party, care_region, period, difference_class, state, acting_party, due_on, provisional, amount_fen, booked,
    statement_id, match_no, position, found_at, reopened_count, closed_at, closed_as, home_region
"""
ITEM = f"SELECT {_ITEM} FROM work_item WHERE item_no = $1"
ITEM_LOCKED = f"{ITEM} FOR UPDATE"
ITEMS = f"""
    SELECT {_ITEM} FROM work_item
    WHERE (party = $1 OR care_region = ANY($2::text[]) OR party = ANY($2::text[]))
      AND ($3::text IS NULL OR period = $3) AND ($4::text IS NULL OR party = $4) AND ($5::text IS NULL OR state = $5)
      AND ($6::text IS NULL OR acting_party = $6) AND ($7::text IS NULL OR difference_class = $7) AND item_no > $8
    ORDER BY item_no LIMIT $9
"""
ITEM_ACTING = "UPDATE work_item SET acting_party = $2 WHERE item_no = $1"
ACTION_INSERT = """
    INSERT INTO item_action (item_no, kind, reason, party, subject, at, statement_id, match_no, position,
        approval_needed)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
ACTION_APPROVE = "UPDATE item_action SET approved_by = $2, approved_at = $3 WHERE action_no = $1"
ACTIONS = f"""
    SELECT a.action_no, a.kind, a.reason, a.party, a.subject, a.at, a.approval_needed, a.approved_by, a.approved_at,
        {_same_figures("d", "e")} AS stands
    FROM item_action a JOIN work_item w USING (item_no)
    JOIN difference d ON (d.statement_id, d.match_no, d.position) = (a.statement_id, a.match_no, a.position)
    JOIN difference e ON (e.statement_id, e.match_no, e.position) = (w.statement_id, w.match_no, w.position)
    WHERE a.item_no = $1 ORDER BY a.action_no
"""
_DIFFERENCE = """
    d.position, d.difference_class, d.facility_settlement_no, d.refund, d.settlement_id, d.home_region,
    d.books_total_fen, d.books_fund_fen, d.books_account_fen, d.stated_total_fen, d.stated_fund_fen,
    d.stated_account_fen, d.line_no, d.stated_settlement_no, d.stated_settlement_id, d.other_period
"""
EVIDENCE = f"""
    SELECT {_DIFFERENCE} FROM difference d WHERE d.statement_id = $1 AND d.match_no = $2 AND d.position = $3
"""
TRACE = """
    SELECT traceparent, booked_at FROM bill
    WHERE settlement_id = $1 AND ($3::text IS NOT NULL OR facility_code = $2) AND ($3 IS NULL OR home_region = $3)
"""
# What stands alone on the other side and could be meant: with the same amounts, or a number that looks alike.
CANDIDATES = f"""
    SELECT {_DIFFERENCE} FROM difference o JOIN difference d USING (statement_id, match_no)
    WHERE o.statement_id = $1 AND o.match_no = $2 AND o.position = $3 AND d.refund = o.refund
      AND ((o.books_total_fen IS NULL AND d.stated_total_fen IS NULL)
        OR (o.stated_total_fen IS NULL AND d.books_total_fen IS NULL))
      AND (coalesce(d.books_total_fen, d.stated_total_fen) = coalesce(o.books_total_fen, o.stated_total_fen)
        OR coalesce(d.books_fund_fen, d.stated_fund_fen) = coalesce(o.books_fund_fen, o.stated_fund_fen)
        OR right(d.facility_settlement_no, 6) = right(o.facility_settlement_no, 6))
    ORDER BY d.facility_settlement_no = o.facility_settlement_no DESC,
        coalesce(d.books_total_fen, d.stated_total_fen) = coalesce(o.books_total_fen, o.stated_total_fen) DESC,
        d.position
    LIMIT $4
"""
ITEMS_TIMEOUT_S = 300.0
"""A statement that is all wrong makes as many items as it has lines."""


@dataclass(frozen=True, slots=True)
class BillTrace:
    """How a bill came into the books."""

    traceparent: str | None
    booked_at: datetime


async def renew(
    tx: Connection, of: Statement, match_no: int, clock: tuple[date, int], due: DueDate, now: datetime
) -> bool:
    """Items as a match found their differences; whether any is open. `clock` is since when, for how many days."""
    await matching.avoid_loops(tx)
    await tx.execute(
        ITEMS_RENEW,
        of.statement_id,
        match_no,
        of.party,
        of.period,
        of.care_region,
        due.day,
        due.provisional,
        now,
        list(AGENCY_ACTS),
        list(DECIDING),
        of.home_region,
        *clock,
        timeout=ITEMS_TIMEOUT_S,
    )
    await matching.allow_loops(tx)
    await tx.execute(
        ITEMS_CLOSE,
        of.party,
        of.period,
        of.statement_id,
        match_no,
        now,
        Closing.AGREED,
        timeout=ITEMS_TIMEOUT_S,
    )
    scope = (of.party, of.period, of.statement_id)
    return await tx.fetchval(ITEMS_OPEN, *scope, timeout=ITEMS_TIMEOUT_S)  # type: ignore[no-any-return]


async def close_all(tx: Connection, of: Statement, closing: Closing, now: datetime) -> None:
    """Close every item a statement answers for: those of its month, day or chain."""
    scope = (of.party, of.period, of.statement_id)
    await tx.execute(ITEMS_CLOSE_ALL, *scope, now, closing, timeout=ITEMS_TIMEOUT_S)


async def item(tx: Connection, item_no: int, *, locked: bool = False) -> Item | None:
    """One item, locked against matches and other actions when it is to be acted upon."""
    row = await (tx.fetchrow(ITEM_LOCKED, item_no) if locked else tx.fetchrow(ITEM, item_no))
    return None if row is None else _item(row)


async def items(
    tx: Connection,
    facility_code: str | None,
    areas: Sequence[str],
    *,
    period: str | None,
    of_party: str | None,
    state: str | None,
    acting_party: str | None,
    difference_class: str | None,
    after: int,
    limit: int,
) -> list[Item]:
    """Items a caller may see, in the order in which they were found."""
    wanted = (period, of_party, state, acting_party, difference_class, after, limit)
    return [_item(row) for row in await tx.fetch(ITEMS, facility_code, list(areas), *wanted)]


def _item(row: Any) -> Item:
    closed_as = row["closed_as"]
    known = {"state": ItemState(row["state"]), "closed_as": None if closed_as is None else Closing(closed_as)}
    return Item(**{**row, **known})


async def add_action(
    tx: Connection, of: Item, kind: ActionKind, reason: str, party: str, subject: str, at: datetime, *, approval: bool
) -> None:
    """What somebody did about an item, on the figures as they were last found."""
    figures = (of.statement_id, of.match_no, of.position)
    await tx.execute(ACTION_INSERT, of.item_no, kind, reason, party, subject, at, *figures, approval)


async def set_acting(tx: Connection, item_no: int, party: str) -> None:
    """Who must act from now on."""
    await tx.execute(ITEM_ACTING, item_no, party)


async def approve_action(tx: Connection, action_no: int, subject: str, at: datetime) -> None:
    """Another person approves it."""
    await tx.execute(ACTION_APPROVE, action_no, subject, at)


async def actions(tx: Connection, item_no: int) -> list[Action]:
    """What was done about an item, the last one last."""
    return [Action(**{**row, "kind": ActionKind(row["kind"])}) for row in await tx.fetch(ACTIONS, item_no)]


async def evidence(tx: Connection, of: Item) -> Difference:
    """Both rows of an item as they were last found."""
    return rows_to(Difference, await tx.fetch(EVIDENCE, of.statement_id, of.match_no, of.position))[0]


async def candidates(tx: Connection, of: Item, limit: int) -> list[Difference]:
    """What on the other side could be meant: never merged by itself, a person must decide."""
    return rows_to(Difference, await tx.fetch(CANDIDATES, of.statement_id, of.match_no, of.position, limit))


async def bill_trace(tx: Connection, settlement_id: str, of: Item) -> BillTrace | None:
    """How a bill of the facility's, or of the chain, came into the books."""
    return row_to(BillTrace, await tx.fetchrow(TRACE, settlement_id, of.party, of.home_region))
