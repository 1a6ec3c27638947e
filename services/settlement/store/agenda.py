"""What a party and its people must do, in one list by the day it is due: confirmations, payments with their orders,
work items, objections, items of the bank, payouts, prepayments, and the parties below it that are late."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from services.settlement.store.bills import columns
from services.settlement.store.dues import DUE_COUNTS
from shared.database import Connection, rows_to

# Of every task: what it is, by when, what it is about, and in `barred` who of the party may not do it (four eyes).
_DUE_OF_CASES = f"""
    SELECT 'case ' || d.case_id || ' ' || d.kind AS ref, d.kind, d.due_on, d.provisional, d.suspended_on, d.case_id,
        NULL::bigint AS number, NULL AS reference, c.facility_code AS stated_by, c.period,
        c.payable_fen AS amount_fen, d.party AS concerns, ARRAY[]::text[] AS barred
    FROM due d JOIN settlement_case c USING (case_id) WHERE d.party = $1 AND d.done_at IS NULL AND {DUE_COUNTS}
    UNION ALL
    SELECT 'position ' || p.position_id, p.due_kind, p.due_on, p.provisional, p.suspended_on, NULL, NULL, p.position_id,
        p.facility_code, y.month, p.amount_fen, p.payee, '{{}}'
    FROM clearing_position p JOIN clearing_cycle y USING (cycle_id)
    WHERE p.payer = $1 AND p.state IN ('open', 'ordered') AND p.due_on IS NOT NULL
"""
_ITEM_REF = "'item ' || item_no::text"
_ITEMS = f"""
    SELECT {_ITEM_REF}, 'item', due_on, provisional, NULL, NULL, item_no, NULL, party, period, amount_fen, party, '{{}}'
    FROM work_item WHERE acting_party = $1 AND state = 'open'
"""
# A statement that is all wrong makes half a million items. A page needs no more of them than fit on it, in the order of
# their index.
_ITEMS_OF_PAGE = f"""
    SELECT {_ITEM_REF}, 'item', due_on, provisional, NULL, NULL, item_no, NULL, w.party, period, amount_fen, w.party,
        '{{}}'
    FROM (SELECT * FROM work_item WHERE acting_party = $1 AND state = 'open'
            AND (due_on, {_ITEM_REF}) > ($3::date, $4::text)
            AND ($5::text IS NULL OR EXISTS (
                SELECT FROM assignment m WHERE m.party = $1 AND m.ref = {_ITEM_REF} AND m.subject = $5)
              OR ('item' = ANY($6::text[]) AND NOT EXISTS (
                SELECT FROM assignment m WHERE m.party = $1 AND m.ref = {_ITEM_REF})))
          ORDER BY due_on, {_ITEM_REF} LIMIT $7) AS w
"""
_OBJECTIONS = """
    SELECT 'objection ' || o.objection_no, 'objection', o.due_on, o.provisional, NULL, o.case_id, o.objection_no, NULL,
        c.facility_code, c.period, c.payable_fen, o.party, ARRAY[o.raised_by]
    FROM objection o JOIN settlement_case c USING (case_id) WHERE o.deciding_party = $1 AND o.state = 'open'
"""
_LATE = f"""
    SELECT concat_ws(' ', 'late', e.case_id, e.kind, e.party, e.level_no), 'escalation', e.due_on, false,
        d.suspended_on, e.case_id, e.level_no, NULL, c.facility_code, c.period, c.payable_fen, e.party, '{{}}'
    FROM escalation e JOIN due d USING (case_id, kind, party) JOIN settlement_case c USING (case_id)
    WHERE e.region = $1 AND d.done_at IS NULL AND {DUE_COUNTS}
    UNION ALL
    SELECT concat_ws(' ', 'late position', e.position_id, e.level_no), 'escalation', e.due_on, false, p.suspended_on,
        NULL, e.level_no, p.position_id, p.facility_code, y.month, p.amount_fen, p.payer, '{{}}'
    FROM position_escalation e JOIN clearing_position p USING (position_id) JOIN clearing_cycle y USING (cycle_id)
    WHERE e.region = $1 AND p.state IN ('open', 'ordered')
    UNION ALL
    SELECT concat_ws(' ', 'late items', e.stated_by, e.period, e.party, e.due_on, e.level_no), 'escalation', e.due_on,
        false, NULL, NULL, e.level_no, NULL, e.stated_by, e.period, sum(w.amount_fen)::bigint, e.party, '{{}}'
    FROM item_escalation e
    JOIN work_item w ON (w.party, w.period, w.acting_party, w.due_on) = (e.stated_by, e.period, e.party, e.due_on)
    WHERE e.region = $1 AND w.state = 'open' GROUP BY e.stated_by, e.period, e.party, e.due_on, e.level_no
    UNION ALL
    SELECT concat_ws(' ', 'late objection', e.objection_no, e.level_no), 'escalation', e.due_on, false, NULL, o.case_id,
        e.level_no, NULL, c.facility_code, c.period, c.payable_fen, o.deciding_party, '{{}}'
    FROM objection_escalation e JOIN objection o USING (objection_no) JOIN settlement_case c USING (case_id)
    WHERE e.region = $1 AND o.state = 'open'
"""
# What the bank did not pay is one task, that of repeating the order, and not also the item that tells of it.
_TO_REPEAT = """
    o.state IN ('rejected', 'returned', 'partly_paid')
    AND NOT EXISTS (SELECT FROM payment_order s WHERE s.repeats_order_id = o.order_id)
    AND o.debt_fen > (SELECT sum(q.paid_fen) FROM payment_order q WHERE q.root_order_id = o.root_order_id)
"""
# The day of an order is that of what it pays, and, where that has none, the day it was proposed.
_PAYMENTS = f"""
    SELECT 'order ' || o.order_id,
        CASE WHEN o.state NOT IN ('proposed', 'reviewed') THEN 'order_repeat'
             WHEN o.state = 'proposed' AND o.review_needed THEN 'order_review' ELSE 'order_approval' END,
        coalesce(p.due_on, m.due_on, w.release_on, d.due_on, (o.proposed_at AT TIME ZONE 'Asia/Shanghai')::date),
        coalesce(p.provisional, d.provisional, false), NULL, h.case_id, NULL, o.order_id, NULL, NULL,
        CASE WHEN o.state IN ('proposed', 'reviewed') THEN o.amount_fen ELSE o.amount_fen - o.paid_fen END,
        coalesce(o.payee, o.payer),
        CASE WHEN o.state IN ('proposed', 'reviewed') THEN ARRAY[o.proposed_by, o.reviewed_by, r.proposed_by]
             ELSE '{{}}' END
    FROM payment_order o JOIN payment_order r ON r.order_id = o.root_order_id
    LEFT JOIN clearing_position p ON o.purpose = 'position' AND p.position_id = o.reference
    LEFT JOIN prepayment_movement m ON o.purpose = 'prepayment' AND m.movement_id = o.reference
    LEFT JOIN payout w ON o.purpose = 'payout' AND w.payout_id = o.reference
    LEFT JOIN payment h ON o.purpose = 'hop' AND h.payment_id = o.reference
    LEFT JOIN hop t USING (case_id, hop_no)
    LEFT JOIN due d ON d.case_id = t.case_id AND d.party = t.payer AND d.kind = t.kind
    WHERE o.payer = $1 AND (o.state IN ('proposed', 'reviewed') OR ({_TO_REPEAT}))
    UNION ALL
    SELECT 'payment ' || h.payment_id, 'payment_approval',
        coalesce(d.due_on, (h.proposed_at AT TIME ZONE 'Asia/Shanghai')::date), coalesce(d.provisional, false), NULL,
        h.case_id, NULL, h.payment_id, c.facility_code, c.period, h.amount_fen, h.payee, ARRAY[h.proposed_by]
    FROM payment h JOIN hop t USING (case_id, hop_no) JOIN settlement_case c ON c.case_id = t.case_id
    LEFT JOIN due d ON d.case_id = t.case_id AND d.party = t.payer AND d.kind = t.kind
    WHERE h.payer = $1 AND h.approved_by IS NULL
      AND NOT EXISTS (SELECT FROM payment_order o WHERE o.purpose = 'hop' AND o.reference = h.payment_id)
    UNION ALL
    SELECT 'bank item ' || i.item_no, 'bank_item', i.due_on, false, NULL, NULL, i.item_no, i.order_id, NULL, NULL,
        i.amount_fen, i.party, '{{}}'
    FROM bank_item i WHERE i.party = $1 AND i.closed_at IS NULL AND NOT (
        i.kind IN ('rejected', 'returned', 'partial') AND EXISTS (
            SELECT FROM payment_order o WHERE o.order_id = i.order_id AND {_TO_REPEAT}))
"""
_PAYOUTS = """
    SELECT 'payout ' || w.payout_id, CASE w.state WHEN 'proposed' THEN 'payout_approval' ELSE 'payout_order' END,
        w.release_on, false, NULL, NULL, NULL, w.payout_id, NULL, NULL, w.amount_fen, w.region,
        CASE w.state WHEN 'proposed' THEN ARRAY[w.proposed_by] ELSE '{}' END
    FROM payout w
    WHERE w.region = $1 AND (w.state = 'proposed' OR (w.state = 'approved' AND NOT EXISTS (
        SELECT FROM payment_order o
        WHERE o.purpose = 'payout' AND o.reference = w.payout_id AND o.state <> 'declined')))
    UNION ALL
    SELECT 'card ' || w.payout_id || ' ' || k.card_no, 'card_approval',
        (k.proposed_at AT TIME ZONE 'Asia/Shanghai')::date, false, NULL, NULL, k.card_no, w.payout_id, NULL, NULL,
        w.amount_fen, w.region, ARRAY[k.proposed_by]
    FROM payout w JOIN payout_card k USING (payout_id)
    WHERE w.region = $1 AND w.state IN ('approved', 'refused') AND k.approved_by IS NULL AND k.card_no > w.card_no
      AND k.card_no = (SELECT max(n.card_no) FROM payout_card n WHERE n.payout_id = w.payout_id)
    UNION ALL
    SELECT 'cancellation ' || n.cancellation_id, 'cancellation_approval',
        (n.proposed_at AT TIME ZONE 'Asia/Shanghai')::date, false, NULL, NULL, NULL, w.payout_id, NULL, NULL,
        w.amount_fen, w.region, ARRAY[n.proposed_by]
    FROM payout w JOIN payout_cancellation n USING (payout_id) WHERE w.region = $1 AND n.state = 'proposed'
"""
_PREPAYMENTS = """
    SELECT 'prepayment ' || m.movement_id, 'prepayment_order', m.due_on, false, NULL, NULL, NULL, m.movement_id, NULL,
        NULL, m.amount_fen, CASE m.kind WHEN 'give_back' THEN m.lender ELSE m.holder END, '{}'
    FROM prepayment_movement m
    WHERE m.state = 'open' AND (m.kind = 'give_back' AND m.holder = $1 OR m.kind = 'top_up' AND m.lender = $1)
    UNION ALL
    SELECT 'prepayment of ' || q.holder, 'prepayment_' || q.use, q.warned_on, false, NULL, NULL, NULL, NULL, NULL,
        q.use_month, NULL, q.holder, '{}'
    FROM prepayment q WHERE q.lender = $1 AND q.use IN ('yellow', 'red') AND q.use_month = $2
      AND NOT EXISTS (SELECT FROM prepayment_movement m
                      WHERE (m.lender, m.holder) = (q.lender, q.holder) AND m.state IN ('open', 'ordered'))
"""
_WITHHOLDINGS = """
    SELECT 'withholding ' || w.withholding_id, 'withholding_approval',
        (w.proposed_at AT TIME ZONE 'Asia/Shanghai')::date, false, NULL, NULL, NULL, w.withholding_id, NULL, NULL,
        w.amount_fen, w.facility_code, ARRAY[w.proposed_by]
    FROM withholding w WHERE w.agency = $1 AND w.state = 'proposed'
"""
_BUT_ITEMS = (_DUE_OF_CASES, _OBJECTIONS, _LATE, _PAYMENTS, _PAYOUTS, _PREPAYMENTS, _WITHHOLDINGS)
_PAGE = " UNION ALL ".join((*_BUT_ITEMS, _ITEMS_OF_PAGE))
_EVERYTHING = " UNION ALL ".join((*_BUT_ITEMS, _ITEMS))
# A person's are those assigned to it, and those of its role that nobody has, less what four eyes keep from it.
AGENDA = f"""
    SELECT a.ref, a.kind, a.due_on, a.provisional, a.suspended_on, a.case_id, a.number, a.reference, a.stated_by,
        a.period, a.amount_fen, a.concerns, m.subject AS assigned_to
    FROM ({_PAGE}) AS a LEFT JOIN assignment m ON m.party = $1 AND m.ref = a.ref
    WHERE (a.due_on, a.ref) > ($3::date, $4::text)
      AND ($5::text IS NULL OR m.subject = $5
           OR (m.subject IS NULL AND a.kind = ANY($6::text[]) AND array_position(a.barred, $5) IS NULL))
    ORDER BY a.due_on, a.ref LIMIT $7
"""
AGENDA_HOLDS = f"SELECT EXISTS (SELECT FROM ({_EVERYTHING}) AS a WHERE a.ref = $3)"
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

ITEM_ESCALATIONS_INSERT = """
    INSERT INTO item_escalation (stated_by, period, party, due_on, level_no, region, escalated_at)
    SELECT *, $7 FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::int[], $6::text[])
    ON CONFLICT DO NOTHING RETURNING stated_by, period, party, due_on, level_no
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that is due for a party."""

    ref: str
    """Names it, within the party's list."""
    kind: str
    """What is to be done: see `TaskView`."""
    due_on: date
    provisional: bool
    suspended_on: date | None
    case_id: str | None
    number: int | None
    """Of the item, objection or card; of an escalation its level."""
    reference: str | None
    """The position, order, payment, payout, movement or withholding it is about."""
    stated_by: str | None
    """Whose month it is about; absent where it is about none."""
    period: str | None
    amount_fen: int | None
    """What is at stake; absent while the numbers of the case do not stand."""
    concerns: str
    """Who objects, is late, stated, or is to be paid; the party itself in its own dues."""
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
    month: str,
    after: tuple[date, str],
    limit: int,
    *,
    subject: str | None,
    kinds: Collection[str],
) -> list[Task]:
    """What is due for a party in a month, or for one person of it whose role does some kinds, the nearest day first."""
    return rows_to(Task, await tx.fetch(AGENDA, party, month, *after, subject, list(kinds), limit))


async def agenda_holds(tx: Connection, party: str, month: str, ref: str) -> bool:
    """Whether something is due for a party in a month."""
    return await tx.fetchval(AGENDA_HOLDS, party, month, ref)  # type: ignore[no-any-return]


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


async def add_item_escalations(
    tx: Connection, rows: Sequence[tuple[str, str, str, date, int, str | None]], at: datetime
) -> set[tuple[str, str, str, date, int]]:
    """Record escalations (who stated, month, party, day, level, region); those that were not recorded before."""
    return {tuple(row) for row in await tx.fetch(ITEM_ESCALATIONS_INSERT, *columns(rows, 6), at)}
