"""Reading the books: bills, entries, balances, summaries, and the proof that all of it agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from services.settlement.store.archives import HOLDING, archived, entries_and_openings, left_behind
from services.settlement.store.carried import CLEARED_PAGE, cleared
from shared.database import Connection, row_to, rows_to, sums_to
from shared.telemetry import is_sampled

BILL = """
    SELECT b.settlement_id, b.case_id, b.visit_id, b.facility_code, b.facility_settlement_no, b.care_region,
        b.home_region, b.insutype, b.med_type, b.clr_type, b.refund, b.reverses_settlement_id, b.settled_at, b.period,
        b.settled_period, b.total_fen, b.fund_fen, b.account_fen, b.cash_fen, b.hospital_fen, b.payable_fen,
        b.booked_at, b.traceparent,
        (SELECT r.settlement_id FROM bill r WHERE r.reverses_settlement_id = b.settlement_id
         ORDER BY r.settlement_id LIMIT 1) AS reversed_by
    FROM bill b
"""
BILL_BY_ID = BILL + " WHERE b.settlement_id = $1"
BILLS_OF_CASE = f"{BILL} WHERE b.settlement_id = ANY (ARRAY({CLEARED_PAGE})) ORDER BY b.settlement_id"
_ENTRY = """
    SELECT e.transaction_id, e.line_no, e.book, e.account_kind, e.counterparty, e.fund_pay_type, e.amount_fen,
        t.kind, t.case_id, t.period, t.value_date, t.booked_at, t.reverses_transaction_id
    FROM ledger_entry e JOIN ledger_transaction t USING (transaction_id)
"""
ENTRIES_OF_TRANSACTION = _ENTRY + " WHERE e.transaction_id = $1 ORDER BY e.line_no"
ENTRIES_OF_BOOK = (
    _ENTRY
    + """
    WHERE e.book = $1 AND (e.transaction_id, e.line_no) > ($2, $3)
      AND ($4::text IS NULL OR e.account_kind = $4) AND ($5::text IS NULL OR e.counterparty = $5)
      AND ($6::text IS NULL OR t.period = $6) AND ($7::text IS NULL OR t.case_id = $7)
    ORDER BY e.transaction_id, e.line_no LIMIT $8
"""
)
BALANCES = f"""
    SELECT account_kind, counterparty, fund_pay_type, sum(amount_fen) AS balance_fen,
        coalesce(sum(amount_fen) FILTER (WHERE amount_fen > 0), 0) AS debit_fen,
        coalesce(-sum(amount_fen) FILTER (WHERE amount_fen < 0), 0) AS credit_fen,
        sum(entries)::bigint AS entries
    FROM {entries_and_openings("WHERE book = $1")} AS e
    GROUP BY account_kind, counterparty, fund_pay_type ORDER BY account_kind, counterparty, fund_pay_type
"""
# What the bills of a month made each party owe and be owed, and what has moved since.
SUMMARY = """
    SELECT e.book AS party,
        coalesce(sum(e.amount_fen) FILTER (
            WHERE e.account_kind = 'receivable' AND t.kind IN ('bill', 'reversal')), 0)
            AS owed_fen,
        coalesce(-sum(e.amount_fen) FILTER (
            WHERE e.account_kind = 'payable' AND t.kind IN ('bill', 'reversal')), 0)
            AS owing_fen,
        coalesce(sum(e.amount_fen) FILTER (WHERE e.account_kind IN ('fund_expenditure', 'personal_account')),
            0) AS borne_fen,
        coalesce(min(p.paid_fen), 0) AS paid_fen, coalesce(min(p.received_fen), 0) AS received_fen
    FROM settlement_case c JOIN ledger_transaction t USING (case_id) JOIN ledger_entry e USING (transaction_id)
    LEFT JOIN (
        SELECT party, sum(amount_fen) FILTER (WHERE pays) AS paid_fen,
            sum(amount_fen) FILTER (WHERE NOT pays) AS received_fen
        FROM settlement_case c JOIN hop h USING (case_id)
        CROSS JOIN LATERAL (VALUES (h.payer, true), (h.payee, false)) AS ends(party, pays)
        WHERE h.state = 'paid' AND c.period = $1 AND (c.facility_code = $2 OR c.chain && $3::text[])
        GROUP BY party
    ) AS p ON p.party = e.book
    WHERE c.period = $1 AND (c.facility_code = $2 OR c.chain && $3::text[])
    GROUP BY e.book ORDER BY e.book
"""
_EVERYTHING = entries_and_openings()
PROOF_LEDGER = f"""
    SELECT coalesce(sum(entries), 0)::bigint AS entries, coalesce(sum(amount_fen), 0) AS sum_fen,
        count(DISTINCT book) AS books,
        coalesce(sum(amount_fen) FILTER (WHERE account_kind = 'receivable'), 0) AS receivable_fen,
        coalesce(-sum(amount_fen) FILTER (WHERE account_kind = 'payable'), 0) AS payable_fen,
        (SELECT count(*) FROM (SELECT FROM {_EVERYTHING} AS e GROUP BY book HAVING sum(amount_fen) <> 0) AS off)
            AS books_off,
        (SELECT count(*) FROM (
            SELECT FROM ledger_entry GROUP BY transaction_id, book HAVING sum(amount_fen) <> 0) AS off)
            AS transactions_off
    FROM {_EVERYTHING} AS e
"""
PROOF_BOOKS = f"""
    SELECT book, sum(entries)::bigint AS entries, sum(amount_fen) AS sum_fen,
        coalesce(sum(amount_fen) FILTER (WHERE amount_fen > 0), 0) AS debit_fen
    FROM {_EVERYTHING} AS e GROUP BY book ORDER BY book
"""
# Nothing but bills leaves, so that no opening holds what a payout is borne by.
PROOF_BILLS = f"""
    SELECT coalesce(sum(bills), 0)::bigint AS bills, coalesce(sum(reversals), 0)::bigint AS reversals,
        coalesce(sum(total_fen), 0) AS total_fen, coalesce(sum(fund_fen), 0) AS fund_fen,
        coalesce(sum(account_fen), 0) AS account_fen, coalesce(sum(payable_fen), 0) AS payable_fen,
        (SELECT coalesce(sum(fen), 0) FROM (
            SELECT e.amount_fen AS fen FROM ledger_entry e JOIN ledger_transaction t USING (transaction_id)
            WHERE e.account_kind IN ('fund_expenditure', 'personal_account')
                AND t.kind NOT IN ('payout', 'payout_reversal')
            UNION ALL
            SELECT debit_fen - credit_fen FROM {left_behind("ledger_opening")} AS o
            WHERE account_kind IN ('fund_expenditure', 'personal_account')) AS borne) AS borne_fen,
        (SELECT coalesce(-sum(amount_fen), 0) FROM {_EVERYTHING} AS e
         WHERE account_kind = 'medical_income') AS income_fen,
        (SELECT count(*) FROM bill b FULL JOIN
            (SELECT transaction_id FROM ledger_transaction WHERE kind IN ('bill', 'reversal')) AS t
            ON t.transaction_id = b.settlement_id
         WHERE b.settlement_id IS NULL OR (t.transaction_id IS NULL AND b.payable_fen <> 0)) AS unbooked
    FROM (
        SELECT count(*) AS bills, count(*) FILTER (WHERE refund) AS reversals, sum(total_fen) AS total_fen,
            sum(fund_fen) AS fund_fen, sum(account_fen) AS account_fen, sum(payable_fen) AS payable_fen FROM bill
        UNION ALL
        SELECT bills, reversals, total_fen, fund_fen, account_fen, payable_fen FROM {HOLDING} AS h
    ) AS all_bills
"""
# What one party's book holds as receivable from another is what the other's holds as payable to it; so with cleared
# hops, and with prepayments.
PROOF_MIRROR = f"""
    SELECT count(*) FROM (
        SELECT FROM (
            SELECT 'owed' AS kind, book AS creditor, counterparty AS debtor, amount_fen FROM {_EVERYTHING} AS e
            WHERE account_kind = 'receivable'
            UNION ALL
            SELECT 'owed', counterparty, book, amount_fen FROM {_EVERYTHING} AS e WHERE account_kind = 'payable'
            UNION ALL
            SELECT 'cleared', least(book, counterparty), greatest(book, counterparty), amount_fen FROM ledger_entry
            WHERE account_kind = 'clearing'
            UNION ALL
            SELECT 'prepaid', book, counterparty, amount_fen FROM ledger_entry WHERE account_kind = 'prepayment_lent'
            UNION ALL
            SELECT 'prepaid', counterparty, book, amount_fen FROM ledger_entry WHERE account_kind = 'prepayment_held'
            UNION ALL
            SELECT 'suspended', least(book, counterparty), greatest(book, counterparty), amount_fen FROM ledger_entry
            WHERE account_kind = 'suspense' AND counterparty <> ''
        ) AS ends GROUP BY kind, creditor, debtor HAVING sum(amount_fen) <> 0
    ) AS off
"""
PROOF_CASES = f"""
    SELECT
        (SELECT count(*) FROM settlement_case c
         WHERE c.numbers_hash IS NOT NULL AND (c.bill_count, c.total_fen, c.fund_fen, c.account_fen) IS DISTINCT FROM
            (SELECT (coalesce(sum(b.bills), 0)::bigint, coalesce(sum(b.total_fen), 0)::bigint,
                     coalesce(sum(b.fund_fen), 0)::bigint, coalesce(sum(b.account_fen), 0)::bigint)
             FROM (SELECT 1 AS bills, total_fen, fund_fen, account_fen FROM {cleared("= c.case_id")} AS b
                   UNION ALL
                   SELECT bill_count, total_fen, fund_fen, account_fen FROM {left_behind("ledger_archived_case")} AS k
                   WHERE k.case_id = c.case_id) AS b)) AS numbers_off,
        (SELECT count(*) FROM confirmation f JOIN settlement_case c USING (case_id)
         WHERE c.numbers_hash <> f.numbers_hash AND NOT EXISTS (
            SELECT FROM carried_confirmation k
            WHERE (k.case_id, k.party, k.to_hash) = (f.case_id, f.party, c.numbers_hash))) AS confirmations_off,
        (SELECT count(*) FROM settlement_case c JOIN hop h USING (case_id)
         WHERE h.amount_fen <> abs(c.payable_fen)) AS hops_off,
        (SELECT count(*) FROM settlement_case c
         WHERE (SELECT count(*) FROM hop h WHERE h.case_id = c.case_id) <>
            CASE WHEN c.state IN ('confirmed', 'remitting', 'disbursing', 'closed') AND c.payable_fen <> 0
                 THEN cardinality(c.chain) ELSE 0 END) AS chains_off,
        (SELECT count(*) FROM hop h FULL JOIN payment p USING (case_id, hop_no)
         LEFT JOIN (SELECT n.case_id, n.hop_no FROM position_hop n JOIN clearing_position q USING (position_id)
                    WHERE n.live AND q.state = 'settled') AS cleared USING (case_id, hop_no)
         WHERE coalesce(h.state = 'paid', false) <> (p.paid_at IS NOT NULL OR cleared.case_id IS NOT NULL)
            OR h.amount_fen <> p.amount_fen + (
                SELECT coalesce(sum(CASE WHEN s.kind IN ('retention', 'deduction') THEN s.amount_fen
                    ELSE -s.amount_fen END), 0) FROM set_off s WHERE s.payment_id = p.payment_id)) AS payments_off,
        (SELECT count(*) FROM payment p
         FULL JOIN (SELECT * FROM ledger_transaction WHERE kind = 'payment' AND case_id IS NOT NULL) t
            ON t.transaction_id = p.payment_id
         WHERE coalesce(p.paid_at IS NOT NULL AND p.amount_fen > 0, false) <> (t.transaction_id IS NOT NULL))
            AS payments_unbooked,
        (SELECT coalesce(sum(amount_fen), 0) FROM (
            SELECT amount_fen FROM payment WHERE paid_at IS NOT NULL
            UNION ALL SELECT amount_fen FROM clearing_position WHERE settled_by = 'payment'
            UNION ALL SELECT amount_fen FROM prepayment_movement WHERE kind <> 'draw' AND state = 'settled') AS paid)
            AS paid_fen,
        (SELECT coalesce(sum(e.amount_fen), 0)
         FROM ledger_entry e JOIN ledger_transaction t USING (transaction_id)
         WHERE e.account_kind = 'bank' AND e.amount_fen > 0 AND t.kind IN ('payment', 'prepayment')) AS received_fen
"""
# The classes of the last match add up to the statement and to the books as they stood.
PROOF_CLASSES = """
    SELECT count(*) FROM statement s
    JOIN (SELECT statement_id, match_no, sum(stated_total_fen) AS stated_total, sum(stated_fund_fen) AS stated_fund,
            sum(stated_account_fen) AS stated_account, sum(stated_bill_count) AS stated_count,
            sum(books_total_fen) AS books_total, sum(books_fund_fen) AS books_fund,
            sum(books_account_fen) AS books_account, sum(books_bill_count) AS books_count
          FROM statement_class GROUP BY statement_id, match_no) AS k USING (statement_id, match_no)
    JOIN (SELECT statement_id, sum(total_fen) AS stated_total, sum(fund_fen) AS stated_fund,
            sum(account_fen) AS stated_account, sum(bill_count) AS stated_count, sum(books_total_fen) AS books_total,
            sum(books_fund_fen) AS books_fund, sum(books_account_fen) AS books_account,
            sum(books_bill_count) AS books_count
          FROM statement_total GROUP BY statement_id) AS t USING (statement_id)
    WHERE (k.stated_total, k.stated_fund, k.stated_account, k.stated_count, k.books_total, k.books_fund,
           k.books_account, k.books_count)
       <> (t.stated_total, t.stated_fund, t.stated_account, t.stated_count, t.books_total, t.books_fund,
           t.books_account, t.books_count)
"""
PROOF_STATES = "SELECT state, count(*) FROM settlement_case GROUP BY state ORDER BY state"
UNKNOWN_REVERSALS = f"""
    SELECT r.settlement_id, r.reverses_settlement_id FROM bill r
    WHERE r.reverses_settlement_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM bill b WHERE b.settlement_id = r.reverses_settlement_id)
      AND NOT {archived("r.reverses_settlement_id")}
    ORDER BY r.settlement_id
"""
UNEQUAL_REVERSALS = """
    SELECT r.settlement_id, r.reverses_settlement_id
    FROM bill r JOIN bill b ON b.settlement_id = r.reverses_settlement_id
    WHERE (r.total_fen, r.fund_fen, r.account_fen) <> (-b.total_fen, -b.fund_fen, -b.account_fen)
    ORDER BY r.settlement_id
"""


PROOF_TIMEOUT_S = 300.0
"""A proof goes through every row there is, and so takes longer than the queries of daily work may."""


@dataclass(frozen=True, slots=True)
class BookedBill:
    """A bill as it was booked. Amounts in fen."""

    settlement_id: str
    case_id: str
    visit_id: str
    facility_code: str
    facility_settlement_no: str
    care_region: str
    home_region: str
    insutype: str
    med_type: str
    clr_type: str
    refund: bool
    reverses_settlement_id: str | None
    settled_at: datetime
    period: str
    settled_period: str
    total_fen: int
    fund_fen: int
    account_fen: int
    cash_fen: int
    hospital_fen: int
    payable_fen: int
    booked_at: datetime
    traceparent: str | None
    reversed_by: str | None

    @property
    def trace_id(self) -> str | None:
        """The trace of the bill from the hospital's call on, when it was recorded."""
        return self.traceparent.split("-")[1] if is_sampled(self.traceparent) and self.traceparent else None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One line of a book with its transaction."""

    transaction_id: str
    line_no: int
    book: str
    account_kind: str
    counterparty: str
    fund_pay_type: str
    amount_fen: int
    kind: str
    case_id: str | None
    period: str
    value_date: date
    booked_at: datetime
    reverses_transaction_id: str | None


@dataclass(frozen=True, slots=True)
class Balance:
    """What one account of a book holds: debit positive, credit negative."""

    account_kind: str
    counterparty: str
    fund_pay_type: str
    balance_fen: int
    debit_fen: int
    credit_fen: int
    entries: int


@dataclass(frozen=True, slots=True)
class PartySummary:
    """What a month's bills made one party owe, and what it paid and received since. Amounts in fen."""

    party: str
    owed_fen: int
    owing_fen: int
    borne_fen: int
    paid_fen: int
    received_fen: int


@dataclass(frozen=True, slots=True)
class BookSum:
    """The sum of one book: zero."""

    book: str
    entries: int
    sum_fen: int
    debit_fen: int


@dataclass(frozen=True, slots=True)
class LedgerProof:
    """The ledger against itself."""

    entries: int
    sum_fen: int
    books: int
    receivable_fen: int
    """What is still owed, as the creditors' books say."""
    payable_fen: int
    """The same as the debtors' books say."""
    books_off: int
    transactions_off: int


@dataclass(frozen=True, slots=True)
class BillProof:
    """The bills against the ledger."""

    bills: int
    reversals: int
    total_fen: int
    fund_fen: int
    account_fen: int
    payable_fen: int
    borne_fen: int
    income_fen: int
    unbooked: int


@dataclass(frozen=True, slots=True)
class CaseProof:
    """The cases, hops and payments against bills and ledger."""

    numbers_off: int
    confirmations_off: int
    """Confirmations of other numbers than the case has, that nothing carried over."""
    hops_off: int
    chains_off: int
    payments_off: int
    payments_unbooked: int
    paid_fen: int
    received_fen: int


@dataclass(frozen=True, slots=True)
class ReversalPair:
    """A reversal and the settlement it names."""

    settlement_id: str
    reverses_settlement_id: str


async def bill(tx: Connection, settlement_id: str) -> BookedBill | None:
    """One bill."""
    return row_to(BookedBill, await tx.fetchrow(BILL_BY_ID, settlement_id))


async def bills_of_case(tx: Connection, case_id: str, after: str, limit: int) -> list[BookedBill]:
    """The bills of a case, by id: what its hash is made of."""
    return rows_to(BookedBill, await tx.fetch(BILLS_OF_CASE, case_id, after, limit))


async def entries_of_transaction(tx: Connection, transaction_id: str) -> list[EntryRow]:
    """The lines of one transaction in all books."""
    return rows_to(EntryRow, await tx.fetch(ENTRIES_OF_TRANSACTION, transaction_id))


async def entries_of_book(
    tx: Connection,
    book: str,
    after: tuple[str, int],
    *,
    account_kind: str | None,
    counterparty: str | None,
    period: str | None,
    case_id: str | None,
    limit: int,
) -> list[EntryRow]:
    """Lines of one book after a transaction and line number."""
    wanted = (account_kind, counterparty, period, case_id)
    return rows_to(EntryRow, await tx.fetch(ENTRIES_OF_BOOK, book, *after, *wanted, limit))


async def balances(tx: Connection, book: str) -> list[Balance]:
    """What every account of a book holds."""
    return sums_to(Balance, await tx.fetch(BALANCES, book))


async def summary(tx: Connection, period: str, facility_code: str | None, areas: Sequence[str]) -> list[PartySummary]:
    """The parties of a month's cases that a caller may see."""
    return sums_to(PartySummary, await tx.fetch(SUMMARY, period, facility_code, list(areas)))


async def prove_ledger(tx: Connection) -> LedgerProof:
    """Sums of the whole ledger."""
    return sums_to(LedgerProof, await tx.fetch(PROOF_LEDGER, timeout=PROOF_TIMEOUT_S))[0]


async def prove_books(tx: Connection) -> list[BookSum]:
    """The sum of every book."""
    return sums_to(BookSum, await tx.fetch(PROOF_BOOKS, timeout=PROOF_TIMEOUT_S))


async def prove_bills(tx: Connection) -> BillProof:
    """Sums of all bills beside those of the ledger."""
    return sums_to(BillProof, await tx.fetch(PROOF_BILLS, timeout=PROOF_TIMEOUT_S))[0]


async def prove_mirror(tx: Connection) -> int:
    """Pairs of parties whose books disagree about what one owes the other."""
    return await tx.fetchval(PROOF_MIRROR, timeout=PROOF_TIMEOUT_S)  # type: ignore[no-any-return]


async def prove_cases(tx: Connection) -> CaseProof:
    """Cases, hops and payments that do not agree with what they follow from."""
    return sums_to(CaseProof, await tx.fetch(PROOF_CASES, timeout=PROOF_TIMEOUT_S))[0]


async def prove_classes(tx: Connection) -> int:
    """Statements whose classes do not add up to both sides."""
    return await tx.fetchval(PROOF_CLASSES, timeout=PROOF_TIMEOUT_S)  # type: ignore[no-any-return]


async def case_states(tx: Connection) -> dict[str, int]:
    """How many cases stand where."""
    return {row["state"]: row["count"] for row in await tx.fetch(PROOF_STATES, timeout=PROOF_TIMEOUT_S)}


async def unknown_reversals(tx: Connection) -> list[ReversalPair]:
    """Reversals whose settlement has not arrived (yet)."""
    return rows_to(ReversalPair, await tx.fetch(UNKNOWN_REVERSALS, timeout=PROOF_TIMEOUT_S))


async def unequal_reversals(tx: Connection) -> list[ReversalPair]:
    """Reversals that are not the exact negative of what they name."""
    return rows_to(ReversalPair, await tx.fetch(UNEQUAL_REVERSALS, timeout=PROOF_TIMEOUT_S))
