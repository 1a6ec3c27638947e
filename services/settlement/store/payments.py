"""Payments: the documents of the hops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.settlement.rules.cases import Payment
from services.settlement.store.bills import columns
from shared.database import Connection, row_to, rows_to

_PAYMENT = "payment_id, case_id, hop_no, payer, payee, amount_fen, proposed_by, approved_by"
PAYMENTS_INSERT = """
    INSERT INTO payment (payment_id, case_id, hop_no, payer, payee, amount_fen, proposed_by, proposed_at)
    SELECT *, $8 FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::bigint[], $7::text[])
"""
PAYMENTS = f"SELECT {_PAYMENT} FROM payment WHERE payment_id = ANY($1::text[])"
PAYMENTS_PAID = "UPDATE payment SET approved_by = $2, paid_at = $3 WHERE payment_id = ANY($1::text[])"
PAYMENTS_OF = f"""
    SELECT {_PAYMENT}, proposed_at, paid_at FROM payment WHERE case_id = $1 ORDER BY hop_no
"""
PAYMENT = f"SELECT {_PAYMENT}, proposed_at, paid_at FROM payment WHERE payment_id = $1"
SAMPLED_BILLS = """
    SELECT c.case_id, b.settlement_id, b.traceparent
    FROM unnest($1::text[]) AS c(case_id) CROSS JOIN LATERAL (
        SELECT settlement_id, traceparent FROM bill
        WHERE bill.case_id = c.case_id AND traceparent ~ '[13579bdf]$' LIMIT $2) b
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


async def add_payments(tx: Connection, payments: Sequence[Payment], at: datetime) -> None:
    """Write proposed payments."""
    rows = [(p.payment_id, p.case_id, p.hop_no, p.payer, p.payee, p.amount_fen, p.proposed_by) for p in payments]
    await tx.execute(PAYMENTS_INSERT, *columns(rows, 7), at)


async def payments(tx: Connection, payment_ids: Iterable[str]) -> dict[str, Payment]:
    """Payments by id."""
    return {p.payment_id: p for p in rows_to(Payment, await tx.fetch(PAYMENTS, sorted(set(payment_ids))))}


async def pay(tx: Connection, payment_ids: Sequence[str], subject: str, at: datetime) -> None:
    """Mark payments as approved and paid."""
    await tx.execute(PAYMENTS_PAID, list(payment_ids), subject, at)


async def payment(tx: Connection, payment_id: str) -> PaymentRow | None:
    """One payment with its times."""
    return row_to(PaymentRow, await tx.fetchrow(PAYMENT, payment_id))


async def payments_of(tx: Connection, case_id: str) -> list[PaymentRow]:
    """The payments of a case."""
    return rows_to(PaymentRow, await tx.fetch(PAYMENTS_OF, case_id))


async def sampled_bills(tx: Connection, case_ids: Sequence[str], limit: int) -> list[tuple[str, str, str]]:
    """Bills of some cases whose traces are recorded: case, settlement and traceparent; at most `limit` a case."""
    return [tuple(row) for row in await tx.fetch(SAMPLED_BILLS, list(case_ids), limit)]
