"""A case run by a policy: bills in a row that carry their counters and account, questions, and what must come out.

Cases are written in yuan; here they become what the engine is given, in whole fen, and its answers are compared with
the case's expectations exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from shared.money import AmountOutOfRange, half_up
from shared.policy.decision import Answered, Bill, BillLine, Counters, Decision, Fact, Facts, NotPaid
from shared.policy.document import Case, CaseBill, CaseLine, Expectation, PackDocument, Question
from shared.policy.engine import Policy, Undecidable
from shared.policy.formula import FormulaError, parse
from shared.policy.vocabulary import STANDARD, Kind

Written: TypeAlias = "str | bool | Decimal | list[str | bool | Decimal]"
Quantity: TypeAlias = "int | Fraction"


@dataclass(frozen=True, slots=True)
class Expected:
    """An expectation and what came out; `got` is None when a quantity it names was not computed, and `why` says so."""

    expectation: Expectation
    got: Fraction | None
    ok: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What a case came to. `counters` has, for each decided bill, those before and after it."""

    case: Case
    pack: str
    version: str
    bills: tuple[tuple[str, Decision], ...]
    counters: tuple[tuple[Counters, Counters], ...]
    answers: tuple[tuple[str, Answered], ...]
    expectations: tuple[Expected, ...]
    counters_before: Counters
    counters_after: Counters
    refused: tuple[tuple[str, NotPaid], ...]
    """Bills and questions the policy cannot decide, by id."""
    reversals: tuple[tuple[str, str, Counters], ...] = ()
    """Reversed bills: the reversal's id, the bill's, and what the counters were before."""

    @property
    def standing(self) -> tuple[tuple[str, Decision], ...]:
        """The bills that no later one reversed."""
        reversed_ = {_name(bill_id) for _, bill_id, _ in self.reversals}
        return tuple((bill_id, decision) for bill_id, decision in self.bills if _name(bill_id) not in reversed_)

    @property
    def ok(self) -> bool:
        """Whether everything was decided and every expectation met."""
        return not self.refused and all(expected.ok for expected in self.expectations)


def fen_of(amount_yuan: Decimal) -> int:
    """The whole fen of an amount in yuan. Raises AmountOutOfRange for parts of a fen or too much money."""
    scaled = amount_yuan.scaleb(2)
    if scaled != scaled.to_integral_value():
        raise AmountOutOfRange(f"not a whole number of fen: {amount_yuan}")
    return half_up(scaled)


def is_count(counter: str) -> bool:
    """Whether a counter counts something, such as admissions, rather than money."""
    return counter.partition("@")[0] in ("admissions", "admissions-of")


def facts_of(written: Mapping[str, Written]) -> dict[str, Fact]:
    """Facts as the engine reads them: what may be several words is a set of them, also when one is written."""
    return {name: _fact(name, value) for name, value in written.items()}


def bill_of(written: CaseBill, person: Facts, document: PackDocument) -> Bill:
    """The engine's bill for a case's; balances of accounts are not in it yet.

    Raises AmountOutOfRange for an amount with parts of a fen.
    """
    begins, ends = _days(written, document.valid.from_)
    return Bill(
        facility=written.facility,
        begins_on=begins,
        ends_on=ends,
        facts={**person, **facts_of(written.facts)},
        lines=tuple(_line(line, number) for number, line in enumerate(written.lines, start=1)),
        episode=written.episode,
        paid_fen={layer: fen_of(amount) for layer, amount in written.paid.items()},
    )


def run_case(policy: Policy, case: Case, *, any_day: bool = False) -> CaseResult:
    """Decide all bills of a case in order, answer its questions, and compare. Nothing undecidable stops it: the
    counters stay, and it is told under `refused`. So is a bill of a day on which the pack is not valid, unless
    `any_day`. Raises AmountOutOfRange for amounts with parts of a fen."""
    running = _Running(policy, case, any_day)
    for number, written in enumerate(case.bills, start=1):
        running.settle(written.id or f"bill{number}", written)
    for question in case.questions:
        running.answer(question)
    return running.result()


class _Running:
    """A case under way."""

    def __init__(self, policy: Policy, case: Case, any_day: bool) -> None:
        self._policy = policy
        self._any_day = any_day
        self._case = case
        self._person = facts_of(case.person)
        self._before = {name: _counted(name, value) for name, value in case.history.items()}
        self._now = dict(self._before)
        self._own_fen = fen_of(case.accounts.own)
        self._family_fen = fen_of(case.accounts.family)
        self._bills: list[tuple[str, Decision]] = []
        self._ledger: list[tuple[Counters, Counters]] = []
        self._answers: list[tuple[str, Answered]] = []
        self._refused: list[tuple[str, NotPaid]] = []
        self._reversals: list[tuple[str, str, Counters]] = []

    def settle(self, bill_id: str, written: CaseBill) -> None:
        """Decide a bill as often as it is repeated, or reverse an earlier one."""
        if written.reverses is not None:
            self._reverse(bill_id, written.reverses)
            return
        bill = bill_of(written, self._person, self._policy.document)
        for turn in range(1, written.repeat + 1):
            self._decide(bill_id if written.repeat == 1 else f"{bill_id}_{turn}", bill, written.use_account)

    def _reverse(self, reversal: str, bill_id: str) -> None:
        """Give back all that a bill moved, and what it took from the accounts."""
        gone = any(_name(name) == _name(bill_id) for _, name, _ in self._reversals)
        known, decision = next((pair for pair in self._bills if _name(pair[0]) == _name(bill_id)), ("", None))
        if decision is None or gone:
            zh, en = f"账单 {bill_id} 没有可冲正的结算", f"the bill {bill_id} has no settlement that could be reversed"
            self._refused.append((reversal, NotPaid("policy.nothing-to-reverse", zh, en)))
            return
        self._reversals.append((reversal, known, self._now))
        self._now = applied(self._now, {name: -change for name, change in decision.changes.items()})
        self._own_fen += decision.account_fen
        self._family_fen += decision.family_fen

    def answer(self, question: Question) -> None:
        """Make one calculation."""
        name = question.id or question.calculate
        facts = {**self._person, **facts_of(question.facts)}
        try:
            self._answers.append((name, self._policy.calculate(question.calculate, facts, question.inputs)))
        except Undecidable as undecidable:
            self._refused.append((name, undecidable.reason))

    def result(self) -> CaseResult:
        """What it came to."""
        reversed_ = {_name(bill_id) for _, bill_id, _ in self._reversals}
        quantities = _Quantities(self._case, self._bills, self._answers, reversed_)
        return CaseResult(
            case=self._case,
            pack=self._policy.document.pack,
            version=self._policy.document.version,
            bills=tuple(self._bills),
            counters=tuple(self._ledger),
            answers=tuple(self._answers),
            expectations=tuple(quantities.compare(expectation) for expectation in self._case.expect),
            counters_before=self._before,
            counters_after=self._now,
            refused=tuple(self._refused),
            reversals=tuple(self._reversals),
        )

    def _decide(self, bill_id: str, bill: Bill, use_account: bool) -> None:
        if use_account:
            bill = _with_account(bill, self._own_fen, self._family_fen)
        if not self._any_day and (reason := not_in_force(self._policy, bill)) is not None:
            self._refused.append((bill_id, reason))
            return
        try:
            decision = self._policy.decide(bill, self._now)
        except Undecidable as undecidable:
            self._refused.append((bill_id, undecidable.reason))
            return
        before, self._now = self._now, applied(self._now, decision.changes)
        self._own_fen -= decision.account_fen
        self._family_fen -= decision.family_fen
        self._bills.append((bill_id, decision))
        self._ledger.append((before, self._now))


def not_in_force(policy: Policy, bill: Bill) -> NotPaid | None:
    """Why the policy does not decide a bill of that day; None when it does."""
    day, valid = policy.deciding_day(bill), policy.document.valid
    if valid.from_ <= day and (valid.to is None or day <= valid.to):
        return None
    until = valid.to.isoformat() if valid.to else ""
    zh = f"政策包自 {valid.from_} 至 {until or '长期'} 有效，{day} 不适用"
    return NotPaid("policy.not-in-force", zh, f"the pack is valid from {valid.from_} to {until or 'now'}, not on {day}")


def applied(counters: Counters, changes: Counters) -> dict[str, int]:
    """The counters after a decision's changes."""
    after = dict(counters)
    for name, change in changes.items():
        after[name] = after.get(name, 0) + change
    return after


class _Unknown(Exception):
    """An expectation names a quantity that was not computed."""


class _Quantities:
    """The quantities of a case's results by the names that expectations use, in yuan."""

    def __init__(
        self, case: Case, bills: list[tuple[str, Decision]], answers: list[tuple[str, Answered]], reversed_: set[str]
    ) -> None:
        self._last = bills[-1][1] if bills else None
        self._all = [decision for bill_id, decision in bills if _name(bill_id) not in reversed_]
        self._bills = {_name(bill_id): decision for bill_id, decision in bills}
        for number, written in enumerate(case.bills, start=1):
            self._name_repeated(_name(written.id or f"bill{number}"), written.repeat)
        self._answers = {_name(question): answer for question, answer in answers}

    def _name_repeated(self, bill_id: str, times: int) -> None:
        last = self._bills.get(f"{bill_id}_{times}")
        if times > 1 and last is not None:
            self._bills[bill_id] = last

    def compare(self, expectation: Expectation) -> Expected:
        """What came out for an expectation."""
        try:
            got = parse(expectation.what).evaluate(self._value)
        except _Unknown as unknown:
            return Expected(expectation, None, ok=False, why=f"no quantity {unknown}")
        except FormulaError as error:
            return Expected(expectation, None, ok=False, why=error.en)
        return Expected(expectation, got, ok=got == Fraction(expectation.is_))

    def _value(self, name: str) -> Fraction:
        owner, _, quantity = name.partition(".")
        if owner == "bills" and quantity:
            return sum((_of_bill(decision, quantity) for decision in self._all), Fraction(0))
        if owner in self._answers and quantity:
            return _of_answer(self._answers[owner], quantity)
        if owner in self._bills and quantity:
            return _of_bill(self._bills[owner], quantity)
        if self._last is None:
            raise _Unknown(name)
        return _of_bill(self._last, name)


def _of_bill(decision: Decision, quantity: str) -> Fraction:
    value = decision.quantities.get(quantity)
    if value is None:
        raise _Unknown(quantity)
    return Fraction(value, 100) if isinstance(value, int) else value


def _of_answer(answer: Answered, step: str) -> Fraction:
    named = {_name(known): known for known in answer.values}
    if step not in named:
        raise _Unknown(step)
    value = answer.values[named[step]]
    return Fraction(value, 100) if answer.units[named[step]] == "yuan" else Fraction(value)


def _name(written_id: str) -> str:
    """An id as formulas name it."""
    return written_id.replace("-", "_")


def _fact(name: str, value: Written) -> Fact:
    if isinstance(value, list):
        return frozenset(str(word) for word in value)
    standard = STANDARD.get(name)
    if standard is not None and standard.kind is Kind.WORDS:
        return frozenset([str(value)])
    return value


def _counted(counter: str, value: Decimal) -> int:
    if not is_count(counter):
        return fen_of(value)
    if value != value.to_integral_value():
        raise AmountOutOfRange(f"not a whole number: {counter} {value}")
    return int(value)


def _days(written: CaseBill, first: date) -> tuple[date, date]:
    """First and last day: one that is not given is the other, or the first day the pack is valid."""
    return written.begins or written.ends or first, written.ends or written.begins or first


def _line(written: CaseLine, number: int) -> BillLine:
    return BillLine(
        no=written.no or str(number),
        amount_fen=fen_of(written.amount),
        facts=facts_of(written.facts),
        quantity=Decimal(1) if written.quantity is None else written.quantity,
        ceiling_fen=None if written.ceiling is None else written.ceiling.scaleb(2),
        prepay=written.prepay,
        own_fen=fen_of(written.own or Decimal(0)),
        over_ceiling_fen=fen_of(written.over_ceiling or Decimal(0)),
        prepay_fen=fen_of(written.prepaid or Decimal(0)),
        day=written.day,
    )


def _with_account(bill: Bill, own_fen: int, family_fen: int) -> Bill:
    return replace(bill, account_fen=own_fen, family_fen=family_fen)
