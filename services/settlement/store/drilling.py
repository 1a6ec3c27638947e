"""Down from a balance and up from a bill: what paid a hop, which bills went to another month, what a bank told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from shared.database import Connection, row_to, rows_to

# A hop is paid by a document of its own or in a position; a position that was carried, by the one that took it up. Of
# the orders of a debt, made one after the other, the newest.
HOPS = """
    WITH RECURSIVE up AS (
        SELECT n.hop_no, n.position_id AS own_id, q.position_id, q.settled_by, q.settled_at, 0 AS step
        FROM position_hop n JOIN clearing_position q USING (position_id) WHERE n.case_id = $1 AND n.live
        UNION ALL
        SELECT u.hop_no, u.own_id, q.position_id, q.settled_by, q.settled_at, u.step + 1
        FROM up u JOIN clearing_position q ON q.brought_position_id = u.position_id AND q.state <> 'replaced'
    ), last AS (
        SELECT DISTINCT ON (hop_no) hop_no, own_id, position_id, settled_by, settled_at FROM up
        ORDER BY hop_no, step DESC
    )
    SELECT h.hop_no, l.own_id AS position_id, l.position_id AS paid_by_position_id, l.settled_by,
        coalesce(p.paid_at, l.settled_at) AS paid_at,
        (SELECT o.order_id FROM payment_order f JOIN payment_order o ON o.root_order_id = f.order_id
         WHERE f.repeats_order_id IS NULL AND (f.purpose, f.reference) = (
            CASE WHEN l.position_id IS NULL THEN 'hop' ELSE 'position' END, coalesce(l.position_id, p.payment_id))
         ORDER BY o.order_id DESC LIMIT 1) AS order_id
    FROM hop h LEFT JOIN payment p USING (case_id, hop_no) LEFT JOIN last l USING (hop_no)
    WHERE h.case_id = $1 ORDER BY h.hop_no
"""
# The case a bill is cleared with: the last one it was carried to, or that of its booking.
CLEARED_IN = """
    SELECT coalesce(
        (SELECT k.to_case_id FROM carried_bill k WHERE k.settlement_id = b.settlement_id AND NOT EXISTS (
            SELECT FROM carried_bill l WHERE l.settlement_id = k.settlement_id AND l.from_case_id = k.to_case_id)),
        b.case_id)
    FROM bill b WHERE b.settlement_id = $1
"""
CARRIED = """
    SELECT k.settlement_id, k.from_case_id, f.period AS from_period, k.to_case_id, t.period AS to_period,
        k.objection_no, k.carried_at
    FROM carried_bill k JOIN settlement_case f ON f.case_id = k.from_case_id
    JOIN settlement_case t ON t.case_id = k.to_case_id
    WHERE (k.from_case_id = $1 OR k.to_case_id = $1) AND (k.settlement_id, k.objection_no) > ($2, $3)
    ORDER BY k.settlement_id, k.objection_no LIMIT $4
"""
CARRIED_COUNTS = """
    SELECT count(*) FILTER (WHERE to_case_id = $1) AS carried_in,
        count(*) FILTER (WHERE from_case_id = $1) AS carried_out
    FROM carried_bill WHERE from_case_id = $1 OR to_case_id = $1
"""
BANK_ENTRY = """
    SELECT e.entry_id, e.party, e.entry_ref, e.end_to_end_id, e.debit, e.amount_fen, e.booked_on, e.reason, e.outcome,
        coalesce(e.order_id, n.order_id) AS order_id, e.received_at, i.item_no,
        n.identification_id, n.state AS identification_state, n.outcome AS identified_as,
        coalesce((SELECT a.region FROM bank_account a WHERE a.party = e.party AND a.current), e.party) AS keeper,
        ARRAY(SELECT DISTINCT s.told_by FROM bank_sighting s WHERE s.entry_id = e.entry_id ORDER BY s.told_by)
            AS told_by
    FROM bank_entry e LEFT JOIN bank_item i ON i.item_key = 'entry:' || e.entry_id
    LEFT JOIN bank_identification n ON n.entry_id = e.entry_id AND n.state <> 'declined'
    WHERE e.entry_id = $1
"""


@dataclass(frozen=True, slots=True)
class HopPaid:
    """By what a hop is, or is to be, paid."""

    hop_no: int
    position_id: str | None
    """The position it is in."""
    paid_by_position_id: str | None
    """The position that is paid for it: the same, or the later one that took it up."""
    settled_by: str | None
    paid_at: datetime | None
    order_id: str | None


@dataclass(frozen=True, slots=True)
class CarriedBill:
    """A bill that is cleared with another case than it was booked in."""

    settlement_id: str
    from_case_id: str
    from_period: str
    to_case_id: str
    to_period: str
    objection_no: int
    carried_at: datetime


@dataclass(frozen=True, slots=True)
class BankEntryRow:
    """A movement of a bank account with everything it led to. Amount in fen."""

    entry_id: str
    party: str
    entry_ref: str
    end_to_end_id: str
    debit: bool
    amount_fen: int
    booked_on: date
    reason: str | None
    outcome: str
    order_id: str | None
    received_at: datetime
    item_no: int | None
    identification_id: str | None
    identification_state: str | None
    identified_as: str | None
    keeper: str
    told_by: Sequence[str]


async def hops_paid(tx: Connection, case_id: str) -> dict[int, HopPaid]:
    """By what each hop of a case is paid."""
    return {hop.hop_no: hop for hop in rows_to(HopPaid, await tx.fetch(HOPS, case_id))}


async def cleared_in(tx: Connection, settlement_id: str) -> str:
    """The case a bill, which is there, is cleared with."""
    return await tx.fetchval(CLEARED_IN, settlement_id)  # type: ignore[no-any-return]


async def carried_bills(tx: Connection, case_id: str, after: tuple[str, int], limit: int) -> list[CarriedBill]:
    """Bills that were carried into a case, or out of it, by id; one that was carried on is there twice."""
    return rows_to(CarriedBill, await tx.fetch(CARRIED, case_id, *after, limit))


async def carried_counts(tx: Connection, case_id: str) -> tuple[int, int]:
    """How many bills were carried into a case, and out of it."""
    row = await tx.fetchrow(CARRIED_COUNTS, case_id)
    return (row["carried_in"], row["carried_out"]) if row else (0, 0)


async def bank_entry(tx: Connection, entry_id: str) -> BankEntryRow | None:
    """One movement of a bank account."""
    return row_to(BankEntryRow, await tx.fetchrow(BANK_ENTRY, entry_id))
