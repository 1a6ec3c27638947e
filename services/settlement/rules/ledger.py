"""Double entry (复式记账): every party keeps a book, and a transfer inside a book has two ends, so it balances.

Amounts are signed fen. Debit is positive, credit negative; a reversal is booked with negative transfers (红字冲销), so
that nothing is ever edited.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

VALUE_DATES = (date(1990, 1, 1), date(2200, 1, 1))
"""The first and the last day from which money can count (业务日期): what is beyond is a mistake."""


MOVED_MAX_FEN = 10**13
"""The most one payment, or one movement of a bank account, can come to (一千亿元): more is a slip."""


def is_value_date(day: date) -> bool:
    """Whether money can count from a day."""
    first, last = VALUE_DATES
    return first <= day <= last


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
    CLEARING = "clearing"
    """清算往来: what a cycle's hops with the counterparty came to and was not paid yet; it owes when positive."""
    PREPAYMENT_LENT = "prepayment_lent"
    """预付金 (拨出): what this agency has deposited with the counterparty, for what it will owe."""
    PREPAYMENT_HELD = "prepayment_held"
    """预付金 (收到): what the counterparty has deposited here; it stays the counterparty's."""
    SUSPENSE = "suspense"
    """暂收、暂付款: what the bank moved beside what is settled, by counterparty; by none when nobody knows whose."""
    BENEFITS_PAYABLE = "benefits_payable"
    """应付待遇款: what is owed to insured persons."""
    OTHER_INCOME = "other_income"
    """其他收支: what moved on the bank account and belongs to no order or debt: interest, the treasury, charges."""
    RETENTION_HELD = "retention_held"
    """质量保证金 (预留): what this agency retained of what it paid the counterparty, until the yearly review."""
    RETENTION_DUE = "retention_due"
    """质量保证金 (应收): what the counterparty retained of what it paid this facility."""
    DEDUCTIONS = "deductions"
    """扣款: what the counterparty is not paid, a credit; at the facility what it was not paid, a debit."""


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
BENEFITS_PAYABLE = Account(AccountKind.BENEFITS_PAYABLE)
OTHER_INCOME = Account(AccountKind.OTHER_INCOME)


@lru_cache(maxsize=10_000)
def receivable(counterparty: str) -> Account:
    """What `counterparty` owes."""
    return Account(AccountKind.RECEIVABLE, counterparty)


@lru_cache(maxsize=10_000)
def payable(counterparty: str) -> Account:
    """What is owed to `counterparty`."""
    return Account(AccountKind.PAYABLE, counterparty)


@lru_cache(maxsize=10_000)
def clearing(counterparty: str) -> Account:
    """What cleared hops come to between this party and `counterparty`."""
    return Account(AccountKind.CLEARING, counterparty)


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


def clearing_transfers(path: Sequence[str], amount_fen: int, *, gives_back: bool) -> list[Transfer]:
    """Hops in a row that a cycle takes together, in all their books: the first of the path owes the last one.

    Money would move from each party of the path to the next one. What the hops settle goes to the clearing account at
    both ends and passes through the parties between them. `gives_back` is the negative month, in which what moves is
    what the payer has as a negative receivable.
    """
    leaves, arrives = (receivable, payable) if gives_back else (payable, receivable)
    between = [
        Transfer(path[n], leaves(path[n + 1]), arrives(path[n - 1]), amount_fen) for n in range(1, len(path) - 1)
    ]
    return [
        Transfer(path[0], leaves(path[1]), clearing(path[-1]), amount_fen),
        *between,
        Transfer(path[-1], clearing(path[0]), arrives(path[-2]), amount_fen),
    ]


def position_transfers(payer: str, payee: str, amount_fen: int) -> list[Transfer]:
    """A position is paid: the clearing accounts of both ends against their banks."""
    return [
        Transfer(payer, clearing(payee), BANK, amount_fen),
        Transfer(payee, BANK, clearing(payer), amount_fen),
    ]


def deposit_transfers(lender: str, holder: str, amount_fen: int) -> list[Transfer]:
    """The lender adds to its prepayment with the holder; a negative amount comes back."""
    lent, held = Account(AccountKind.PREPAYMENT_LENT, holder), Account(AccountKind.PREPAYMENT_HELD, lender)
    return [Transfer(lender, lent, BANK, amount_fen), Transfer(holder, BANK, held, amount_fen)]


def draw_transfers(lender: str, holder: str, amount_fen: int) -> list[Transfer]:
    """What the lender owes the holder in a position is paid out of its prepayment."""
    lent, held = Account(AccountKind.PREPAYMENT_LENT, holder), Account(AccountKind.PREPAYMENT_HELD, lender)
    return [
        Transfer(lender, clearing(holder), lent, amount_fen),
        Transfer(holder, held, clearing(lender), amount_fen),
    ]


def set_off_transfers(agency: str, facility: str, amount_fen: int, *, retained: bool, netted: bool) -> list[Transfer]:
    """A facility is paid less by what is retained or deducted; a negative amount is given back.

    Of a net position it is taken on the clearing accounts, of a hop that is paid by itself on what is owed for it.
    """
    owed, due = (clearing(facility), clearing(agency)) if netted else (payable(facility), receivable(agency))
    at_agency = Account(AccountKind.RETENTION_HELD if retained else AccountKind.DEDUCTIONS, facility)
    at_facility = Account(AccountKind.RETENTION_DUE if retained else AccountKind.DEDUCTIONS, agency)
    return [
        Transfer(agency, owed, at_agency, amount_fen),
        Transfer(facility, at_facility, due, amount_fen),
    ]


def forfeit_transfers(agency: str, facility: str, amount_fen: int) -> list[Transfer]:
    """What was retained of a facility stays with the agency: the yearly review made it a deduction."""
    held, due = Account(AccountKind.RETENTION_HELD, facility), Account(AccountKind.RETENTION_DUE, agency)
    return [
        Transfer(agency, held, Account(AccountKind.DEDUCTIONS, facility), amount_fen),
        Transfer(facility, Account(AccountKind.DEDUCTIONS, agency), due, amount_fen),
    ]


def suspense_transfers(payer: str, payee: str, amount_fen: int) -> list[Transfer]:
    """Money that moved between two parties and settles nothing, in both books; negative when it came back."""
    return [
        Transfer(payer, Account(AccountKind.SUSPENSE, payee), BANK, amount_fen),
        Transfer(payee, BANK, Account(AccountKind.SUSPENSE, payer), amount_fen),
    ]


def unknown_transfers(book: str, debit_fen: int) -> list[Transfer]:
    """A debit of a bank account, or as a negative amount a credit, of which nobody knows what it is for."""
    return [Transfer(book, Account(AccountKind.SUSPENSE), BANK, debit_fen)]


def other_transfers(book: str, debit_fen: int) -> list[Transfer]:
    """A debit of a bank account, or as a negative amount a credit, that has nothing to do with what is settled."""
    return [Transfer(book, OTHER_INCOME, BANK, debit_fen)]


def grant_transfers(agency: str, fund_pay_type: str, amount_fen: int) -> list[Transfer]:
    """A payout is approved: its fund bears it, and it is owed to the person."""
    fund = Account(AccountKind.FUND_EXPENDITURE, fund_pay_type=fund_pay_type)
    return [Transfer(agency, fund, BENEFITS_PAYABLE, amount_fen)]


def payout_transfers(agency: str, amount_fen: int) -> list[Transfer]:
    """A payout leaves the bank; a negative amount came back and is owed again."""
    return [Transfer(agency, BENEFITS_PAYABLE, BANK, amount_fen)]


def entries(transfers: Iterable[Transfer]) -> list[Entry]:
    """The lines of one transaction: one for each account of each book that its transfers change."""
    sums: dict[tuple[str, Account], int] = {}
    for book, debit, credit, amount_fen in transfers:
        sums[book, debit] = sums.get((book, debit), 0) + amount_fen
        sums[book, credit] = sums.get((book, credit), 0) - amount_fen
    changed = [(book, account, amount_fen) for (book, account), amount_fen in sums.items() if amount_fen]
    return [Entry(line_no, *line) for line_no, line in enumerate(changed, 1)]
