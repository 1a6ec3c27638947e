"""What must hold of every ledger transaction and of what is paid, asked of the rows themselves, and the last answers.

Sums over a book or a chain hold when they hold of each transaction, so a look at the new ones keeps up with booking
however long the ledger is; whether none is missing is for the look at the whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from services.settlement.store.archives import left_behind
from services.settlement.store.bank_invariants import (
    BANK_REPORTED,
    DEBT_PAID,
    IDENTIFIED,
    PAYOUT_BOOKED,
    PAYOUT_CANCELLED,
    WITHHELD,
)
from shared.database import Connection


class Invariant(StrEnum):
    """What must hold."""

    TRANSACTION_BALANCES = "transaction-balances"
    """A transaction sums to zero in each of its books."""
    BILL_IS_BOOKED = "bill-is-booked"
    """What the facility earned and is owed, and what the home agency bears, is what the bill says."""
    HOPS_ARE_EQUAL = "hops-are-equal"
    """A bill is the same sum at every hop of its chain: owed to each party by the next one, as both books say."""
    PAYMENT_IS_BOOKED = "payment-is-booked"
    """A payment leaves the payer's bank and reaches the payee's, as its document says, once all have confirmed."""
    CLEARING_IS_BOOKED = "clearing-is-booked"
    """What a cycle takes over, or lets go, is a case of its own, with its whole amount at every hop."""
    POSITION_IS_BOOKED = "position-is-booked"
    """A paid position leaves the payer's bank and reaches the payee's, with the amount it was netted to."""
    PREPAYMENT_IS_BOOKED = "prepayment-is-booked"
    """What moves a prepayment is in both books; what is paid out of it is a position's amount."""
    NOTHING_OVERPAID = "nothing-overpaid"
    """Nobody paid more for a case than was owed for it, nor in the other direction."""
    PAYOUT_IS_BOOKED = "payout-is-booked"
    """A payout that was approved is borne by its fund and owed to the person, with its amount."""
    PAYOUT_IS_CANCELLED = "payout-is-cancelled"
    """What takes a payout back was agreed on by two, is the reverse of it, and nothing of it is to be paid any more."""
    BANK_IS_BOOKED = "bank-is-booked"
    """What is booked as moved by the bank, the bank reported, with its amount."""
    DEBT_IS_PAID_ONCE = "debt-is-paid-once"
    """What the bank paid for a debt, by whatever orders, is what the payer's book has, to the fen."""
    MOVEMENT_IS_IDENTIFIED = "movement-is-identified"
    """What takes a movement of the bank off suspense was agreed on by two, with its whole amount."""
    WITHHOLDING_IS_BOOKED = "withholding-is-booked"
    """What is retained of a facility, deducted or given back is in both books, as terms or two people decided."""
    LEDGER_IS_SEALED = "ledger-is-sealed"
    """What was booked is in the chain soon, with the mark of booking."""
    WHOLE_IS_PROVEN = "whole-is-proven"
    """The proof of all books, bills, cases and payments holds."""


IDS_BETWEEN = """
    SELECT transaction_id FROM ledger_chain WHERE chain_no > $1 AND chain_no <= $2 ORDER BY chain_no
"""
_BALANCES = """
    SELECT transaction_id AS subject, format('%s fen too many in book %s', sum(amount_fen), book) AS detail
    FROM ledger_entry WHERE transaction_id = ANY($1::text[])
    GROUP BY transaction_id, book HAVING sum(amount_fen) <> 0
"""
_BILL = """
    SELECT t.transaction_id AS subject, CASE WHEN b.settlement_id IS NULL THEN 'there is no such bill' ELSE
        format('bill %s, earned %s, owed %s, borne %s', b.payable_fen, s.earned, s.owed, s.borne) END AS detail
    FROM ledger_transaction t JOIN settlement_case c USING (case_id)
    LEFT JOIN bill b ON b.settlement_id = t.transaction_id
    CROSS JOIN LATERAL (
        SELECT -coalesce(sum(amount_fen) FILTER (WHERE book = c.facility_code AND account_kind = 'medical_income'), 0)
                AS earned,
            coalesce(sum(amount_fen) FILTER (WHERE book = c.facility_code AND account_kind = 'receivable'), 0) AS owed,
            coalesce(sum(amount_fen) FILTER (
                WHERE book = c.home_region AND account_kind IN ('fund_expenditure', 'personal_account')), 0) AS borne
        FROM ledger_entry e WHERE e.transaction_id = t.transaction_id) s
    WHERE t.transaction_id = ANY($1::text[]) AND t.kind IN ('bill', 'reversal')
      AND (b.settlement_id IS NULL
           OR NOT (s.earned = b.payable_fen AND s.owed = b.payable_fen AND s.borne = b.payable_fen))
"""
_HOPS = """
    SELECT t.transaction_id AS subject, format('not the same at all %s hops', cardinality(c.chain)) AS detail
    FROM ledger_transaction t JOIN settlement_case c USING (case_id)
    JOIN bill b ON b.settlement_id = t.transaction_id
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE account_kind = 'receivable') AS receivables,
            count(*) FILTER (WHERE account_kind = 'payable') AS payables,
            count(*) FILTER (WHERE NOT coalesce(CASE account_kind
                WHEN 'receivable' THEN amount_fen = b.payable_fen
                    AND array_position(c.facility_code || c.chain, counterparty)
                      = array_position(c.facility_code || c.chain, book) + 1
                WHEN 'payable' THEN amount_fen = -b.payable_fen
                    AND array_position(c.facility_code || c.chain, counterparty)
                      = array_position(c.facility_code || c.chain, book) - 1
                ELSE true END, false)) AS astray
        FROM ledger_entry e WHERE e.transaction_id = t.transaction_id) s
    WHERE t.transaction_id = ANY($1::text[]) AND t.kind IN ('bill', 'reversal')
      AND (s.astray > 0
           OR s.receivables <> CASE b.payable_fen WHEN 0 THEN 0 ELSE cardinality(c.chain) END
           OR s.payables <> s.receivables)
"""
_PAYMENT = """
    SELECT t.transaction_id AS subject, coalesce(
        format('document %s from %s to %s, bank %s', p.amount_fen, p.payer, p.payee, s.moved::text),
        'there is no such payment') AS detail
    FROM ledger_transaction t JOIN settlement_case c USING (case_id)
    LEFT JOIN payment p ON p.payment_id = t.transaction_id
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(book, amount_fen) AS moved FROM ledger_entry e
        WHERE e.transaction_id = t.transaction_id AND e.account_kind = 'bank') s
    WHERE t.transaction_id = ANY($1::text[]) AND t.kind = 'payment'
      AND (p.paid_at IS NULL OR p.approved_by IS NULL
           OR c.state NOT IN ('confirmed', 'remitting', 'disbursing', 'closed')
           OR s.moved IS DISTINCT FROM jsonb_build_object(p.payer, -p.amount_fen, p.payee, p.amount_fen))
"""
# A cycle takes a case over, or lets it go, at every hop of its chain and with its whole amount.
_CLEARING = """
    SELECT t.transaction_id AS subject, CASE WHEN y.case_id IS NULL THEN 'no cycle knows it' ELSE
        format('case %s, %s hops: receivables %s %s, payables %s %s', c.payable_fen, cardinality(c.chain),
            s.receivables, s.received, s.payables, s.owed) END AS detail
    FROM ledger_transaction t JOIN settlement_case c USING (case_id)
    LEFT JOIN clearing_case y ON y.case_id = t.case_id
        AND t.transaction_id = CASE t.kind WHEN 'clearing' THEN y.transaction_id ELSE y.reversal_id END
        AND (t.kind = 'clearing' OR t.reverses_transaction_id = y.transaction_id)
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE account_kind = 'receivable') AS receivables,
            count(*) FILTER (WHERE account_kind = 'payable') AS payables,
            min(-amount_fen) FILTER (WHERE account_kind = 'receivable') AS received,
            max(-amount_fen) FILTER (WHERE account_kind = 'receivable') AS received_most,
            min(amount_fen) FILTER (WHERE account_kind = 'payable') AS owed,
            max(amount_fen) FILTER (WHERE account_kind = 'payable') AS owed_most
        FROM ledger_entry e WHERE e.transaction_id = t.transaction_id) s
    CROSS JOIN LATERAL (SELECT CASE t.kind WHEN 'clearing' THEN c.payable_fen ELSE -c.payable_fen END AS fen) AS w
    WHERE t.transaction_id = ANY($1::text[]) AND t.kind IN ('clearing', 'clearing_reversal')
      AND (y.case_id IS NULL
           OR (s.receivables, s.payables) <> (cardinality(c.chain), cardinality(c.chain))
           OR (s.received, s.received_most, s.owed, s.owed_most) IS DISTINCT FROM (w.fen, w.fen, w.fen, w.fen))
"""
_POSITION = """
    SELECT t.transaction_id AS subject, coalesce(
        format('position %s from %s to %s, bank %s', p.amount_fen, p.payer, p.payee, s.moved::text),
        'there is no such position') AS detail
    FROM ledger_transaction t LEFT JOIN clearing_position p ON p.position_id = t.transaction_id
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(book, amount_fen) AS moved FROM ledger_entry e
        WHERE e.transaction_id = t.transaction_id AND e.account_kind = 'bank') s
    WHERE t.transaction_id = ANY($1::text[]) AND t.kind = 'payment' AND t.case_id IS NULL
      AND (p.settled_by IS DISTINCT FROM 'payment'
           OR s.moved IS DISTINCT FROM jsonb_build_object(p.payer, -p.amount_fen, p.payee, p.amount_fen))
"""
_PREPAYMENT = """
    SELECT t.transaction_id AS subject, coalesce(
        format('%s of %s from %s with %s, held %s', m.kind, m.amount_fen, m.lender, m.holder, s.held),
        'there is no such movement') AS detail
    FROM ledger_transaction t LEFT JOIN prepayment_movement m ON m.movement_id = t.transaction_id
    LEFT JOIN clearing_position p ON p.position_id = m.position_id
    CROSS JOIN LATERAL (
        SELECT -sum(amount_fen) FILTER (
                WHERE account_kind = 'prepayment_held' AND book = m.holder AND counterparty = m.lender) AS held,
            sum(amount_fen) FILTER (
                WHERE account_kind = 'prepayment_lent' AND book = m.lender AND counterparty = m.holder) AS lent
        FROM ledger_entry e WHERE e.transaction_id = t.transaction_id) s
    CROSS JOIN LATERAL (SELECT CASE m.kind WHEN 'top_up' THEN m.amount_fen ELSE -m.amount_fen END AS fen) AS w
    WHERE t.transaction_id = ANY($1::text[]) AND t.kind = 'prepayment'
      AND (m.state IS DISTINCT FROM 'settled' OR (s.held, s.lent) IS DISTINCT FROM (w.fen, w.fen)
           OR (m.kind = 'draw' AND (p.settled_by, p.amount_fen, p.payer, p.payee)
               IS DISTINCT FROM ('prepayment', m.amount_fen, m.lender, m.holder)))
"""
# One look through the entries of each case that was paid for: few are. A bill that was carried to a later month is owed
# there; archived bills of the case are owed at every hop.
_OVERPAID = f"""
    SELECT paid.transaction_id AS subject,
        format('case %s: %s owes %s %s, paid %s', case_id, debtor, creditor, owed, settled) AS detail
    FROM (
        SELECT DISTINCT ON (case_id) case_id, transaction_id FROM ledger_transaction
        WHERE transaction_id = ANY($1::text[]) AND kind IN ('payment', 'clearing', 'withholding')
          AND case_id IS NOT NULL
        ORDER BY case_id, transaction_id
    ) AS paid
    CROSS JOIN LATERAL (
        SELECT e.book AS creditor, e.counterparty AS debtor,
            coalesce(sum(e.amount_fen) FILTER (WHERE t.kind IN ('bill', 'reversal')), 0) + coalesce((
                SELECT sum(k.payable_fen) FROM {left_behind("ledger_archived_case")} AS k
                WHERE k.case_id = paid.case_id), 0) AS owed,
            coalesce(-sum(e.amount_fen) FILTER (WHERE t.kind NOT IN ('bill', 'reversal')), 0) AS settled
        FROM (
            SELECT t.transaction_id, t.kind FROM ledger_transaction t
            WHERE t.case_id = paid.case_id
              AND NOT EXISTS (SELECT FROM carried_bill k WHERE k.settlement_id = t.transaction_id)
            UNION ALL
            SELECT t.transaction_id, t.kind FROM carried_bill k
            JOIN ledger_transaction t ON t.transaction_id = k.settlement_id
            WHERE k.to_case_id = paid.case_id AND NOT EXISTS (
                SELECT FROM carried_bill l
                WHERE l.settlement_id = k.settlement_id AND l.from_case_id = k.to_case_id)
        ) AS t JOIN ledger_entry e USING (transaction_id)
        WHERE e.account_kind = 'receivable' GROUP BY e.book, e.counterparty
    ) AS hop
    WHERE settled <> 0 AND (sign(settled) <> sign(owed) OR abs(settled) > abs(owed))
"""
QUERIES = {
    Invariant.PAYOUT_IS_BOOKED: PAYOUT_BOOKED,
    Invariant.PAYOUT_IS_CANCELLED: PAYOUT_CANCELLED,
    Invariant.BANK_IS_BOOKED: BANK_REPORTED,
    Invariant.DEBT_IS_PAID_ONCE: DEBT_PAID,
    Invariant.MOVEMENT_IS_IDENTIFIED: IDENTIFIED,
    Invariant.WITHHOLDING_IS_BOOKED: WITHHELD,
    Invariant.TRANSACTION_BALANCES: _BALANCES,
    Invariant.BILL_IS_BOOKED: _BILL,
    Invariant.HOPS_ARE_EQUAL: _HOPS,
    Invariant.PAYMENT_IS_BOOKED: _PAYMENT,
    Invariant.CLEARING_IS_BOOKED: _CLEARING,
    Invariant.POSITION_IS_BOOKED: _POSITION,
    Invariant.PREPAYMENT_IS_BOOKED: _PREPAYMENT,
    Invariant.NOTHING_OVERPAID: _OVERPAID,
}
"""For each invariant the query that finds, among some transactions, those that violate it."""

WAITING = """
    SELECT 'ledger_unsealed' AS subject,
        format('%s transactions wait for the chain, the first since %s', count(*), min(queued_at)) AS detail
    FROM ledger_unsealed WHERE set_aside_at IS NULL AND queued_at < clock_timestamp() - make_interval(secs => $1)
    HAVING count(*) > 0
    UNION ALL
    SELECT transaction_id, format('set aside %s: its mark is not that of booking', set_aside_at)
    FROM ledger_unsealed WHERE set_aside_at IS NOT NULL
"""
OUTSIDE = """
    SELECT t.transaction_id AS subject, 'it is not in the chain and does not wait for it' AS detail
    FROM ledger_transaction t
    WHERE NOT EXISTS (SELECT FROM ledger_chain c WHERE c.transaction_id = t.transaction_id)
      AND NOT EXISTS (SELECT FROM ledger_unsealed u WHERE u.transaction_id = t.transaction_id)
"""
"""What somebody wrote past booking, queue and all; reads the whole ledger."""

CHECKER_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('settlement.invariants'), hashtext($1))"
CHECK_SAVE = """
    INSERT INTO invariant_check (scope, checked_at, took_s, chain_no, transactions, violations, findings)
    VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb)
    ON CONFLICT (scope) DO UPDATE SET checked_at = EXCLUDED.checked_at, took_s = EXCLUDED.took_s,
        chain_no = EXCLUDED.chain_no, transactions = EXCLUDED.transactions, violations = EXCLUDED.violations,
        findings = EXCLUDED.findings
"""
CHECKS = """
    SELECT scope, checked_at, took_s, chain_no, transactions, violations, findings FROM invariant_check ORDER BY scope
"""

CHECKING_TIMEOUT_S = 300.0


class Violation(NamedTuple):
    """An invariant that does not hold, of which transaction, and how it is off."""

    invariant: Invariant
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """How the last check of a scope ended."""

    scope: str
    checked_at: datetime
    took_s: float
    chain_no: int
    transactions: int
    violations: int
    findings: Sequence[Violation]
    """The first of them."""


async def try_lock_checker(tx: Connection, scope: str) -> bool:
    """Whether this transaction alone may check a scope; false while another one does."""
    return await tx.fetchval(CHECKER_LOCK, scope)  # type: ignore[no-any-return]


async def ids_between(tx: Connection, after: int, until: int) -> list[str]:
    """The transactions of some links."""
    return [row["transaction_id"] for row in await tx.fetch(IDS_BETWEEN, after, until)]


async def violations(tx: Connection, transaction_ids: Sequence[str]) -> list[Violation]:
    """What does not hold of some transactions."""
    found = []
    for invariant, query in QUERIES.items():
        rows = await tx.fetch(query, list(transaction_ids), timeout=CHECKING_TIMEOUT_S)
        found += [Violation(invariant, row["subject"], row["detail"]) for row in rows]
    return found


async def unsealed(tx: Connection, longer_than_s: float) -> list[Violation]:
    """What waits for the chain for longer than it should, or will never be in it."""
    rows = await tx.fetch(WAITING, longer_than_s)
    return [Violation(Invariant.LEDGER_IS_SEALED, row["subject"], row["detail"]) for row in rows]


async def outside_chain(tx: Connection) -> list[Violation]:
    """What is in the ledger and neither in the chain nor in its queue."""
    rows = await tx.fetch(OUTSIDE, timeout=CHECKING_TIMEOUT_S)
    return [Violation(Invariant.LEDGER_IS_SEALED, row["subject"], row["detail"]) for row in rows]


async def save(tx: Connection, check: Check) -> None:
    """Keep how a check ended, in place of the last one of its scope."""
    findings = json.dumps([violation._asdict() for violation in check.findings], ensure_ascii=False)
    numbers = (check.chain_no, check.transactions, check.violations)
    await tx.execute(CHECK_SAVE, check.scope, check.checked_at, check.took_s, *numbers, findings)


async def checks(tx: Connection) -> dict[str, Check]:
    """The last check of each scope."""
    return {row["scope"]: _check(row) for row in await tx.fetch(CHECKS)}


def _check(row: Any) -> Check:
    found = json.loads(row["findings"])
    named = [Violation(Invariant(f["invariant"]), f["subject"], f["detail"]) for f in found]
    return Check(**{**row, "findings": named})
