"""What must hold of payouts and of what the bank moved: queries for `store.invariants`."""

from __future__ import annotations

PAYOUT_BOOKED = """
    SELECT t.transaction_id AS subject, coalesce(
        format('payout %s, borne %s, owed %s', p.amount_fen, s.borne, s.owed), 'there is no such payout') AS detail
    FROM ledger_transaction t LEFT JOIN payout p ON p.payout_id = t.transaction_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_fen) FILTER (WHERE account_kind = 'fund_expenditure' AND book = p.region
                AND fund_pay_type = p.fund_pay_type), 0) AS borne,
            coalesce(-sum(amount_fen) FILTER (WHERE account_kind = 'benefits_payable' AND book = p.region), 0) AS owed
        FROM ledger_entry e WHERE e.transaction_id = t.transaction_id) s
    WHERE t.transaction_id = ANY($1::text[]) AND t.kind = 'payout'
      AND (p.decided_by IS NULL OR p.state = 'declined' OR NOT (s.borne = p.amount_fen AND s.owed = p.amount_fen))
"""
# Each transaction of the bank is a movement it reported, or a payout that was paid on record; in both cases by its
# amount. What a movement does beside settling its debt is for the query after this one.
BANK_REPORTED = """
    SELECT t.transaction_id AS subject, coalesce(
        format('%s, the book moved %s', coalesce(e.outcome, o.state), s.moved), 'nobody reported it') AS detail
    FROM ledger_transaction t
    LEFT JOIN bank_entry e ON e.entry_id = t.transaction_id
    LEFT JOIN payment_order o ON o.order_id = t.transaction_id AND NOT o.by_bank AND o.payee IS NULL
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_fen) FILTER (WHERE account_kind = 'bank' AND book = coalesce(e.party, o.payer)), 0)
            AS moved
        FROM ledger_entry l WHERE l.transaction_id = t.transaction_id) s
    WHERE t.transaction_id = ANY($1::text[]) AND t.kind = 'bank' AND CASE
        WHEN e.outcome = 'unknown' THEN s.moved <> CASE WHEN e.debit THEN -e.amount_fen ELSE e.amount_fen END
        WHEN e.outcome IN ('paid', 'returned') THEN false
        WHEN o.order_id IS NOT NULL THEN o.state <> 'settled' OR s.moved <> -o.amount_fen
        ELSE true END
"""
# What the bank paid for a debt, what its orders say, and what the payer's book has, are one figure.
DEBT_PAID = """
    SELECT m.subject, format('debt %s: the bank paid %s, its orders say %s, the book %s', r.order_id, bank.fen,
        said.fen, book.fen) AS detail
    FROM (
        SELECT o.root_order_id, min(t.transaction_id) AS subject
        FROM ledger_transaction t JOIN bank_entry e ON e.entry_id = t.transaction_id
        JOIN payment_order o USING (order_id)
        WHERE t.transaction_id = ANY($1::text[]) AND t.kind = 'bank' GROUP BY o.root_order_id
        UNION
        SELECT o.order_id, t.transaction_id
        FROM ledger_transaction t JOIN payment_order o ON o.reference = t.transaction_id
            AND o.purpose IN ('hop', 'position', 'prepayment') AND o.repeats_order_id IS NULL
        WHERE t.transaction_id = ANY($1::text[]) AND t.kind IN ('payment', 'prepayment')
    ) AS m
    JOIN payment_order r ON r.order_id = m.root_order_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE WHEN e.debit THEN e.amount_fen ELSE -e.amount_fen END), 0) AS fen
        FROM payment_order o JOIN bank_entry e USING (order_id)
        WHERE o.root_order_id = r.order_id AND e.outcome IN ('paid', 'returned')) AS bank
    CROSS JOIN LATERAL (
        SELECT sum(o.paid_fen) AS fen FROM payment_order o WHERE o.root_order_id = r.order_id) AS said
    CROSS JOIN LATERAL (
        SELECT coalesce(-sum(l.amount_fen), 0) AS fen FROM ledger_entry l
        WHERE l.book = r.payer AND l.account_kind = 'bank' AND l.transaction_id IN (
            SELECT r.reference UNION ALL
            SELECT e.entry_id FROM payment_order o JOIN bank_entry e USING (order_id)
            WHERE o.root_order_id = r.order_id)) AS book
    WHERE r.by_bank AND NOT (bank.fen = said.fen AND said.fen = book.fen)
"""
