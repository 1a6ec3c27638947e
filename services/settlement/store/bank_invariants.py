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
PAYOUT_CANCELLED = """
    SELECT t.transaction_id AS subject, coalesce(
        format('payout %s of %s, off its fund %s, off what is owed %s', p.state, p.amount_fen, s.borne, s.owed),
        'nobody cancelled it') AS detail
    FROM ledger_transaction t
    LEFT JOIN payout_cancellation n ON n.cancellation_id = t.transaction_id AND n.state = 'approved'
        AND n.payout_id = t.reverses_transaction_id
    LEFT JOIN payout p USING (payout_id)
    CROSS JOIN LATERAL (
        SELECT coalesce(-sum(amount_fen) FILTER (WHERE account_kind = 'fund_expenditure' AND book = p.region
                AND fund_pay_type = p.fund_pay_type), 0) AS borne,
            coalesce(sum(amount_fen) FILTER (WHERE account_kind = 'benefits_payable' AND book = p.region), 0) AS owed
        FROM ledger_entry e WHERE e.transaction_id = t.transaction_id) s
    WHERE t.transaction_id = ANY($1::text[]) AND t.kind = 'payout_reversal'
      AND (p.payout_id IS NULL OR p.state <> 'cancelled' OR NOT (s.borne = p.amount_fen AND s.owed = p.amount_fen))
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
# An identification takes the whole movement off suspense, and what is in the books already, or settled by another
# transaction, off the bank as well: there it would stand twice. Other income is nothing but what was identified so.
IDENTIFIED = """
    SELECT t.transaction_id AS subject, coalesce(
        format('%s of %s, suspense %s, bank %s, other income %s', i.outcome, e.amount_fen, s.suspense, s.bank, s.other),
        'nobody identified it') AS detail
    FROM ledger_transaction t
    LEFT JOIN bank_identification i ON i.identification_id = t.transaction_id AND i.state = 'approved'
    LEFT JOIN bank_entry e ON e.entry_id = i.entry_id AND e.outcome = 'unknown'
        AND e.entry_id = t.reverses_transaction_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_fen) FILTER (WHERE account_kind = 'suspense' AND counterparty = ''), 0) AS suspense,
            coalesce(sum(amount_fen) FILTER (WHERE account_kind = 'bank'), 0) AS bank,
            coalesce(sum(amount_fen) FILTER (WHERE account_kind = 'other_income'), 0) AS other
        FROM ledger_entry l WHERE l.transaction_id = t.transaction_id AND l.book = e.party) s
    CROSS JOIN LATERAL (SELECT CASE WHEN e.debit THEN -e.amount_fen ELSE e.amount_fen END AS fen) AS w
    WHERE t.transaction_id = ANY($1::text[]) AND t.kind = 'identification'
      AND (e.entry_id IS NULL OR s.suspense <> w.fen
           OR (i.outcome IN ('mirrored', 'settled') AND s.bank <> -w.fen) OR i.outcome = 'cancelled'
           OR (i.outcome = 'booked' AND s.bank <> 0)
           OR s.other <> CASE WHEN i.outcome = 'booked' THEN -w.fen ELSE 0 END)
    UNION ALL
    SELECT l.transaction_id, 'nobody identified this other income'
    FROM ledger_entry l JOIN ledger_transaction t USING (transaction_id)
    LEFT JOIN bank_identification i ON i.identification_id = t.transaction_id AND i.party = l.book
    WHERE l.transaction_id = ANY($1::text[]) AND l.account_kind = 'other_income'
      AND (i.outcome IS DISTINCT FROM 'booked' OR t.kind <> 'identification')
"""
# What is set off against a position, or stays of what was retained, is in both books, as it was decided.
WITHHELD = """
    SELECT t.transaction_id AS subject, coalesce(
        format('%s of %s: held %s, due %s, deductions %s and %s', w.kind, w.fen, s.held, s.due, s.off, s.off_there),
        'nobody decided it') AS detail
    FROM ledger_transaction t
    LEFT JOIN LATERAL (
        SELECT p.payer AS agency, p.payee AS facility, p.case_id, p.owed_on, o.kind, o.amount_fen AS fen,
            CASE o.kind WHEN 'retention' THEN 1 WHEN 'retention_release' THEN -1 ELSE 0 END * o.amount_fen AS retained,
            CASE o.kind WHEN 'deduction' THEN 1 WHEN 'deduction_return' THEN -1 ELSE 0 END * o.amount_fen AS deducted,
            CASE t.kind WHEN 'withholding' THEN 1 ELSE -1 END AS sign
        FROM set_off o JOIN LATERAL (
            SELECT payer, payee, NULL AS case_id, 'clearing' AS owed_on FROM clearing_position
            WHERE position_id = o.position_id
            UNION ALL
            SELECT payer, payee, case_id, 'payable' FROM payment
            WHERE payment_id = o.payment_id AND paid_at IS NOT NULL) AS p ON true
        LEFT JOIN withholding d ON d.withholding_id = o.withholding_id AND d.kind = o.kind AND d.state = 'approved'
            AND (d.agency, d.facility_code) = (p.payer, p.payee)
        WHERE (o.withholding_id IS NULL OR d.withholding_id IS NOT NULL) AND CASE t.kind
            WHEN 'withholding' THEN o.set_off_id = t.transaction_id
            ELSE o.reversal_id = t.transaction_id AND o.set_off_id = t.reverses_transaction_id END
        UNION ALL
        SELECT d.agency, d.facility_code, NULL, 'clearing', 'kept', d.kept_fen, -d.kept_fen, d.kept_fen, 1
        FROM withholding d
        WHERE d.withholding_id = t.transaction_id AND d.state = 'approved' AND t.kind = 'withholding'
    ) AS w ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(-sum(amount_fen) FILTER (WHERE account_kind = 'retention_held'
                AND (book, counterparty) = (w.agency, w.facility)), 0) AS held,
            coalesce(sum(amount_fen) FILTER (WHERE account_kind = 'retention_due'
                AND (book, counterparty) = (w.facility, w.agency)), 0) AS due,
            coalesce(-sum(amount_fen) FILTER (WHERE account_kind = 'deductions'
                AND (book, counterparty) = (w.agency, w.facility)), 0) AS off,
            coalesce(sum(amount_fen) FILTER (WHERE account_kind = 'deductions'
                AND (book, counterparty) = (w.facility, w.agency)), 0) AS off_there,
            coalesce(sum(amount_fen) FILTER (WHERE account_kind = w.owed_on
                AND (book, counterparty) = (w.agency, w.facility)), 0) AS settled
        FROM ledger_entry e WHERE e.transaction_id = t.transaction_id) s
    WHERE t.transaction_id = ANY($1::text[]) AND t.kind IN ('withholding', 'withholding_reversal')
      AND (w.sign IS NULL OR t.case_id IS DISTINCT FROM w.case_id
           OR (s.held, s.due, s.off, s.off_there, s.settled) IS DISTINCT FROM (w.sign * w.retained,
                w.sign * w.retained, w.sign * w.deducted, w.sign * w.deducted, w.sign * (w.retained + w.deducted)))
    UNION ALL
    SELECT DISTINCT l.transaction_id, 'not withheld by anything'
    FROM ledger_entry l JOIN ledger_transaction t USING (transaction_id)
    WHERE l.transaction_id = ANY($1::text[]) AND t.kind NOT IN ('withholding', 'withholding_reversal')
      AND l.account_kind IN ('retention_held', 'retention_due', 'deductions')
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
        SELECT o.root_order_id, min(n.identification_id)
        FROM bank_identification n JOIN payment_order o USING (order_id)
        WHERE n.identification_id = ANY($1::text[]) GROUP BY o.root_order_id
        UNION
        SELECT o.order_id, t.transaction_id
        FROM ledger_transaction t JOIN payment_order o ON o.reference = t.transaction_id
            AND o.purpose IN ('hop', 'position', 'prepayment') AND o.repeats_order_id IS NULL
        WHERE t.transaction_id = ANY($1::text[]) AND t.kind IN ('payment', 'prepayment')
    ) AS m
    JOIN payment_order r ON r.order_id = m.root_order_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE WHEN e.debit THEN e.amount_fen ELSE -e.amount_fen END), 0) AS fen
        FROM payment_order o CROSS JOIN LATERAL (
            SELECT debit, amount_fen FROM bank_entry b
            WHERE b.order_id = o.order_id AND b.outcome IN ('paid', 'returned')
            UNION ALL
            SELECT b.debit, b.amount_fen FROM bank_identification n JOIN bank_entry b USING (entry_id)
            WHERE n.order_id = o.order_id AND n.outcome IN ('paid', 'returned')) AS e
        WHERE o.root_order_id = r.order_id) AS bank
    CROSS JOIN LATERAL (
        SELECT sum(o.paid_fen) AS fen FROM payment_order o WHERE o.root_order_id = r.order_id) AS said
    CROSS JOIN LATERAL (
        SELECT coalesce(-sum(l.amount_fen), 0) AS fen FROM ledger_entry l
        WHERE l.book = r.payer AND l.account_kind = 'bank' AND l.transaction_id IN (
            SELECT r.reference UNION ALL
            SELECT e.entry_id FROM payment_order o JOIN bank_entry e USING (order_id)
            WHERE o.root_order_id = r.order_id
            UNION ALL
            SELECT i.id FROM payment_order o JOIN bank_identification n USING (order_id)
            CROSS JOIN LATERAL (VALUES (n.entry_id), (n.identification_id)) AS i(id)
            WHERE o.root_order_id = r.order_id AND n.outcome IN ('paid', 'returned'))) AS book
    WHERE EXISTS (SELECT FROM payment_order o
                  WHERE o.root_order_id = r.order_id AND o.by_bank AND o.state <> 'declined')
      AND NOT (bank.fen = said.fen AND said.fen = book.fen)
"""
