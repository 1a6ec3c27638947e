"""Work items: renewed by every match, acted upon, listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from services.settlement.rules.items import AGENCY_ACTS, DECIDING, Action, ActionKind, Alone, Closing, Item, ItemState
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
_SHOWN = (
    *_FIGURES,
    "facility_settlement_no",
    "refund",
    "settlement_id",
    "home_region",
    "stated_settlement_no",
    "stated_settlement_id",
    "other_period",
)


def _same(one: str, other: str, names: Sequence[str]) -> str:
    sides = (", ".join(f"{table}.{name}" for name in names) for table in (one, other))
    return "({}) IS NOT DISTINCT FROM ({})".format(*sides)


def _same_figures(one: str, other: str) -> str:
    return _same(one, other, _FIGURES)


# The last action on an item counts. It decides when it needs no approval or has it, and the figures are those it was
# taken on; a difference that is found for the first time has no item and no action yet. What is found as it was keeps
# its row, which names the match that found it so first: the next version of a statement that is all wrong leaves nearly
# all of its items, as many as it has lines, as they are.
ITEMS_RENEW = f"""
    WITH found AS MATERIALIZED (
        SELECT w.item_no, d.item_key, d.difference_class, d.position, d.books_total_fen IS NOT NULL AS booked,
            greatest(abs(coalesce(d.stated_total_fen, 0) - coalesce(d.books_total_fen, 0)),
                     abs(coalesce(d.stated_fund_fen, 0) - coalesce(d.books_fund_fen, 0)),
                     abs(coalesce(d.stated_account_fen, 0) - coalesce(d.books_account_fen, 0))) AS amount_fen,
            a.closed_as, CASE WHEN a.closed_as IS NULL THEN 'open' ELSE 'closed' END AS state,
            CASE WHEN d.difference_class = ANY($9::text[]) THEN $5 ELSE $3 END AS acting_party,
            coalesce(before.same AND w.closed_as IS NOT DISTINCT FROM a.closed_as
                AND (o.day, o.home_region) IS NOT DISTINCT FROM ($14::date, $11::text), false) AS unchanged
        FROM difference d
        LEFT JOIN work_item w ON w.party = $3 AND w.period = $4 AND w.item_key = d.item_key
        LEFT JOIN statement o ON o.statement_id = w.statement_id
        LEFT JOIN LATERAL (
            SELECT {_same("d", "e", _SHOWN)} AS same FROM difference e
            WHERE (e.statement_id, e.match_no, e.position) = (w.statement_id, w.match_no, w.position) LIMIT 1
        ) AS before ON true
        LEFT JOIN LATERAL (
            SELECT * FROM item_action a WHERE a.item_no = w.item_no ORDER BY a.action_no DESC LIMIT 1) AS last ON true
        LEFT JOIN LATERAL (
            SELECT 'decided' AS closed_as FROM difference e
            WHERE (e.statement_id, e.match_no, e.position) = (last.statement_id, last.match_no, last.position)
              AND last.kind = ANY($10::text[])
              AND (last.approved_at IS NOT NULL OR NOT last.approval_needed OR EXISTS (
                SELECT FROM bulk_action b WHERE b.bulk_no = last.bulk_no AND b.approved_at IS NOT NULL))
              AND {_same_figures("d", "e")} LIMIT 1) AS a ON true
        WHERE d.statement_id = $1 AND d.match_no = $2 AND d.difference_class <> 'within_tolerance'
    ), changed AS (
        UPDATE work_item w
        SET difference_class = f.difference_class, state = f.state, amount_fen = f.amount_fen, booked = f.booked,
            statement_id = $1, match_no = $2, position = f.position, closed_as = f.closed_as,
            closed_at = CASE WHEN f.state = 'closed' THEN coalesce(w.closed_at, $8) END,
            acting_party = CASE WHEN w.state = 'open' AND w.difference_class = f.difference_class
                                THEN w.acting_party ELSE f.acting_party END,
            due_on = CASE WHEN w.state = 'open' THEN w.due_on ELSE $6 END,
            provisional = CASE WHEN w.state = 'open' THEN w.provisional ELSE $7 END,
            since = CASE WHEN w.state = 'open' THEN w.since ELSE $12 END,
            working_days = CASE WHEN w.state = 'open' THEN w.working_days ELSE $13 END,
            reopened_count = w.reopened_count + (w.state = 'closed' AND f.state = 'open')::int
        FROM found f WHERE w.item_no = f.item_no AND NOT f.unchanged
    )
    INSERT INTO work_item (party, care_region, period, item_key, difference_class, state, acting_party,
        due_on, provisional, amount_fen, booked, statement_id, match_no, position, found_at, reopened_count,
        closed_at, closed_as, home_region, since, working_days)
    SELECT $3, $5, $4, item_key, difference_class, 'open', acting_party, $6, $7, amount_fen, booked, $1, $2, position,
        $8, 0, NULL, NULL, $11, $12, $13
    FROM found WHERE item_no IS NULL ORDER BY position
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
    WHERE {_ITEMS_OF} AND NOT EXISTS (
        SELECT FROM difference d
        WHERE d.statement_id = $3 AND d.match_no = $4 AND d.item_key = work_item.item_key
          AND d.difference_class <> 'within_tolerance')
"""
ITEMS_CLOSE_ALL = f"UPDATE work_item SET state = 'closed', closed_at = $4, closed_as = $5 WHERE {_ITEMS_OF}"
ITEMS_OPEN = f"SELECT EXISTS (SELECT FROM work_item WHERE {_ITEMS_OF})"
_ITEM = """
    item_no, party, care_region, period, difference_class, state, acting_party, due_on, provisional, amount_fen, booked,
    statement_id, match_no, position, found_at, reopened_count, closed_at, closed_as, home_region
"""
ITEM = f"SELECT {_ITEM} FROM work_item WHERE item_no = $1"
ITEM_LOCKED = f"{ITEM} FOR UPDATE"
_WANTED = """
    (party = $1 OR care_region = ANY($2::text[]) OR party = ANY($2::text[]))
    AND ($3::text IS NULL OR period = $3) AND ($4::text IS NULL OR party = $4) AND ($5::text IS NULL OR state = $5)
    AND ($6::text IS NULL OR acting_party = $6) AND ($7::text IS NULL OR difference_class = $7)
"""
ITEMS = f"SELECT {_ITEM} FROM work_item WHERE {_WANTED} AND item_no > $8 ORDER BY item_no LIMIT $9"
ITEM_TOTALS = f"""
    SELECT * FROM (
        SELECT party, care_region, home_region, period, difference_class, state, acting_party, count(*) AS item_count,
            sum(amount_fen)::bigint AS amount_fen,
            concat_ws(' ', party, period, difference_class, state, acting_party, care_region, home_region) AS ref
        FROM work_item WHERE {_WANTED}
        GROUP BY party, care_region, home_region, period, difference_class, state, acting_party) AS totals
    WHERE ref > $8 ORDER BY ref LIMIT $9
"""
ITEM_ACTING = "UPDATE work_item SET acting_party = $2 WHERE item_no = $1"
ACTION_INSERT = """
    INSERT INTO item_action (item_no, kind, reason, party, subject, at, statement_id, match_no, position,
        approval_needed, amount_fen, sum_fen)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
# Who decides waits for the others that decide about the same month, or as the same person, so that each sees the sums
# the others have made. First the month, then the person: nobody waits for who waits for it.
ALONE_LOCK = """
    SELECT pg_advisory_xact_lock(hashtextextended('settlement.alone ' || array_to_string($1::text[], ' '), 0))
"""
# The last action on an item counts, and not that on the item which is about to be decided anew.
ALONE = """
    WITH alone AS (
        SELECT a.item_no, a.action_no, a.amount_fen, true AS of_month
        FROM statement s JOIN item_action a USING (statement_id)
        WHERE s.party = $1 AND s.period = $2 AND (s.home_region, s.care_region) IS NOT DISTINCT FROM ($3, $4)
          AND NOT a.approval_needed AND a.kind IN ('drop', 'next_period')
        UNION ALL
        SELECT a.item_no, a.action_no, a.amount_fen, false
        FROM item_action a JOIN statement s USING (statement_id)
        WHERE a.party = $5 AND a.subject = $6 AND s.period = $2
          AND NOT a.approval_needed AND a.kind IN ('drop', 'next_period')
    )
    SELECT coalesce(sum(amount_fen) FILTER (WHERE of_month), 0)::bigint AS of_month,
        coalesce(sum(amount_fen) FILTER (WHERE NOT of_month), 0)::bigint AS of_person
    FROM alone a
    WHERE a.item_no IS DISTINCT FROM $7::bigint AND NOT EXISTS (
        SELECT FROM item_action n WHERE n.item_no = a.item_no AND n.action_no > a.action_no)
"""
ACTION_APPROVE = "UPDATE item_action SET approved_by = $2, approved_at = $3 WHERE action_no = $1"
ACTIONS = f"""
    SELECT a.action_no, a.kind, a.reason, a.party, a.subject, a.at, a.approval_needed,
        coalesce(a.approved_by, b.approved_by) AS approved_by, coalesce(a.approved_at, b.approved_at) AS approved_at,
        a.amount_fen, a.sum_fen, a.bulk_no, {_same_figures("d", "e")} AS stands
    FROM item_action a JOIN work_item w USING (item_no) LEFT JOIN bulk_action b USING (bulk_no)
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
# What stands alone on the other side and could be meant: with the same amounts, or a number that looks alike. It is
# looked for in the last match, which may have found the item just as one before it did.
CANDIDATES = f"""
    SELECT {_DIFFERENCE} FROM difference o JOIN statement f USING (statement_id)
    JOIN statement s ON s.party = f.party AND s.period = f.period AND s.state <> 'replaced'
        AND (s.care_region, s.home_region, s.day) IS NOT DISTINCT FROM (f.care_region, f.home_region, f.day)
    JOIN difference d ON d.statement_id = s.statement_id AND d.match_no = s.match_no AND d.refund = o.refund
    WHERE o.statement_id = $1 AND o.match_no = $2 AND o.position = $3
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
class ItemTotal:
    """How many items of one month are alike in class, state and who must act, and what is at stake in them, in fen."""

    party: str
    care_region: str
    home_region: str | None
    period: str
    difference_class: str
    state: str
    acting_party: str
    item_count: int
    amount_fen: int
    ref: str
    """Names it, in the order of the list."""


class Wanted(NamedTuple):
    """Which of the items a caller may see are wanted; None is no choice."""

    period: str | None = None
    of_party: str | None = None
    state: str | None = None
    acting_party: str | None = None
    difference_class: str | None = None


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
        of.day,
        timeout=ITEMS_TIMEOUT_S,
    )
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
    await matching.allow_loops(tx)
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
    tx: Connection, facility_code: str | None, areas: Sequence[str], wanted: Wanted, *, after: int, limit: int
) -> list[Item]:
    """Items a caller may see, in the order in which they were found."""
    return [_item(row) for row in await tx.fetch(ITEMS, facility_code, list(areas), *wanted, after, limit)]


async def item_totals(
    tx: Connection, facility_code: str | None, areas: Sequence[str], wanted: Wanted, *, after: str, limit: int
) -> list[ItemTotal]:
    """How many there are of them, and what is at stake."""
    return rows_to(ItemTotal, await tx.fetch(ITEM_TOTALS, facility_code, list(areas), *wanted, after, limit))


def _item(row: Any) -> Item:
    closed_as = row["closed_as"]
    known = {"state": ItemState(row["state"]), "closed_as": None if closed_as is None else Closing(closed_as)}
    return Item(**{**row, **known})


async def add_action(
    tx: Connection,
    of: Item,
    kind: ActionKind,
    reason: str,
    party: str,
    subject: str,
    at: datetime,
    *,
    sum_fen: int,
    approval: bool,
) -> None:
    """What somebody did about an item, on the figures as they were last found."""
    figures = (of.statement_id, of.match_no, of.position, approval, of.amount_fen, sum_fen)
    await tx.execute(ACTION_INSERT, of.item_no, kind, reason, party, subject, at, *figures)


async def decided_alone(
    tx: Connection, of: Item | Statement, party: str, subject: str, item_no: int | None = None
) -> Alone:
    """What was decided without a second person about the items of a month, and by a person; of anything but one item.

    Nobody else decides about that month, or as that person, until the transaction ends.
    """
    await tx.execute(ALONE_LOCK, ["month", of.party, of.period, of.care_region, of.home_region or ""])
    await tx.execute(ALONE_LOCK, ["person", party, subject, of.period])
    month = (of.party, of.period, of.home_region, of.care_region)
    return rows_to(Alone, await tx.fetch(ALONE, *month, party, subject, item_no))[0]


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
