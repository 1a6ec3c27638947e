"""What a party and its people must do, in one list by the day it is due: confirmations, payments, work items,
objections, and the parties below it that are late."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from services.settlement.store.bills import columns
from shared.database import Connection, rows_to

_EVERYTHING = """
    SELECT 'case ' || d.case_id || ' ' || d.kind AS ref, d.kind, d.due_on, d.provisional, d.suspended_on, d.case_id,
        NULL::bigint AS number, c.facility_code AS stated_by, c.period, c.payable_fen AS amount_fen,
        d.party AS concerns
    FROM due d JOIN settlement_case c USING (case_id) WHERE d.party = $1 AND d.done_at IS NULL
    UNION ALL
    SELECT 'item ' || item_no, 'item', due_on, provisional, NULL, NULL, item_no, party, period, amount_fen, party
    FROM work_item WHERE acting_party = $1 AND state = 'open'
    UNION ALL
    SELECT 'objection ' || o.objection_no, 'objection', o.due_on, o.provisional, NULL, o.case_id, o.objection_no,
        c.facility_code, c.period, c.payable_fen, o.party
    FROM objection o JOIN settlement_case c USING (case_id) WHERE o.deciding_party = $1 AND o.state = 'open'
    UNION ALL
    SELECT concat_ws(' ', 'late', e.case_id, e.kind, e.party, e.level_no), 'escalation', e.due_on, false,
        d.suspended_on, e.case_id, e.level_no, c.facility_code, c.period, c.payable_fen, e.party
    FROM escalation e JOIN due d USING (case_id, kind, party) JOIN settlement_case c USING (case_id)
    WHERE e.region = $1 AND d.done_at IS NULL
"""
# A person's are those assigned to it, and those of its role that nobody has.
AGENDA = f"""
    SELECT a.ref, a.kind, a.due_on, a.provisional, a.suspended_on, a.case_id, a.number, a.stated_by, a.period,
        a.amount_fen, a.concerns, m.subject AS assigned_to
    FROM ({_EVERYTHING}) AS a LEFT JOIN assignment m ON m.party = $1 AND m.ref = a.ref
    WHERE (a.due_on, a.ref) > ($2::date, $3::text)
      AND ($4::text IS NULL OR m.subject = $4 OR (m.subject IS NULL AND a.kind = ANY($5::text[])))
    ORDER BY a.due_on, a.ref LIMIT $6
"""
AGENDA_HOLDS = f"SELECT EXISTS (SELECT FROM ({_EVERYTHING}) AS a WHERE a.ref = $2)"
ASSIGN = """
    INSERT INTO assignment (party, ref, subject, assigned_by, assigned_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (party, ref) DO UPDATE
    SET subject = EXCLUDED.subject, assigned_by = EXCLUDED.assigned_by, assigned_at = EXCLUDED.assigned_at
"""
UNASSIGN = "DELETE FROM assignment WHERE party = $1 AND ref = $2"
# Items of one month, party and day are reminded of together: a statement that is all wrong makes very many.
ITEMS_WAITING = """
    SELECT party, period, acting_party, care_region, due_on, count(*) AS item_count,
        sum(amount_fen)::bigint AS amount_fen
    FROM work_item WHERE state = 'open' GROUP BY party, period, acting_party, care_region, due_on
    ORDER BY due_on, party, period, acting_party
"""
ITEM_REMINDERS_INSERT = """
    INSERT INTO item_reminder (facility_code, period, party, due_on, distance, announced, recorded_at)
    SELECT *, $7 FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::int[], $6::bool[])
    ON CONFLICT DO NOTHING RETURNING facility_code, period, party, due_on, distance
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that is due for a party."""

    ref: str
    """Names it, within the party's list."""
    kind: str
    """reconciliation, remittance, disbursement, item, objection, escalation."""
    due_on: date
    provisional: bool
    suspended_on: date | None
    case_id: str | None
    number: int | None
    """Of the item or objection; of an escalation its level."""
    stated_by: str
    """Whose month it is about."""
    period: str
    amount_fen: int | None
    """What is at stake; absent while the numbers of the case do not stand."""
    concerns: str
    """Who objects, is late or stated; the party itself in its own dues."""
    assigned_to: str | None


class ItemsWaiting(NamedTuple):
    """The open items of one month that one party must deal with by one day."""

    party: str
    period: str
    acting_party: str
    care_region: str
    due_on: date
    item_count: int
    amount_fen: int


async def agenda(
    tx: Connection,
    party: str,
    after: tuple[date, str],
    limit: int,
    *,
    subject: str | None,
    kinds: Collection[str],
) -> list[Task]:
    """What is due for a party, or for one person of it whose role does some kinds, the nearest day first."""
    return rows_to(Task, await tx.fetch(AGENDA, party, *after, subject, list(kinds), limit))


async def agenda_holds(tx: Connection, party: str, ref: str) -> bool:
    """Whether something is due for a party."""
    return await tx.fetchval(AGENDA_HOLDS, party, ref)  # type: ignore[no-any-return]


async def assign(tx: Connection, party: str, ref: str, subject: str | None, by: str, at: datetime) -> None:
    """Give a task to a person of the party, or to nobody."""
    if subject is None:
        await tx.execute(UNASSIGN, party, ref)
    else:
        await tx.execute(ASSIGN, party, ref, subject, by, at)


async def items_waiting(tx: Connection) -> list[ItemsWaiting]:
    """All open work items, counted by month, party and day."""
    return [ItemsWaiting(*row) for row in await tx.fetch(ITEMS_WAITING)]


async def add_item_reminders(
    tx: Connection, rows: Sequence[tuple[str, str, str, date, int, bool]], at: datetime
) -> set[tuple[str, str, str, date, int]]:
    """Record reminders (who stated, month, party, day, distance, announced); those that were not recorded before."""
    return {tuple(row) for row in await tx.fetch(ITEM_REMINDERS_INSERT, *columns(rows, 6), at)}
