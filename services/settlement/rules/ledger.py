"""Double entry (复式记账): every party keeps a book, and a transfer inside a book has two ends, so it balances.

Amounts are signed fen. Debit is positive, credit negative; a reversal is booked with negative transfers (红字冲销), so
that nothing is ever edited.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple


class AccountKind(StrEnum):
    """What an account of a book holds."""

    RECEIVABLE = "receivable"
    """应收: what the counterparty owes this party."""
    PAYABLE = "payable"
    """应付: what this party owes the counterparty."""
    FUND_EXPENDITURE = "fund_expenditure"
    """基金支出: what a fund of the home agency bears, by fund type (基金支付类型)."""
    PERSONAL_ACCOUNT = "personal_account"
    """个人账户支出: what the insured pay from their accounts at the home agency."""
    MEDICAL_INCOME = "medical_income"
    """医疗收入: what a facility earned and advanced for the fund (记账)."""
    BANK = "bank"
    """银行存款."""


class Account(NamedTuple):
    """One account of a book. `counterparty` and `fund_pay_type` are "" where the kind has none."""

    kind: AccountKind
    counterparty: str = ""
    fund_pay_type: str = ""


class Transfer(NamedTuple):
    """An amount that moves inside one party's book, from the credited account to the debited one."""

    book: str
    debit: Account
    credit: Account
    amount_fen: int


class Entry(NamedTuple):
    """One line of a transaction in one book: debit positive, credit negative."""

    line_no: int
    book: str
    account: Account
    amount_fen: int


class Share(NamedTuple):
    """What one fund bears of a bill."""

    fund_pay_type: str
    amount_fen: int


MEDICAL_INCOME = Account(AccountKind.MEDICAL_INCOME)
PERSONAL_ACCOUNT = Account(AccountKind.PERSONAL_ACCOUNT)
BANK = Account(AccountKind.BANK)


@lru_cache(maxsize=10_000)
def receivable(counterparty: str) -> Account:
    """What `counterparty` owes."""
    return Account(AccountKind.RECEIVABLE, counterparty)


@lru_cache(maxsize=10_000)
def payable(counterparty: str) -> Account:
    """What is owed to `counterparty`."""
    return Account(AccountKind.PAYABLE, counterparty)


def bill_transfers(
    facility_code: str, agencies: Sequence[str], shares: Iterable[Share], account_fen: int
) -> list[Transfer]:
    """A bill in the books of its whole chain: the facility, then the agencies, care first and home last.

    What the facility advanced is owed to it by the care agency, to each agency by the next one up the chain, and borne
    by the home agency's funds and personal accounts. The local bill has one agency, which is both.
    """
    costs = [
        *((Account(AccountKind.FUND_EXPENDITURE, fund_pay_type=s.fund_pay_type), s.amount_fen) for s in shares),
        (PERSONAL_ACCOUNT, account_fen),
    ]
    payable_fen = sum(amount_fen for _, amount_fen in costs)
    transfers = [Transfer(facility_code, receivable(agencies[0]), MEDICAL_INCOME, payable_fen)]
    previous = facility_code
    for agency, following in pairwise(agencies):
        transfers.append(Transfer(agency, receivable(following), payable(previous), payable_fen))
        previous = agency
    transfers += [Transfer(agencies[-1], cost, payable(previous), amount_fen) for cost, amount_fen in costs]
    return transfers


def payment_transfers(creditor: str, debtor: str, amount_fen: int) -> list[Transfer]:
    """One hop of money in both books: `debtor` pays what it owes `creditor`.

    A negative amount is the same obligation the other way round: the creditor gives back.
    """
    return [
        Transfer(debtor, payable(creditor), BANK, amount_fen),
        Transfer(creditor, BANK, receivable(debtor), amount_fen),
    ]


def entries(transfers: Iterable[Transfer]) -> list[Entry]:
    """The lines of one transaction: one for each account of each book that its transfers change."""
    sums: dict[tuple[str, Account], int] = {}
    for book, debit, credit, amount_fen in transfers:
        sums[book, debit] = sums.get((book, debit), 0) + amount_fen
        sums[book, credit] = sums.get((book, credit), 0) - amount_fen
    changed = [(book, account, amount_fen) for (book, account), amount_fen in sums.items() if amount_fen]
    return [Entry(line_no, *line) for line_no, line in enumerate(changed, 1)]
