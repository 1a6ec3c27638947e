"""The model: what must be in the books, worked out with plain dictionaries, without a rule or table of the product."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

CARE = "411603"
CHAINS = {
    "411603": ("411603",),
    "411681": ("411603", "411600", "411681"),
    "411302": ("411603", "411600", "410000", "411300", "411302"),
}
"""By home region the agencies from care to home: the county itself, another one of the city, one of another city."""
CLEARING = {"411603": "411603", "411681": "411600", "411302": "410000"}

Account = tuple[str, str, str]
"""Book, kind of account, counterparty."""


Stated = tuple[str, bool, int, int, int]
"""Home region, refund, and three sums in fen."""
Difference = tuple[str, Stated | None, Stated | None]
"""A bill as it is stated and as it is booked."""


@dataclass
class ModelBill:
    """One bill, or (negative) its reversal. Amounts in fen."""

    bill_id: str
    home: str
    total_fen: int
    fund_fen: int
    account_fen: int
    refund: bool
    booked_in: int
    """Which of the hospital's months it is booked in."""
    cleared_in: int
    """Which of them pays it: a later one, once an objection to it was accepted."""

    @property
    def payable_fen(self) -> int:
        """What the agencies owe the hospital for it."""
        return self.fund_fen + self.account_fen

    @property
    def figures(self) -> Stated:
        """What is stated of it."""
        return self.home, self.refund, self.total_fen, self.fund_fen, self.account_fen


@dataclass
class ModelMonth:
    """One month of a hospital: what it stated, and who confirmed."""

    stated: dict[str, Stated] | None = None
    """The bills as stated; None before the first statement."""
    has_lines: bool = False
    books_stand: bool = False
    """It was decided that the books stand for the whole statement, and nothing was booked since."""
    dropped: set[Difference] = field(default_factory=set)
    """Differences that were dropped one by one: that counts as long as their figures are the same."""
    closed: bool = False
    """Somebody confirmed a case of it."""
    confirmed: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Who confirmed, by home region."""
    paid_hops: Counter[str] = field(default_factory=Counter)
    """How many hops were paid, by home region."""
    cycled: set[str] = field(default_factory=set)
    """Home regions whose case is in a cycle."""


@dataclass
class ModelHospital:
    """What must be known of one hospital."""

    code: str
    bills: dict[str, ModelBill] = field(default_factory=dict)
    months: list[ModelMonth] = field(default_factory=lambda: [ModelMonth() for _ in range(3)])
    balances: defaultdict[Account, int] = field(default_factory=lambda: defaultdict(int))
    permille: int = 0
    """What its agency retains of what it is paid, in thousandths."""

    def parties(self, home: str) -> tuple[str, ...]:
        """Everybody in a chain, the hospital first."""
        return (self.code, *CHAINS[home])

    def first_open(self, month: int) -> int:
        """The month that takes what belongs to one."""
        while self.months[month].closed:
            month += 1
        return month

    def book(self, bill: ModelBill) -> bool:
        """A bill comes; whether it is new. Everybody in its chain owes it to the one before."""
        if bill.bill_id in self.bills:
            return False
        bill.booked_in = bill.cleared_in = self.first_open(bill.booked_in)
        self.bills[bill.bill_id] = bill
        self.months[bill.booked_in].books_stand = False
        parties = self.parties(bill.home)
        for creditor, debtor in pairwise(parties):
            self.balances[creditor, "receivable", debtor] += bill.payable_fen
            self.balances[debtor, "payable", creditor] -= bill.payable_fen
        self.balances[self.code, "medical_income", ""] -= bill.payable_fen
        self.balances[bill.home, "fund_expenditure", ""] += bill.fund_fen
        self.balances[bill.home, "personal_account", ""] += bill.account_fen
        return True

    def pay_hop(self, month: int, home: str) -> None:
        """The next hop of a case is paid: from home to the hospital, or back when the case is negative."""
        due, parties = self.payable_fen(month, home), self.parties(home)
        done = self.months[month].paid_hops[home]
        creditor = len(parties) - 2 - done if due > 0 else done
        self.months[month].paid_hops[home] += 1
        one, other = parties[creditor], parties[creditor + 1]
        self.balances[one, "receivable", other] -= due
        self.balances[other, "payable", one] += due
        kept = (due * self.permille + 500) // 1000 if due > 0 and one == self.code else 0
        self.balances[one, "bank", ""] += due - kept
        self.balances[other, "bank", ""] -= due - kept
        self.balances[one, "retention_due", other] += kept
        self.balances[other, "retention_held", one] -= kept

    def payer(self, month: int, home: str) -> str | None:
        """Who pays the next hop of a case; None when nothing is left to pay."""
        due, parties = self.payable_fen(month, home), self.parties(home)
        done = self.months[month].paid_hops[home]
        if due == 0 or done == len(parties) - 1:
            return None
        return parties[len(parties) - 1 - done] if due > 0 else parties[done]

    def cleared(self, month: int, home: str) -> list[ModelBill]:
        """The bills a case pays."""
        return [b for b in self.bills.values() if b.cleared_in == month and b.home == home]

    def payable_fen(self, month: int, home: str) -> int:
        """What a case comes to."""
        return sum(bill.payable_fen for bill in self.cleared(month, home))

    def homes(self, month: int) -> list[str]:
        """Home regions with a case in a month."""
        return sorted(
            {b.home for b in self.bills.values() if month in (b.booked_in, b.cleared_in)}
            | set(self.months[month].confirmed)
        )

    def books(self, month: int) -> dict[str, Stated]:
        """What is booked in a month."""
        return {b.bill_id: b.figures for b in self.bills.values() if b.booked_in == month}

    def differences(self, month: int) -> set[Difference]:
        """Bills that are not stated as they are booked."""
        stated, booked = self.months[month].stated or {}, self.books(month)
        return {
            (bill_id, stated.get(bill_id), booked.get(bill_id))
            for bill_id in stated.keys() | booked.keys()
            if stated.get(bill_id) != booked.get(bill_id)
        }

    def agrees(self, month: int) -> bool:
        """Whether the totals are those of the books."""
        return sums((self.months[month].stated or {}).values()) == sums(self.books(month).values())

    def state(self, month: int, home: str) -> str:
        """Where a case must stand."""
        at = self.months[month]
        if at.closed and at.confirmed[home] == set(self.parties(home)):
            if self.payer(month, home) is None:
                return "closed"
            return "confirmed" if not at.paid_hops[home] else "moving"
        if at.stated is None:
            return "open"
        if at.books_stand or self.agrees(month) or (at.has_lines and self.differences(month) <= at.dropped):
            return "matched"
        return "differences" if at.has_lines else "submitted"


def sums(figures: Iterable[Stated]) -> Counter[tuple[str, bool, str]]:
    """Counts and three sums by home region and refund."""
    found: Counter[tuple[str, bool, str]] = Counter()
    for home, refund, total_fen, fund_fen, account_fen in figures:
        for name, value in (("count", 1), ("total", total_fen), ("fund", fund_fen), ("account", account_fen)):
            found[home, refund, name] += value
    return Counter({key: value for key, value in found.items() if value})


def all_balances(hospitals: Sequence[ModelHospital]) -> dict[Account, int]:
    """What every account must hold."""
    found: defaultdict[Account, int] = defaultdict(int)
    for hospital in hospitals:
        for account, amount in hospital.balances.items():
            found[account] += amount
    return {account: amount for account, amount in found.items() if amount}
