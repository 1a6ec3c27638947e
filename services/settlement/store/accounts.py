"""One party's accounts: what they held at any moment, and how a month moved them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from services.settlement.rules.ledger import Account, AccountKind
from services.settlement.store.archives import OPENINGS
from services.settlement.store.books import Balance
from shared.database import Connection, rows_to, sums_to

# Of a moment after the archived years: all that their openings hold had been booked by then.
BALANCES_AS_OF = f"""
    SELECT account_kind, counterparty, fund_pay_type, sum(debit_fen - credit_fen) AS balance_fen,
        sum(debit_fen) AS debit_fen, sum(credit_fen) AS credit_fen, sum(entries)::bigint AS entries
    FROM (
        SELECT e.account_kind, e.counterparty, e.fund_pay_type, greatest(e.amount_fen, 0) AS debit_fen,
            greatest(-e.amount_fen, 0) AS credit_fen, 1::bigint AS entries
        FROM ledger_entry e JOIN ledger_transaction t USING (transaction_id)
        WHERE e.book = $1 AND ($2::date IS NULL OR t.value_date <= $2)
            AND ($3::timestamptz IS NULL OR t.booked_at <= $3)
        UNION ALL
        SELECT account_kind, counterparty, fund_pay_type, debit_fen, credit_fen, entries FROM {OPENINGS} AS o
        WHERE book = $1
    ) AS moved
    GROUP BY account_kind, counterparty, fund_pay_type ORDER BY account_kind, counterparty, fund_pay_type
"""
# Of a month after the archived years.
ACCOUNTS_OF_MONTH = f"""
    SELECT account_kind, counterparty, fund_pay_type,
        coalesce(sum(amount_fen) FILTER (WHERE period < $2), 0) AS opening_fen,
        coalesce(sum(amount_fen) FILTER (WHERE period = $2 AND amount_fen > 0), 0) AS debit_fen,
        coalesce(-sum(amount_fen) FILTER (WHERE period = $2 AND amount_fen < 0), 0) AS credit_fen,
        sum(amount_fen) AS closing_fen, count(*) FILTER (WHERE period = $2) AS entries
    FROM (
        SELECT e.account_kind, e.counterparty, e.fund_pay_type, e.amount_fen, t.period
        FROM ledger_entry e JOIN ledger_transaction t USING (transaction_id) WHERE e.book = $1 AND t.period <= $2
        UNION ALL
        SELECT account_kind, counterparty, fund_pay_type, debit_fen - credit_fen, '' FROM {OPENINGS} AS o
        WHERE book = $1
    ) AS moved
    GROUP BY account_kind, counterparty, fund_pay_type ORDER BY account_kind, counterparty, fund_pay_type
"""
MOVEMENTS = """
    SELECT e.transaction_id, e.line_no, e.account_kind, e.counterparty, e.fund_pay_type, e.amount_fen, t.kind,
        t.case_id, t.period, t.value_date, t.booked_at, t.reverses_transaction_id, b.facility_settlement_no
    FROM ledger_entry e JOIN ledger_transaction t USING (transaction_id)
    LEFT JOIN bill b ON b.settlement_id = e.transaction_id
    WHERE e.book = $1 AND t.period = $2
    ORDER BY e.transaction_id, e.line_no
"""
FACILITY_NAME = "SELECT name FROM facility WHERE facility_code = $1"

READING_TIMEOUT_S = 300.0
"""A month of a large agency's book takes longer to add up or write out than the queries of daily work may."""
MOVEMENTS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class AccountMonth:
    """What one account held before a month, how the month moved it, and what it held after. Amounts in fen."""

    account_kind: str
    counterparty: str
    fund_pay_type: str
    opening_fen: int
    debit_fen: int
    credit_fen: int
    closing_fen: int
    entries: int

    @property
    def account(self) -> Account:
        """The account itself."""
        return Account(AccountKind(self.account_kind), self.counterparty, self.fund_pay_type)


@dataclass(frozen=True, slots=True)
class Movement:
    """One entry of a month of a book, with its transaction and, of a bill, the number the facility gave it."""

    transaction_id: str
    line_no: int
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
    facility_settlement_no: str | None

    @property
    def account(self) -> Account:
        """The account it moves."""
        return Account(AccountKind(self.account_kind), self.counterparty, self.fund_pay_type)


async def balances_as_of(
    tx: Connection, book: str, value_date_until: date | None, booked_until: datetime | None
) -> list[Balance]:
    """What every account of a book held, by the value dates up to a day and the bookings up to a moment."""
    rows = await tx.fetch(BALANCES_AS_OF, book, value_date_until, booked_until, timeout=READING_TIMEOUT_S)
    return sums_to(Balance, rows)


async def accounts_of_month(tx: Connection, book: str, period: str) -> list[AccountMonth]:
    """Every account of a book that was ever moved up to a month."""
    return sums_to(AccountMonth, await tx.fetch(ACCOUNTS_OF_MONTH, book, period, timeout=READING_TIMEOUT_S))


async def movements(tx: Connection, book: str, period: str) -> AsyncIterator[Sequence[Movement]]:
    """The entries of a month of a book by transaction, a thousand at a time; needs a transaction."""
    cursor = await tx.cursor(MOVEMENTS, book, period, timeout=READING_TIMEOUT_S)
    while rows := await cursor.fetch(MOVEMENTS_AT_ONCE, timeout=READING_TIMEOUT_S):
        yield rows_to(Movement, rows)


async def facility_name(tx: Connection, code: str) -> str | None:
    """What a facility is called, when settlement has heard of it."""
    return await tx.fetchval(FACILITY_NAME, code)  # type: ignore[no-any-return]
