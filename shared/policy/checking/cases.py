"""Cases: whether their amounts, days and ids can be what they say, and whether they fit the pack they belong to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from shared.policy.checking.conditions import check_value, unknown_fact
from shared.policy.checking.counters import counters_of
from shared.policy.checking.facts import KnownFacts
from shared.policy.checking.report import Path, Report
from shared.policy.checking.sites import name_of
from shared.policy.document import Calculation, Case, CaseBill, CaseLine, PackDocument, Question
from shared.policy.formula import FormulaError, parse
from shared.policy.issues import did_you_mean
from shared.policy.vocabulary import STANDARD, Kind

_AMOUNT: Final = 2
_UNIT_PRICE: Final = 6
"""Decimals of a price in the national interface, numeric(16,6)."""
_QUANTITY: Final = 4
_COUNTER: Final = re.compile(r"[a-z][a-z0-9_-]*@\S+")


def check_case(case: Case, report: Report, path: Path = ()) -> None:
    """A case by itself."""
    _check_ids((*path, "bills"), [bill.id for bill in case.bills], report)
    _check_ids((*path, "questions"), [question.id or question.calculate for question in case.questions], report)
    if not case.bills and not case.questions:
        report.error(path, "case.nothing", "没有账单，也没有问题", "there is neither a bill nor a question")
    for index, bill in enumerate(case.bills):
        _check_bill((*path, "bills", index), bill, report)
        _check_reversal((*path, "bills", index), bill, case.bills[:index], report)
    for name in ("own", "family"):
        _amount((*path, "accounts", name), getattr(case.accounts, name), report)
    for counter, value in case.history.items():
        _check_counter((*path, "history", counter), counter, value, report)
    for index, expectation in enumerate(case.expect):
        try:
            parse(expectation.what)
        except FormulaError as error:
            here = (*path, "expect", index, "what")
            report.error(here, "case.formula", error.zh, error.en, shift=error.position)


def check_case_ids(cases: Sequence[Case], report: Report) -> None:
    """Cases of one file."""
    for index, case in enumerate(cases):
        if case.id in [other.id for other in cases[:index]]:
            zh, en = f"案例 `{case.id}` 重复", f"the case `{case.id}` stands here twice"
            report.error((index, "id"), "case.duplicate", zh, en)


def _check_ids(path: Path, ids: Sequence[str | None], report: Report) -> None:
    seen: set[str] = set()
    for index, name in enumerate(ids):
        if name is not None and name_of(name) in seen:
            report.error((*path, index), "case.duplicate", f"`{name}` 重复", f"`{name}` stands here twice")
        seen.add(name_of(name or ""))


def _check_counter(path: Path, counter: str, value: Decimal, report: Report) -> None:
    if not _COUNTER.fullmatch(counter):
        zh, en = "累计须写成 名称@期间，如 basic-fund@2025", "a counter is written name@period, such as basic-fund@2025"
        report.error(path, "case.counter", zh, en, at_key=True)
    elif counter.startswith("admissions"):
        _number(path, value, report, decimals=0)
    else:
        _amount(path, value, report)


# -------------------------------------------------------------------------------------------------- bills


def _check_reversal(path: Path, bill: CaseBill, before: Sequence[CaseBill], report: Report) -> None:
    """A bill has lines of its own, or reverses one before it that none reversed yet."""
    if bill.reverses is None:
        if not bill.lines:
            report.error(path, "pack.missing-key", "缺少 `lines`", "`lines` missing here")
        return
    if bill.lines:
        zh, en = "冲正不带费用明细", "a bill that reverses another has no lines of its own"
        report.error((*path, "lines"), "case.reversal", zh, en, at_key=True)
        return
    if any(name_of(other.reverses or "") == name_of(bill.reverses) for other in before):
        zh, en = f"账单 `{bill.reverses}` 已冲正", f"the bill `{bill.reverses}` is reversed already"
        report.error((*path, "reverses"), "case.reversal", zh, en)
    known = [name for number, other in enumerate(before, start=1) for name in _turns(other, number)]
    if name_of(bill.reverses) not in map(name_of, known):
        zh, en = did_you_mean(bill.reverses, known)
        words = f"此前没有账单 `{bill.reverses}`{zh}", f"there is no bill `{bill.reverses}` before it{en}"
        report.error((*path, "reverses"), "case.unknown-bill", *words)


def _turns(bill: CaseBill, number: int) -> list[str]:
    """The names of a bill's settlements: one, or one for each time that it is repeated."""
    name = bill.id or f"bill{number}"
    if bill.reverses is not None:
        return []
    return [name] if bill.repeat == 1 else [f"{name}_{turn}" for turn in range(1, bill.repeat + 1)]


def _check_bill(path: Path, bill: CaseBill, report: Report) -> None:
    if bill.begins is not None and bill.ends is not None and bill.ends < bill.begins:
        zh, en = f"止于 {bill.ends}，早于起日 {bill.begins}", f"ends on {bill.ends}, before it begins on {bill.begins}"
        report.error((*path, "ends"), "case.dates", zh, en)
    for layer, amount in bill.paid.items():
        _amount((*path, "paid", layer), amount, report)
    numbers = [line.no for line in bill.lines]
    _check_ids((*path, "lines"), numbers, report)
    for index, line in enumerate(bill.lines):
        _check_line((*path, "lines", index), line, report)


def _check_line(path: Path, line: CaseLine, report: Report) -> None:
    _number((*path, "amount"), line.amount, report, decimals=_AMOUNT, signed=True)
    _number((*path, "quantity"), line.quantity, report, decimals=_QUANTITY, signed=True)
    _number((*path, "ceiling"), line.ceiling, report, decimals=_UNIT_PRICE)
    if line.prepay is not None and not 0 <= line.prepay <= 1:
        zh, en = f"比例 {line.prepay} 不在 0 到 1 之间", f"the ratio {line.prepay} is not within 0 to 1"
        report.error((*path, "prepay"), "case.ratio", zh, en)
    given = {key: value for key in ("own", "over_ceiling", "prepaid") if (value := getattr(line, key)) is not None}
    for key, value in given.items():
        _number((*path, key), value, report, decimals=_AMOUNT, signed=line.amount < 0)
    if abs(sum(given.values())) > abs(line.amount):
        zh, en = "各部分之和超过金额", "the parts of the line are more than its amount"
        report.error((*path, "amount"), "case.parts", zh, en)


def _amount(path: Path, value: Decimal, report: Report) -> None:
    _number(path, value, report, decimals=_AMOUNT)


def _number(path: Path, value: Decimal | None, report: Report, *, decimals: int, signed: bool = False) -> None:
    if value is None:
        return
    if value < 0 and not signed:
        report.error(path, "case.negative", f"不能为负：{value}", f"must not be negative: {value}")
    if value != round(value, decimals):
        zh, en = f"{value} 超过{decimals}位小数", f"{value} has more than {decimals} decimals"
        report.error(path, "case.decimals", zh, en)


# ----------------------------------------------------------------------------------------- with their pack


class ExampleCheck:
    """The checks of cases against the pack they are examples of."""

    def __init__(self, document: PackDocument, facts: KnownFacts, report: Report) -> None:
        self._facts = facts
        self._report = report
        self._given = {layer.id for benefit in document.benefits for layer in benefit.layers if layer.pays == "given"}
        self._calculations = {calculation.id: calculation for calculation in document.calculations}
        self._counters = counters_of(document)

    def check(self, path: Path, case: Case) -> None:
        """One example."""
        self._facts_of((*path, "person"), case.person)
        counters = {(*path, "history", name): name.partition("@")[0] for name in case.history}
        for here, counter in counters.items():
            self._known_one(here, counter, self._counters, "case.unknown-counter", "累计", "counter")
        for index, bill in enumerate(case.bills):
            here = (*path, "bills", index)
            self._facts_of((*here, "facts"), bill.facts)
            for number, line in enumerate(bill.lines):
                self._facts_of((*here, "lines", number, "facts"), line.facts)
            words = "given 层", "layer with `pays: given`"
            self._known((*here, "paid"), bill.paid, self._given, "case.unknown-layer", *words)
        for index, question in enumerate(case.questions):
            self._question((*path, "questions", index), question)

    def _facts_of(self, path: Path, facts: Mapping[str, Any]) -> None:
        for name, value in facts.items():
            fact = self._facts.get(name)
            here = (*path, name)
            if fact is None:
                unknown_fact(here, name, self._facts, self._report)
                continue
            standard = STANDARD.get(name)
            if isinstance(value, list) and standard is not None and standard.kind is not Kind.WORDS:
                zh, en = f"`{name}` 只取一个值", f"`{name}` takes one value, not a list"
                self._report.error(here, "pack.fact-kind", zh, en)
                continue
            for one in value if isinstance(value, list) else [value]:
                check_value(here, fact, one, self._report)

    def _question(self, path: Path, question: Question) -> None:
        self._facts_of((*path, "facts"), question.facts)
        calculation = self._calculations.get(question.calculate)
        if calculation is None:
            zh, en = did_you_mean(question.calculate, self._calculations)
            zh, en = f"没有计算 `{question.calculate}`{zh}", f"there is no calculation `{question.calculate}`{en}"
            self._report.error((*path, "calculate"), "case.unknown-calculation", zh, en)
            return
        needs = calculation.needs
        self._known((*path, "inputs"), question.inputs, needs, "case.unknown-input", "输入", "input")
        self._missing(path, question, calculation)

    def _missing(self, path: Path, question: Question, calculation: Calculation) -> None:
        needs = calculation.needs.items()
        missing = [name for name, need in needs if need.default is None and name not in question.inputs]
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            self._report.error(path, "case.input-missing", f"缺少输入 {names}", f"the inputs {names} are missing")

    def _known(self, path: Path, names: Iterable[str], known: Collection[str], code: str, zh: str, en: str) -> None:
        for name in names:
            self._known_one((*path, name), name, known, code, zh, en)

    def _known_one(self, path: Path, name: str, known: Collection[str], code: str, zh: str, en: str) -> None:
        if name not in known:
            hint_zh, hint_en = did_you_mean(name, known)
            words = f"没有{zh} `{name}`{hint_zh}", f"there is no {en} `{name}`{hint_en}"
            self._report.error(path, code, *words, at_key=True)
