"""The model of cycles and money: who owes whom what, in plain dictionaries, without a rule or table of the product.

Amounts in fen. A **deal** is a confirmed case; a **pool** is a net position, kept as what its first party (in the order
of the codes) owes the other one, so that it turns round by becoming negative.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from tests.simulation.model import Account

Pair = tuple[str, str]
OPEN, ORDERED, SETTLED, CARRIED, BROUGHT, REPLACED = "open", "ordered", "settled", "carried", "brought", "replaced"


@dataclass
class Bill:
    """A bill, or a negative one, and the month in which it is cleared."""

    facility: str
    home: str
    month: str
    owed_fen: int


@dataclass
class Decided:
    """What two people of an agency decided to deduct from a facility, or to give back to it, and what is left of it."""

    agency: str
    facility: str
    account: str
    """retention or deductions: what it is given back of, or taken to."""
    adds: bool
    """It is given back."""
    order: tuple[datetime, str]
    """When it was decided, and its id."""
    amount_fen: int
    left_fen: int
    """What no payment has taken yet."""
    returned_fen: int = 0
    """What was decided to be given back of it."""


@dataclass
class Deal:
    """One case that all its parties confirmed."""

    case_id: str
    parties: tuple[str, ...]
    """The facility, then the agencies from care to home: each is owed by the next one."""
    clearing: str
    owed_fen: int
    """Negative when the facility is to give back."""
    confirmed: datetime
    """When the last party did."""
    cycle_id: str | None = None

    def debts(self, netting: str) -> list[tuple[str, str, str]]:
        """Who owes whom by a netting, and what tells the pools of the same two parties apart."""
        hops = [(debtor, creditor) for creditor, debtor in pairwise(self.parties)]
        facility, agencies = hops[0], hops[1:]
        if netting == "multilateral":
            care, home = self.parties[1], self.parties[-1]
            agencies = [(d, c) for d, c in ((self.clearing, care), (home, self.clearing)) if d != c]
        own = f"{self.case_id} " if netting == "gross" else ""
        return [(*facility, ""), *((d, c, own and f"{own}{d}") for d, c in agencies)]


@dataclass(eq=False)
class Pool:
    """One net position."""

    one: str
    other: str
    facility: str | None
    cycle_id: str
    legs: dict[str, int] = field(default_factory=dict)
    """By case what `one` owes `other`."""
    brought: Pool | None = None
    """What an earlier cycle carried."""
    state: str = OPEN
    position_id: str = ""
    kept: list[tuple[Decided | None, int]] = field(default_factory=list)
    """What is kept of it: by the terms (None) or a decision, and how much; negative where it is given back."""

    @property
    def owed_fen(self) -> int:
        """What `one` owes `other`, before anything is kept of it."""
        return sum(self.legs.values()) + (self.brought.owed_fen if self.brought else 0)

    @property
    def amount_fen(self) -> int:
        """What is to be paid."""
        return abs(self.owed_fen) - sum(fen for _, fen in self.kept)

    @property
    def payer(self) -> str:
        """Who pays."""
        return self.one if self.owed_fen >= 0 else self.other

    @property
    def payee(self) -> str:
        """Who is paid."""
        return self.other if self.owed_fen >= 0 else self.one

    @property
    def proof(self) -> tuple[str, str, int, frozenset[tuple[str, int]]]:
        """What it is known by on both sides."""
        sign = 1 if self.payer == self.one else -1
        return self.one, self.other, sign * self.amount_fen, frozenset(self.legs.items())

    def owed_by_payer(self, case_id: str) -> int:
        """What a case adds to what the payer owes."""
        return self.legs[case_id] if self.owed_fen >= 0 else -self.legs[case_id]


@dataclass(eq=False)
class Debt:
    """What is to be paid, by one order or several that repeat each other."""

    purpose: str
    reference: str
    payer: str
    payee: str
    """"" for a person."""
    amount_fen: int
    paid_fen: int = 0
    settled: bool = False


class Money:
    """Books, cycles, prepayments and debts."""

    def __init__(self) -> None:
        self.balances: defaultdict[Account, int] = defaultdict(int)
        self.paid: defaultdict[str, int] = defaultdict(int)
        """What each party's bank account was debited, less what came in."""
        self.deals: dict[str, Deal] = {}
        self.pools: list[Pool] = []
        self.movements: dict[str, tuple[Pair, int, str]] = {}
        """Prepayment movements: lender and holder, what it adds, its state."""
        self.held: defaultdict[Pair, int] = defaultdict(int)
        """By lender and holder."""
        self.owed: defaultdict[Pair, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        """What a lender owed a holder, by month of care."""
        self.debts: dict[str, Debt] = {}
        self.orders: dict[str, Debt] = {}
        """The debt of every order."""
        self.bills: dict[str, Bill] = {}
        self.permille: dict[str, int] = {}
        """What each agency retains of what it pays facilities, in thousandths."""
        self.decided: dict[str, Decided] = {}
        """What was decided to deduct or give back, by id."""

    # Bills and cases

    def comes_to(self, facility: str, home: str, month: str) -> int:
        """What a case comes to."""
        return sum(b.owed_fen for b in self.bills.values() if (b.facility, b.home, b.month) == (facility, home, month))

    def in_case(self, facility: str, home: str, month: str) -> list[str]:
        """The bills of a case."""
        return [i for i, b in self.bills.items() if (b.facility, b.home, b.month) == (facility, home, month)]

    def book(self, parties: Sequence[str], fund_fen: int, account_fen: int) -> None:
        """A bill, or a negative one: everybody in its chain owes it to the one before."""
        due = fund_fen + account_fen
        for creditor, debtor in pairwise(parties):
            self.balances[creditor, "receivable", debtor] += due
            self.balances[debtor, "payable", creditor] -= due
        self.balances[parties[0], "medical_income", ""] -= due
        self.balances[parties[-1], "fund_expenditure", ""] += fund_fen
        self.balances[parties[-1], "personal_account", ""] += account_fen

    def confirm(self, deal: Deal, period: str) -> None:
        """All parties confirmed a case."""
        self.deals[deal.case_id] = deal
        way_up = deal.parties[deal.parties.index(deal.clearing) :]
        for holder, lender in pairwise(way_up):
            self.owed[lender, holder][period] += deal.owed_fen

    # Cycles

    def cut(self, cycle_id: str, region: str, netting: str, carries: Collection[str]) -> list[Deal]:
        """A cycle takes every deal of a clearing agency that is in none; `carries` are the regions that carry."""
        taken = self.uncleared(region)
        pools: dict[tuple[str, str, str], Pool] = {}
        for deal in taken:
            deal.cycle_id = cycle_id
            self._to_clearing(deal, netting, 1)
            for debtor, creditor, apart in deal.debts(netting):
                one, other = sorted((debtor, creditor))
                facility = deal.parties[0] if deal.parties[0] in (one, other) else None
                pool = pools.setdefault((one, other, apart), Pool(one, other, facility, cycle_id))
                pool.legs[deal.case_id] = deal.owed_fen if debtor == one else -deal.owed_fen
        for pool in pools.values():
            pool.brought = self._carried(pool)
        for pool in pools.values():
            self._place(pool, carries)
        return taken

    def uncleared(self, region: str) -> list[Deal]:
        """What a cycle of a clearing agency would take."""
        return [d for d in self.deals.values() if d.clearing == region and d.cycle_id is None and d.owed_fen]

    def _to_clearing(self, deal: Deal, netting: str, sign: int) -> None:
        """What a deal's parties owe each other goes to their clearing accounts, or back."""
        amount = sign * deal.owed_fen
        for creditor, debtor in pairwise(deal.parties):
            self.balances[creditor, "receivable", debtor] -= amount
            self.balances[debtor, "payable", creditor] += amount
        for debtor, creditor, _ in deal.debts(netting):
            self.balances[debtor, "clearing", creditor] -= amount
            self.balances[creditor, "clearing", debtor] += amount

    def _carried(self, pool: Pool) -> Pool | None:
        """What waits between the same facility and agency."""
        same = (pool.one, pool.other)
        return next((p for p in self.pools if p.state == CARRIED and (p.one, p.other) == same), None)

    def _place(self, pool: Pool, carries: Collection[str]) -> None:
        """A new pool: settled when nothing is owed, carried when a facility owes and its agency carries."""
        if pool.brought is not None:
            pool.brought.state = BROUGHT
        facility_owes = pool.payer == pool.facility and pool.owed_fen != 0
        if facility_owes and pool.payee in carries and self._carried(pool) is None:
            pool.state = CARRIED
        if pool.payee == pool.facility:
            self._keep(pool)
        self.pools.append(pool)
        if pool.amount_fen == 0:
            self._settle(pool)

    def _keep(self, pool: Pool) -> None:
        """Less is paid to a facility: first what the terms retain; more, by what is given back; then deductions."""
        owed_fen, agency = abs(pool.owed_fen), pool.payer
        retained_fen = (owed_fen * self.permille.get(agency, 0) + 500) // 1000
        pool.kept = [(None, retained_fen)] if retained_fen else []
        there_fen = owed_fen - retained_fen
        waits = [d for d in self.decided.values() if (d.agency, d.facility) == (agency, pool.facility) and d.left_fen]
        for one in sorted(waits, key=lambda d: (not d.adds, d.order)):
            fen = one.left_fen if one.adds else min(one.left_fen, there_fen)
            one.left_fen -= fen
            there_fen += fen if one.adds else -fen
            if fen:
                pool.kept.append((one, -fen if one.adds else fen))
        self._book_kept(pool, 1)

    def _book_kept(self, pool: Pool, sign: int) -> None:
        """What is kept of a pool is on accounts of its own at both ends, or, taken back, no more."""
        for one, fen in pool.kept:
            self._move_kept(pool.payer, pool.payee, "retention" if one is None else one.account, "clearing", sign * fen)

    def _move_kept(self, agency: str, facility: str, to: str, of: str, fen: int) -> None:
        """From one kind of account to another, in both books: clearing, retention, deductions."""
        at_agency = {"retention": "retention_held"}
        at_facility = {"retention": "retention_due"}
        self.balances[agency, at_agency.get(of, of), facility] += fen
        self.balances[agency, at_agency.get(to, to), facility] -= fen
        self.balances[facility, at_facility.get(to, to), agency] += fen
        self.balances[facility, at_facility.get(of, of), agency] -= fen

    def _take_back(self, pool: Pool) -> None:
        """A pool is made anew: what was kept of it waits again."""
        self._book_kept(pool, -1)
        for one, fen in pool.kept:
            if one is not None:
                one.left_fen += abs(fen)

    def retained(self) -> dict[Pair, int]:
        """By agency and facility what was retained of what still counts."""
        found: defaultdict[Pair, int] = defaultdict(int)
        for pool in self.pools:
            if pool.state != REPLACED:
                found[pool.payer, pool.payee] += sum(fen for one, fen in pool.kept if one is None)
        return {pair: fen for pair, fen in found.items() if fen}

    def review(self, pair: Pair, index_permille: int, full_permille: int) -> tuple[int, int]:
        """What a year's review gives back of what was retained, and what stays."""
        fen = self.retained()[pair]
        back = fen if index_permille >= full_permille else (fen * index_permille + 500) // 1000
        self._move_kept(*pair, "deductions", "retention", fen - back)
        return back, fen - back

    def _settle(self, pool: Pool) -> None:
        pool.state = SETTLED
        if pool.brought is not None:
            self._settle(pool.brought)

    def live(self) -> list[Pool]:
        """Pools that still count."""
        return [pool for pool in self.pools if pool.state in (OPEN, ORDERED)]

    def waits(self, pool: Pool) -> bool:
        """Whether its payer is still owed money of the same cases."""
        return any(
            p.cycle_id == pool.cycle_id and p.payee == pool.payer and p.owed_by_payer(case) > 0
            for p in self.live()
            for case in p.legs.keys() & pool.legs.keys()
            if pool.owed_by_payer(case) > 0
        )

    def is_closed(self, deal: Deal) -> bool:
        """Whether everything of a case is paid."""
        own = [p for p in self.pools if deal.case_id in p.legs and p.state != REPLACED]
        return deal.owed_fen == 0 or (bool(own) and all(p.state == SETTLED for p in own))

    # Who does not pay

    def leaving(self, pool: Pool, money_fen: int) -> list[str]:
        """Cases that leave because so much money is there: nobody confirmed later is paid before somebody earlier."""
        free = [c for c in pool.legs if pool.owed_by_payer(c) > 0 and self._nobody_relies_on(c, pool.cycle_id)]
        free.sort(key=lambda case_id: (self.deals[case_id].confirmed, case_id))
        money_fen -= abs(pool.owed_fen) - sum(pool.owed_by_payer(c) for c in free)
        for number, case_id in enumerate(free):
            money_fen -= pool.owed_by_payer(case_id)
            if money_fen < 0:
                return free[number:]
        return []

    def _nobody_relies_on(self, case_id: str, cycle_id: str) -> bool:
        own = [p for p in self.pools if p.cycle_id == cycle_id and case_id in p.legs and p.state != REPLACED]
        return all(p.state in (OPEN, CARRIED) for p in own)

    def leave(self, cycle_id: str, going: Sequence[str], netting: str, carries: Collection[str]) -> list[Pool]:
        """Cases leave a cycle, and the pools they were in are made anew; those are returned."""
        touched = [
            p for p in self.pools if p.cycle_id == cycle_id and p.state != REPLACED and p.legs.keys() & set(going)
        ]
        for pool in touched:
            pool.state = REPLACED
            self._take_back(pool)
        for case_id in going:
            self._to_clearing(self.deals[case_id], netting, -1)
            self.deals[case_id].cycle_id = None
        made = []
        for old in touched:
            legs = {case_id: fen for case_id, fen in old.legs.items() if case_id not in going}
            if legs or old.brought:
                pool = Pool(old.one, old.other, old.facility, cycle_id, legs, old.brought)
                self._place(pool, carries)
                made.append(pool)
        return made

    # Money

    def unknown(self, party: str, debit_fen: int) -> None:
        """A movement of a bank account that nobody knows; a credit is negative."""
        self.balances[party, "suspense", ""] += debit_fen
        self.balances[party, "bank", ""] -= debit_fen

    def identified(self, party: str, debit_fen: int, as_what: str) -> None:
        """It was something on an account of its own; or, with "", it was a debt, which is paid elsewhere."""
        self.balances[party, "suspense", ""] -= debit_fen
        self.balances[party, as_what or "bank", ""] += debit_fen

    def pay(self, payer: str, payee: str, amount_fen: int, account: str, back: str) -> None:
        """Money goes from bank to bank, against one account at each end."""
        self.balances[payer, account, payee] += amount_fen
        self.balances[payer, "bank", ""] -= amount_fen
        self.balances[payee, "bank", ""] += amount_fen
        self.balances[payee, back, payer] -= amount_fen
        self.paid[payer] += amount_fen
        self.paid[payee] -= amount_fen

    def draw(self, pool: Pool) -> None:
        """A pool is paid out of what the payee holds of the payer."""
        payer, payee, amount = pool.payer, pool.payee, pool.amount_fen
        self.held[payer, payee] -= amount
        self.balances[payer, "clearing", payee] += amount
        self.balances[payer, "prepayment_lent", payee] -= amount
        self.balances[payee, "prepayment_held", payer] += amount
        self.balances[payee, "clearing", payer] -= amount
        self._settle(pool)

    def grant(self, agency: str, amount_fen: int) -> None:
        """A payout is approved."""
        self.balances[agency, "fund_expenditure", ""] += amount_fen
        self.balances[agency, "benefits_payable", ""] -= amount_fen

    def pool_of(self, position_id: str) -> Pool:
        """The pool of a position."""
        return next(pool for pool in self.pools if pool.position_id == position_id)

    def is_pending(self, pair: Pair) -> bool:
        """Whether a movement of a prepayment is not paid yet."""
        return any(own == pair and state != SETTLED for own, _, state in self.movements.values())

    def available(self, pair: Pair) -> int:
        """What can be paid out of a prepayment: what is held and not about to be given back."""
        moving = [adds for own, adds, state in self.movements.values() if own == pair and state != SETTLED]
        return max(0, self.held[pair] + sum(adds for adds in moving if adds < 0))

    def state_of(self, debt: Debt) -> str:
        """Where what a debt pays stands."""
        if debt.purpose == "position":
            return self.pool_of(debt.reference).state
        return self.movements[debt.reference][2] if debt.purpose == "prepayment" else ORDERED

    def move(self, debt: Debt, state: str) -> None:
        """What a debt pays is ordered, or given back."""
        if debt.purpose == "position":
            self.pool_of(debt.reference).state = state
        elif debt.purpose == "prepayment":
            pair, adds, _ = self.movements[debt.reference]
            self.movements[debt.reference] = (pair, adds, state)

    def can_take(self, debt: Debt) -> bool:
        """Whether what a debt pays is there to be ordered."""
        free = self.state_of(debt) == OPEN
        return free and not (debt.purpose == "position" and self.waits(self.pool_of(debt.reference)))

    def moved(self, debt: Debt, change_fen: int) -> None:
        """The bank debited an order of a debt, or, negative, gave back: it settles once, the rest is on suspense."""
        debt.paid_fen += change_fen
        if debt.purpose == "payout":
            self.balances[debt.payer, "benefits_payable", ""] += change_fen
            self.balances[debt.payer, "bank", ""] -= change_fen
            self.paid[debt.payer] += change_fen
            return
        there = self.state_of(debt) == ORDERED or self.can_take(debt)
        if not debt.settled and debt.paid_fen >= debt.amount_fen and there:
            debt.settled = True
            self._settled(debt)
            change_fen -= debt.amount_fen
        self.pay(debt.payer, debt.payee, change_fen, "suspense", "suspense")

    def _settled(self, debt: Debt) -> None:
        if debt.purpose == "position":
            self.pay(debt.payer, debt.payee, debt.amount_fen, "clearing", "clearing")
            self._settle(self.pool_of(debt.reference))
            return
        pair, adds, _ = self.movements[debt.reference]
        self.movements[debt.reference] = (pair, adds, SETTLED)
        self.held[pair] += adds
        top_up = ("prepayment_lent", "prepayment_held")
        self.pay(debt.payer, debt.payee, debt.amount_fen, *(top_up if adds > 0 else top_up[::-1]))

    def settle_seen(self, debt: Debt) -> None:
        """A debt that nobody ordered was paid, as the payer's account shows."""
        debt.paid_fen = debt.amount_fen
        self._settled(debt)

    def unpaid(self, debts: Iterable[Debt]) -> None:
        """What nothing was paid of, though an order was over, is free again."""
        for debt in debts:
            if not debt.paid_fen and not debt.settled and self.state_of(debt) == ORDERED:
                self.move(debt, OPEN)

    def level_fen(self, pair: Pair, year: int, average_months: int) -> int:
        """Twice the average of the year's months in which anything was owed, rounded half up, and never negative."""
        months = [fen for period, fen in self.owed[pair].items() if fen and period.startswith(f"{year}-")]
        return max(0, (2 * average_months * sum(months) + len(months)) // (2 * len(months))) if months else 0
