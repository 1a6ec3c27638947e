"""Payment orders: proposed, reviewed, approved, paid, repeated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from services.settlement.rules.orders import Debt, Order, OrderDraft, OrderState, Purpose
from services.settlement.store import clearing as clearing_store
from services.settlement.store.bills import columns
from shared.database import Connection, rows_to

_ORDER = """
    o.order_id, o.purpose, o.reference, o.payer, o.payee, o.amount_fen, o.state, o.review_needed, o.proposed_by,
    o.root_order_id, o.reviewed_by, o.approved_by, o.paid_fen, o.by_bank,
    CASE o.purpose WHEN 'payout' THEN o.payee_version_no END AS card_no,
    (SELECT w.card_no FROM payout w WHERE o.purpose = 'payout' AND w.payout_id = o.reference) AS card_in_force,
    (SELECT r.proposed_by FROM payment_order r WHERE r.order_id = o.root_order_id) AS debt_proposed_by
"""
# Which card a payout goes to is fixed here: who approves the order approves that one.
ORDERS_INSERT = """
    INSERT INTO payment_order (order_id, purpose, reference, payer, payee, amount_fen, debt_fen, by_bank,
        review_needed, state, root_order_id, repeats_order_id, proposed_by, proposed_at, paid_fen, payee_version_no)
    SELECT o, p, r, payer, nullif(payee, ''), a, m, b, n, 'proposed', root, nullif(repeats, ''), $12, $13, 0,
        (SELECT card_no FROM payout w WHERE p = 'payout' AND w.payout_id = r)
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bool[],
        $9::bool[], $10::text[], $11::text[]) AS w(o, p, r, payer, payee, a, m, b, n, root, repeats)
    ON CONFLICT DO NOTHING RETURNING order_id
"""
ORDERS = f"SELECT {_ORDER} FROM payment_order o WHERE o.order_id = ANY($1::text[])"
# Who touches debts locks everything that paying them locks, always in this order, so that nobody waits in a circle:
# the cycles when one of them is a position, the debts, each by its first order, and the prepayments.
PURPOSES = "SELECT DISTINCT purpose FROM payment_order WHERE order_id = ANY($1::text[])"
PREPAYMENTS_LOCK = """
    SELECT lender FROM prepayment WHERE (lender, holder) IN (
        SELECT m.lender, m.holder FROM payment_order o JOIN prepayment_movement m ON m.movement_id = o.reference
        WHERE o.order_id = ANY($1::text[]) AND o.purpose = 'prepayment')
    ORDER BY lender, holder FOR UPDATE
"""
DEBTS_LOCK = """
    SELECT order_id FROM payment_order
    WHERE order_id IN (SELECT root_order_id FROM payment_order WHERE order_id = ANY($1::text[]))
    ORDER BY order_id FOR UPDATE
"""
DEBTS = """
    SELECT r.order_id, r.debt_fen AS amount_fen, sum(o.paid_fen)::bigint AS paid_fen,
        r.debt_settled_at IS NOT NULL AS settled
    FROM payment_order r JOIN payment_order o ON o.root_order_id = r.order_id
    WHERE r.order_id = ANY($1::text[]) GROUP BY r.order_id
"""
FIRST_OF = """
    SELECT purpose, reference, order_id FROM payment_order
    WHERE (purpose, reference) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND repeats_order_id IS NULL
"""
ORDERS_REVIEWED = """
    UPDATE payment_order SET state = 'reviewed', reviewed_by = $2, reviewed_at = $3 WHERE order_id = ANY($1::text[])
"""
ORDERS_APPROVED = """
    UPDATE payment_order SET state = CASE WHEN by_bank THEN 'approved' ELSE 'settled' END,
        paid_fen = CASE WHEN by_bank THEN 0 ELSE amount_fen END, approved_by = $2, approved_at = $3
    WHERE order_id = ANY($1::text[])
"""
ORDERS_DECLINED = """
    UPDATE payment_order SET state = 'declined', declined_reason = $2 WHERE order_id = ANY($1::text[])
"""
ORDERS_MOVED = """
    UPDATE payment_order o SET state = moved.state, paid_fen = moved.paid_fen
    FROM unnest($1::text[], $2::text[], $3::bigint[]) AS moved(order_id, state, paid_fen)
    WHERE o.order_id = moved.order_id
"""
DEBTS_SETTLED = "UPDATE payment_order SET debt_settled_at = $2 WHERE order_id = ANY($1::text[])"
SUCCESSORS = """
    SELECT order_id, repeats_order_id FROM payment_order WHERE repeats_order_id = ANY($1::text[])
"""
UNSENT_OF = f"""
    SELECT {_ORDER} FROM payment_order o
    WHERE o.root_order_id = ANY($1::text[]) AND state IN ('proposed', 'reviewed', 'approved')
"""
_VIEW = f"""
    {_ORDER}, debt_fen, repeats_order_id, proposed_at, reviewed_at, approved_at, batch_id, bank_status, bank_reason,
    declined_reason, debt_settled_at,
    CASE purpose
        WHEN 'position' THEN (SELECT p.withheld_fen FROM clearing_position p WHERE p.position_id = reference)
        ELSE (SELECT coalesce(sum(CASE WHEN s.kind IN ('retention', 'deduction') THEN s.amount_fen
                                  ELSE -s.amount_fen END), 0)::bigint FROM set_off s WHERE s.payment_id = reference)
        END AS withheld_fen,
    (SELECT s.order_id FROM payment_order s WHERE s.repeats_order_id = o.order_id) AS repeated_by
"""
ORDER = f"SELECT {_VIEW} FROM payment_order o WHERE order_id = $1"
ORDERS_OF = f"""
    SELECT {_VIEW} FROM payment_order o
    WHERE (payer = ANY($1::text[]) OR payee = ANY($1::text[])) AND ($2::text IS NULL OR state = $2)
      AND ($3::text IS NULL OR purpose = $3) AND ($4::text IS NULL OR reference = $4) AND order_id > $5
    ORDER BY order_id LIMIT $6
"""
ENTRIES_OF = """
    SELECT entry_id, party, entry_ref, debit, amount_fen, booked_on, e.reason, outcome, received_at FROM bank_entry e
    WHERE order_id = $1
    UNION ALL
    SELECT e.entry_id, e.party, e.entry_ref, e.debit, e.amount_fen, e.booked_on, e.reason, n.outcome, e.received_at
    FROM bank_identification n JOIN bank_entry e USING (entry_id) WHERE n.order_id = $1 AND n.state = 'approved'
    ORDER BY entry_id
"""
UNANSWERED = """
    SELECT o.order_id, o.payer, o.amount_fen, b.sent_at FROM payment_order o JOIN bank_batch b USING (batch_id)
    WHERE o.state = 'sent' AND b.sent_at < $1
      AND NOT EXISTS (SELECT FROM bank_item i WHERE i.item_key = 'unanswered:' || o.order_id)
    ORDER BY o.order_id LIMIT 1000
"""
SENT_BEFORE = """
    SELECT DISTINCT root_order_id FROM payment_order
    WHERE root_order_id = ANY($1::text[]) AND batch_id IS NOT NULL
"""


class NewOrder(NamedTuple):
    """An order to be written; `repeats` is the order it repeats, of the debt of `root`."""

    order_id: str
    draft: OrderDraft
    debt_fen: int
    by_bank: bool
    review_needed: bool
    root: str
    repeats: str | None = None


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order with its history."""

    order_id: str
    purpose: str
    reference: str
    payer: str
    payee: str | None
    amount_fen: int
    state: str
    review_needed: bool
    proposed_by: str
    root_order_id: str
    reviewed_by: str | None
    approved_by: str | None
    paid_fen: int
    by_bank: bool
    card_no: int | None
    card_in_force: int | None
    debt_proposed_by: str
    debt_fen: int
    repeats_order_id: str | None
    proposed_at: datetime
    reviewed_at: datetime | None
    approved_at: datetime | None
    batch_id: str | None
    bank_status: str | None
    bank_reason: str | None
    declined_reason: str | None
    debt_settled_at: datetime | None
    withheld_fen: int
    repeated_by: str | None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A movement of a bank account that an order made."""

    entry_id: str
    party: str
    entry_ref: str
    debit: bool
    amount_fen: int
    booked_on: Any
    reason: str | None
    outcome: str
    received_at: datetime


async def add_orders(tx: Connection, orders: Sequence[NewOrder], subject: str, at: datetime) -> set[str]:
    """Write proposed orders; the ids of those whose debt had none, or whose predecessor was not repeated."""
    rows = [
        (
            *(o.order_id, o.draft.purpose, o.draft.reference, o.draft.payer, o.draft.payee or "", o.draft.amount_fen),
            *(o.debt_fen, o.by_bank, o.review_needed, o.root, o.repeats or ""),
        )
        for o in orders
    ]
    return {row["order_id"] for row in await tx.fetch(ORDERS_INSERT, *columns(rows, 11), subject, at)}


async def lock_debts(tx: Connection, order_ids: Iterable[str]) -> None:
    """Nobody else moves the debts of these orders until the transaction ends.

    All that a transaction touches in one call: a second one could wait for somebody who waits for the first.
    """
    wanted = sorted(set(order_ids))
    purposes = {row["purpose"] for row in await tx.fetch(PURPOSES, wanted)}
    if "position" in purposes:
        await clearing_store.lock(tx)
    await tx.fetch(DEBTS_LOCK, wanted)
    if "prepayment" in purposes:
        await tx.fetch(PREPAYMENTS_LOCK, wanted)


async def orders(tx: Connection, order_ids: Iterable[str]) -> dict[str, Order]:
    """Orders by id."""
    return {row["order_id"]: _order(row) for row in await tx.fetch(ORDERS, sorted(set(order_ids)))}


def _order(row: Any) -> Order:
    return Order(**{**row, "purpose": Purpose(row["purpose"]), "state": OrderState(row["state"])})


async def debts(tx: Connection, root_order_ids: Iterable[str]) -> dict[str, Debt]:
    """How far debts are, by their first orders."""
    rows = await tx.fetch(DEBTS, sorted(set(root_order_ids)))
    return {row["order_id"]: Debt(row["amount_fen"], row["paid_fen"], row["settled"]) for row in rows}


async def sent_before(tx: Connection, root_order_ids: Iterable[str]) -> set[str]:
    """Those of some debts, by their first orders, of which an order was in a payment file."""
    return {row["root_order_id"] for row in await tx.fetch(SENT_BEFORE, sorted(set(root_order_ids)))}


async def first_orders(tx: Connection, drafts: Iterable[tuple[Purpose, str]]) -> dict[tuple[str, str], str]:
    """The first order of each debt that has one: by purpose and reference."""
    rows = await tx.fetch(FIRST_OF, *columns(sorted(set(drafts)), 2))
    return {(row["purpose"], row["reference"]): row["order_id"] for row in rows}


async def set_reviewed(tx: Connection, order_ids: Sequence[str], subject: str, at: datetime) -> None:
    """Mark orders as reviewed."""
    await tx.execute(ORDERS_REVIEWED, list(order_ids), subject, at)


async def set_approved(tx: Connection, order_ids: Sequence[str], subject: str, at: datetime) -> None:
    """Mark orders as approved; those that do not go to the bank are paid thereby."""
    await tx.execute(ORDERS_APPROVED, list(order_ids), subject, at)


async def set_declined(tx: Connection, order_ids: Sequence[str], reason: str) -> None:
    """Mark orders as declined."""
    await tx.execute(ORDERS_DECLINED, list(order_ids), reason)


async def move_orders(tx: Connection, moved: Sequence[tuple[str, OrderState, int]]) -> None:
    """Write what the bank's account says of orders: their state and what was paid."""
    await tx.execute(ORDERS_MOVED, *columns(moved, 3))


async def set_settled(tx: Connection, root_order_ids: Sequence[str], at: datetime) -> None:
    """Mark debts as settled."""
    await tx.execute(DEBTS_SETTLED, list(root_order_ids), at)


async def successors(tx: Connection, order_ids: Iterable[str]) -> Mapping[str, str]:
    """Which orders repeat these."""
    rows = await tx.fetch(SUCCESSORS, sorted(set(order_ids)))
    return {row["repeats_order_id"]: row["order_id"] for row in rows}


async def unsent_of(tx: Connection, root_order_ids: Iterable[str]) -> list[Order]:
    """Orders of debts that can still be stopped."""
    return [_order(row) for row in await tx.fetch(UNSENT_OF, sorted(set(root_order_ids)))]


async def order(tx: Connection, order_id: str) -> OrderRow | None:
    """One order with its history."""
    row = await tx.fetchrow(ORDER, order_id)
    return None if row is None else OrderRow(**row)


async def orders_of(
    tx: Connection,
    parties: Sequence[str],
    *,
    state: str | None,
    purpose: str | None,
    reference: str | None,
    after: str,
    limit: int,
) -> list[OrderRow]:
    """Orders that parties pay or receive, by id."""
    rows = await tx.fetch(ORDERS_OF, list(parties), state, purpose, reference, after, limit)
    return rows_to(OrderRow, rows)


async def entries_of(tx: Connection, order_id: str) -> list[EntryRow]:
    """What the bank moved for an order."""
    return rows_to(EntryRow, await tx.fetch(ENTRIES_OF, order_id))


async def unanswered(tx: Connection, sent_before: datetime) -> list[tuple[str, str, int, datetime]]:
    """Orders without an answer since a moment, of which nobody was told: id, payer, amount, since when."""
    return [tuple(row) for row in await tx.fetch(UNANSWERED, sent_before)]
