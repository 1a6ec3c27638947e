"""Payments: the documents of the hops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.settlement.rules.cases import Payment
from services.settlement.rules.orders import OrderState
from services.settlement.store.bills import columns
from services.settlement.store.carried import cleared
from shared.database import Connection, row_to, rows_to

_PAYMENT = "payment_id, case_id, hop_no, payer, payee, amount_fen, proposed_by, approved_by"
# Of the orders that were made for it, one after the other, the newest.
_ORDER_OF = """
    (SELECT o.order_id FROM payment_order o
     WHERE o.root_order_id = (SELECT r.order_id FROM payment_order r WHERE r.purpose = 'hop'
         AND r.reference = payment.payment_id AND r.repeats_order_id IS NULL)
     ORDER BY o.order_id DESC LIMIT 1) AS order_id
"""
PAYMENTS_INSERT = """
    INSERT INTO payment (payment_id, case_id, hop_no, payer, payee, amount_fen, proposed_by, proposed_at)
    SELECT *, $8 FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::bigint[], $7::text[])
"""
PAYMENTS = f"SELECT {_PAYMENT} FROM payment WHERE payment_id = ANY($1::text[])"
PAYMENTS_UNORDERED = f"""
    SELECT {_PAYMENT} FROM payment p
    WHERE case_id = ANY($1::text[]) AND payer = $2 AND approved_by IS NULL AND NOT EXISTS (
        SELECT FROM payment_order o WHERE o.purpose = 'hop' AND o.reference = p.payment_id)
    ORDER BY payment_id
"""
PAYMENTS_AGAIN = """
    UPDATE payment SET proposed_by = $2, proposed_at = $3 WHERE payment_id = ANY($1::text[]) AND approved_by IS NULL
"""
PAYMENTS_PAID = """
    UPDATE payment p SET approved_by = n.approved_by, paid_at = $3
    FROM unnest($1::text[], $2::text[]) AS n(payment_id, approved_by) WHERE p.payment_id = n.payment_id
"""
PAYMENTS_OF = f"""
    SELECT {_PAYMENT}, proposed_at, paid_at, {_ORDER_OF} FROM payment WHERE case_id = $1 ORDER BY hop_no
"""
PAYMENT = f"SELECT {_PAYMENT}, proposed_at, paid_at, {_ORDER_OF} FROM payment WHERE payment_id = $1"
# A million bills none of whose traces is recorded are not worth a search: the first ones tell.
SAMPLED_BILLS = f"""
    SELECT c.case_id, b.settlement_id, b.traceparent
    FROM unnest($1::text[]) AS c(case_id) CROSS JOIN LATERAL (
        SELECT settlement_id, traceparent FROM (
            SELECT settlement_id, traceparent FROM {cleared("= c.case_id")} AS covered LIMIT 1000) AS first
        WHERE traceparent ~ '[13579bdf]$' LIMIT $2) b
"""
# Of a matter the bank did not pay at first there are several orders: the last one tells.
HOP_ORDER = """
    SELECT o.state FROM payment p JOIN payment_order f ON f.purpose = 'hop' AND f.reference = p.payment_id
    JOIN payment_order o USING (root_order_id)
    WHERE p.case_id = $1 AND p.hop_no = $2 ORDER BY o.order_id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A payment with its times."""

    payment_id: str
    case_id: str
    hop_no: int
    payer: str
    payee: str
    amount_fen: int
    proposed_by: str
    approved_by: str | None
    proposed_at: datetime
    paid_at: datetime | None
    order_id: str | None
    """The newest order that is to pay it: through the bank, or above the limit of review."""


async def add_payments(tx: Connection, payments: Sequence[Payment], at: datetime) -> None:
    """Write proposed payments."""
    rows = [(p.payment_id, p.case_id, p.hop_no, p.payer, p.payee, p.amount_fen, p.proposed_by) for p in payments]
    await tx.execute(PAYMENTS_INSERT, *columns(rows, 7), at)


async def payments(tx: Connection, payment_ids: Iterable[str]) -> dict[str, Payment]:
    """Payments by id."""
    return {p.payment_id: p for p in rows_to(Payment, await tx.fetch(PAYMENTS, sorted(set(payment_ids))))}


async def unordered(tx: Connection, case_ids: Sequence[str], payer: str) -> list[Payment]:
    """What a party proposed to pay on record for some cases, and nobody approved."""
    return rows_to(Payment, await tx.fetch(PAYMENTS_UNORDERED, list(case_ids), payer))


async def propose_again(tx: Connection, payment_ids: Sequence[str], subject: str, at: datetime) -> None:
    """Another word of somebody on payments that nobody approved: who proposed them before may be the other one now."""
    await tx.execute(PAYMENTS_AGAIN, list(payment_ids), subject, at)


async def pay(tx: Connection, approved_by: Mapping[str, str], at: datetime) -> None:
    """Mark payments as paid, with who approved each."""
    await tx.execute(PAYMENTS_PAID, list(approved_by), list(approved_by.values()), at)


async def payment(tx: Connection, payment_id: str) -> PaymentRow | None:
    """One payment with its times."""
    return row_to(PaymentRow, await tx.fetchrow(PAYMENT, payment_id))


async def payments_of(tx: Connection, case_id: str) -> list[PaymentRow]:
    """The payments of a case."""
    return rows_to(PaymentRow, await tx.fetch(PAYMENTS_OF, case_id))


async def sampled_bills(tx: Connection, case_ids: Sequence[str], limit: int) -> list[tuple[str, str, str]]:
    """Bills whose traces are recorded, of the first thousand of each case: case, settlement and traceparent; at most
    `limit` a case.
    """
    return [tuple(row) for row in await tx.fetch(SAMPLED_BILLS, list(case_ids), limit)]


async def hop_order(tx: Connection, case_id: str, hop_no: int) -> OrderState | None:
    """How far the order of a hop's payment is; None where there is none."""
    state = await tx.fetchval(HOP_ORDER, case_id, hop_no)
    return None if state is None else OrderState(state)
