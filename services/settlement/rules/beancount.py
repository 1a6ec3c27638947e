"""One party's book of a month in Beancount's language. Pure.

https://beancount.github.io/docs/beancount_language_syntax.html: debit is positive there as here, so amounts keep their
signs, and every balance is asserted without tolerance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple

from services.settlement.rules.ledger import Account, AccountKind
from shared.money import yuan
from shared.workdays import month_bounds

_ROOTS: Final[Mapping[AccountKind, str]] = MappingProxyType(
    {
        AccountKind.RECEIVABLE: "Assets:Receivable",
        AccountKind.PAYABLE: "Liabilities:Payable",
        AccountKind.FUND_EXPENDITURE: "Expenses:Fund",
        AccountKind.PERSONAL_ACCOUNT: "Expenses:PersonalAccount",
        AccountKind.MEDICAL_INCOME: "Income:Medical",
        AccountKind.BANK: "Assets:Bank",
        AccountKind.CLEARING: "Assets:Clearing",
        AccountKind.PREPAYMENT_LENT: "Assets:PrepaymentLent",
        AccountKind.PREPAYMENT_HELD: "Liabilities:PrepaymentHeld",
        AccountKind.SUSPENSE: "Assets:Suspense",
        AccountKind.BENEFITS_PAYABLE: "Liabilities:Benefits",
        AccountKind.OTHER_INCOME: "Income:Other",
        AccountKind.RETENTION_HELD: "Liabilities:RetentionHeld",
        AccountKind.RETENTION_DUE: "Assets:RetentionDue",
        AccountKind.DEDUCTIONS: "Expenses:Deductions",
    }
)
_FIRST: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


class Posting(NamedTuple):
    """One account and an amount in fen, debit positive."""

    account: Account
    amount_fen: int


def account_name(account: Account) -> str:
    """The name of an account; two accounts never have the same."""
    parts = [_ROOTS[account.kind], *(_component(c) for c in (account.counterparty, account.fund_pay_type) if c)]
    return ":".join(parts)


def _component(code: str) -> str:
    """A code as part of a name: what may not stand there is written as its number between hyphens."""
    text = "".join(c if c.isascii() and c.isalnum() else f"-{ord(c):x}-" for c in code)
    return text if text[0] in _FIRST else f"X-{text}"


def opening(party: str, period: str, balances: Sequence[Posting]) -> Iterator[str]:
    """The head of the file: every account with what it holds at the beginning of the month."""
    first = month_bounds(period)[0]
    yield f'option "title" {_text(f"{party} {period}")}\n'
    yield 'option "operating_currency" "CNY"\n\n'
    for account, _ in balances:
        yield f"{first} open {account_name(account)} CNY\n"
    moved = [posting for posting in balances if posting.amount_fen]
    if moved:
        yield from transaction(first, "opening", "期初余额", {}, moved)


def transaction(
    day: date, payee: str, narration: str, about: Mapping[str, str], postings: Iterable[Posting]
) -> Iterator[str]:
    """One transaction with what is known about it as metadata."""
    yield f"\n{day} * {_text(payee)} {_text(narration)}\n"
    for key, value in about.items():
        yield f"  {key}: {_text(value)}\n"
    for account, amount_fen in postings:
        yield f"  {account_name(account)}  {yuan(amount_fen)} CNY\n"


def closing(period: str, balances: Iterable[Posting]) -> Iterator[str]:
    """The end of the file: what every account must hold after the month."""
    following = month_bounds(period)[1] + timedelta(days=1)
    yield "\n"
    for account, amount_fen in balances:
        yield f"{following} balance {account_name(account)}  {yuan(amount_fen)} ~ 0.00 CNY\n"


def day_in(period: str, value_date: date) -> date:
    """The day a transaction stands at: its own, or the nearest of the month it is booked in."""
    first, last = month_bounds(period)
    return min(max(value_date, first), last)


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
