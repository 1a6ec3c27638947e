"""Actions for a whole class of a statement's items: what is open, what was done about all of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.settlement.rules.items import ActionKind, BulkAction, OpenClass
from services.settlement.rules.statements import DifferenceClass, Statement
from services.settlement.store import matching
from services.settlement.store.items import ITEMS_TIMEOUT_S
from shared.database import Connection

# By the key, because an item names the match that first found it as it stands, which need not be the last one.
_OPEN = """
    FROM difference d JOIN work_item w ON w.party = $3 AND w.period = $4 AND w.item_key = d.item_key
    WHERE d.statement_id = $1 AND d.match_no = $2 AND d.difference_class <> 'within_tolerance' AND w.state = 'open'
"""
OPEN_CLASSES = f"""
    SELECT d.difference_class, array_agg(DISTINCT w.acting_party ORDER BY w.acting_party) AS acting_parties,
        count(*) AS item_count, count(*) FILTER (WHERE w.booked) AS booked_count,
        sum(w.amount_fen)::bigint AS amount_fen,
        coalesce(max((SELECT max(a.action_no) FROM item_action a WHERE a.item_no = w.item_no)), 0) AS last_action_no
    {_OPEN} AND ($5::text IS NULL OR d.difference_class = $5)
    GROUP BY d.difference_class ORDER BY d.difference_class
"""
_BULK = """
    bulk_no, statement_id, match_no, difference_class, kind, reason, party, subject, at, item_count, amount_fen,
    sum_fen, approval_needed, approved_by, approved_at
"""
BULK_INSERT = f"""
    INSERT INTO bulk_action (statement_id, match_no, difference_class, kind, reason, party, subject, at, item_count,
        amount_fen, sum_fen, approval_needed)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING {_BULK}
"""
BULK_ACTIONS_INSERT = f"""
    INSERT INTO item_action (item_no, kind, reason, party, subject, at, statement_id, match_no, position,
        approval_needed, amount_fen, sum_fen, bulk_no)
    SELECT w.item_no, b.kind, b.reason, b.party, b.subject, b.at, w.statement_id, w.match_no, w.position,
        b.approval_needed, w.amount_fen, b.sum_fen, b.bulk_no
    FROM (SELECT * FROM bulk_action WHERE bulk_no = $5) AS b CROSS JOIN LATERAL (
        SELECT w.* {_OPEN} AND d.difference_class = b.difference_class) AS w
"""
BULK_ACTING = """
    UPDATE work_item w SET acting_party = $2 FROM item_action a
    WHERE a.bulk_no = $1 AND a.item_no = w.item_no AND w.acting_party <> $2
"""
BULK_APPROVE = f"UPDATE bulk_action SET approved_by = $2, approved_at = $3 WHERE bulk_no = $1 RETURNING {_BULK}"
BULK = f"SELECT {_BULK} FROM bulk_action WHERE bulk_no = $1"
BULK_LOCKED = f"{BULK} FOR UPDATE"
BULKS = f"SELECT {_BULK} FROM bulk_action WHERE statement_id = $1 AND bulk_no > $2 ORDER BY bulk_no LIMIT $3"


def _scope(of: Statement) -> tuple[str, int, str, str]:
    return of.statement_id, of.match_no, of.party, of.period


async def open_classes(tx: Connection, of: Statement, difference_class: str | None = None) -> list[OpenClass]:
    """The open items of a statement's last match by class, of all or of one."""
    await matching.avoid_loops(tx)
    rows = await tx.fetch(OPEN_CLASSES, *_scope(of), difference_class, timeout=ITEMS_TIMEOUT_S)
    await matching.allow_loops(tx)
    return [_open_class(row) for row in rows]


def _open_class(row: Any) -> OpenClass:
    known = {"difference_class": DifferenceClass(row["difference_class"])}
    return OpenClass(**{**row, **known, "acting_parties": tuple(row["acting_parties"])})


async def add_bulk(
    tx: Connection,
    of: Statement,
    found: OpenClass,
    kind: ActionKind,
    reason: str,
    party: str,
    subject: str,
    at: datetime,
    *,
    sum_fen: int,
    approval: bool,
    hand_to: str | None,
) -> BulkAction:
    """Do the same about every open item of a class; `hand_to` is who must act on them from now on."""
    what = (of.statement_id, of.match_no, found.difference_class, kind, reason, party, subject, at)
    sums = (found.item_count, found.amount_fen, sum_fen, approval)
    bulk = _bulk(await tx.fetchrow(BULK_INSERT, *what, *sums))
    await matching.avoid_loops(tx)
    done = await tx.execute(BULK_ACTIONS_INSERT, *_scope(of), bulk.bulk_no, timeout=ITEMS_TIMEOUT_S)
    if done != f"INSERT 0 {found.item_count}":
        raise RuntimeError(f"{done} for an action on {found.item_count} items")
    if hand_to is not None:
        await tx.execute(BULK_ACTING, bulk.bulk_no, hand_to, timeout=ITEMS_TIMEOUT_S)
    await matching.allow_loops(tx)
    return bulk


async def bulk_action(tx: Connection, bulk_no: int, *, locked: bool = False) -> BulkAction | None:
    """One action for a class, locked when it is to be approved."""
    row = await (tx.fetchrow(BULK_LOCKED, bulk_no) if locked else tx.fetchrow(BULK, bulk_no))
    return None if row is None else _bulk(row)


async def bulk_actions(tx: Connection, statement_id: str, after: int, limit: int) -> Sequence[BulkAction]:
    """What was done about classes of a statement, in its order."""
    return [_bulk(row) for row in await tx.fetch(BULKS, statement_id, after, limit)]


async def approve(tx: Connection, bulk_no: int, subject: str, at: datetime) -> BulkAction:
    """Another person approves it, for all its items."""
    return _bulk(await tx.fetchrow(BULK_APPROVE, bulk_no, subject, at))


def _bulk(row: Any) -> BulkAction:
    return BulkAction(**{**row, "kind": ActionKind(row["kind"])})
