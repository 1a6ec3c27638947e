"""What a party states of its bills (汇总表) against the books: totals first, then bill by bill. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from services.settlement import errors
from shared.refusals import Refusal
from shared.workdays import month_bounds


class StatementState(StrEnum):
    """How far a version of a statement is."""

    DETAILS_WANTED = "details_wanted"
    """The totals differ (3201 不平): the facility sends its lines."""
    DIFFERENCES = "differences"
    """The lines were matched and some differ (3202 不平)."""
    MATCHED = "matched"
    """It agrees with the books, or the books stand by decision (平)."""
    REOPENED = "reopened"
    """The books changed after the comparison: it is about to be compared again."""
    REPLACED = "replaced"
    """A newer version counts."""


class DifferenceClass(StrEnum):
    """Where a bill ends in the match: in exactly one class."""

    AGREED = "agreed"
    WITHIN_TOLERANCE = "within_tolerance"
    """In both, with amounts so little apart that the region does not mind (容差内)."""
    AMOUNT_DIFFERS = "amount_differs"
    """In both, with different amounts."""
    KEY_DIFFERS = "key_differs"
    """In both with the same amounts, under numbers or settlement ids that differ in form."""
    PERIOD_DIFFERS = "period_differs"
    """On either side it belongs to another month (跨期): cut off at midnight, or settled in a month closed since."""
    DUPLICATE = "duplicate"
    """Stated once more (重复申报): its bill is taken by another line."""
    REVERSED_ON_ONE_SIDE = "reversed_on_one_side"
    """A refund that only one side knows, of a settlement that the other side has (单边撤销)."""
    MISSING_IN_STATEMENT = "missing_in_statement"
    """Booked, and the facility does not state it."""
    MISSING_IN_BOOKS = "missing_in_books"
    """Stated by the facility, and not booked."""


class Key(NamedTuple):
    """What totals are grouped by: the key of 3201, the home region standing for its agency (setl_optins)."""

    home_region: str
    insutype: str
    clr_type: str
    refund: bool


class Sums(NamedTuple):
    """Three sums in fen and a count, as 3201 compares them."""

    total_fen: int = 0
    fund_fen: int = 0
    account_fen: int = 0
    bill_count: int = 0


class Comparison(NamedTuple):
    """One group of the statement beside the same group of the books."""

    key: Key
    stated: Sums
    books: Sums

    @property
    def equal(self) -> bool:
        """对账结果: 平 or 不平."""
        return self.stated == self.books


class ClassNumbers(NamedTuple):
    """What one match put into one class: the books' side and the statement's."""

    difference_class: DifferenceClass
    books: Sums
    stated: Sums


class Line(NamedTuple):
    """One bill as the facility states it. Amounts in fen, negative for a refund."""

    facility_settlement_no: str
    refund: bool
    settlement_id: str | None
    total_fen: int
    fund_fen: int
    account_fen: int


class Scope(StrEnum):
    """Which bills a statement is about."""

    MONTH = "month"
    """Those of a facility in a month (月对账)."""
    DAY = "day"
    """Those of a facility on one day of it (日对账)."""
    CHAIN = "chain"
    """Those of a month between two regions, as an agency has them in books of its own (机构间对账)."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One version of what a party states."""

    statement_id: str
    party: str
    """Who states: a facility, or an agency of the chain."""
    care_region: str
    period: str
    version_no: int
    state: StatementState
    match_no: int
    """How often it was matched bill by bill."""
    submitted_on: date
    day: date | None = None
    """The day a facility states; None for its whole month."""
    home_region: str | None = None
    """The other end of the chain an agency states; None for a facility."""

    @property
    def scope(self) -> Scope:
        """Which bills it is about."""
        if self.home_region is not None:
            return Scope.CHAIN
        return Scope.MONTH if self.day is None else Scope.DAY

    @property
    def facility_code(self) -> str | None:
        """The facility that states; None for an agency."""
        return self.party if self.home_region is None else None


def check_period(period: str, today: date, *, before_month_end: bool) -> list[Refusal]:
    """What keeps a month from being stated today."""
    first, last = month_bounds(period)
    if today < first:
        return [errors.MONTH_NOT_BEGUN(pointer="/period", period=period)]
    if today <= last and not before_month_end:
        return [errors.MONTH_NOT_OVER(pointer="/period", period=period)]
    return []


def check_day(day: date, period: str, today: date) -> list[Refusal]:
    """What keeps a day from being stated today."""
    first, last = month_bounds(period)
    if not first <= day <= last:
        return [errors.DAY_ELSEWHERE(pointer="/day", period=period)]
    return [errors.DAY_NOT_OVER(pointer="/day", day=str(day))] if today <= day else []


def check_totals(totals: Sequence[tuple[Key, Sums]]) -> list[Refusal]:
    """Groups that appear more than once."""
    seen: set[Key] = set()
    wrong = []
    for number, (key, _) in enumerate(totals):
        if key in seen:
            wrong.append(errors.TOTAL_REPEATED(pointer=f"/totals/{number}"))
        seen.add(key)
    return wrong


def compare(stated: Mapping[Key, Sums], books: Mapping[Key, Sums]) -> list[Comparison]:
    """Every group of either side, in order (对总账)."""
    return [Comparison(key, stated.get(key, Sums()), books.get(key, Sums())) for key in sorted({*stated, *books})]


def by_refund(stated: Mapping[Key, Sums]) -> dict[bool, Sums]:
    """The totals of a statement by whether they are of refunds, as lines can be added up."""
    return {
        refund: _added(sums for key, sums in stated.items() if key.refund is refund)
        for refund in sorted({key.refund for key in stated})
    }


def check_lines_sum(stated: Mapping[Key, Sums], lines: Mapping[bool, Sums]) -> list[Refusal]:
    """Where the lines do not add up to the totals of their statement; the refunds by themselves."""
    wrong, totals = [], by_refund(stated)
    for refund in (False, True):
        ours, theirs = lines.get(refund, Sums()), totals.get(refund, Sums())
        for name, of_lines, of_totals in zip(Sums._fields, ours, theirs, strict=True):
            if of_lines != of_totals:
                what = f"{name}, {'refunds' if refund else 'settlements'}"
                wrong.append(errors.LINES_DO_NOT_ADD_UP(what=what, lines=of_lines, stated=of_totals))
    return wrong


def _added(groups: Iterable[Sums]) -> Sums:
    return Sums(*map(sum, zip(Sums(), *groups, strict=True)))


def adds_up(classes: Iterable[ClassNumbers], books: Iterable[Sums], lines: Iterable[Sums]) -> bool:
    """Whether the classes of a match hold every bill and every line of its two sides, to the fen."""
    sides = [(c.books, c.stated) for c in classes]
    return _added(b for b, _ in sides) == _added(books) and _added(s for _, s in sides) == _added(lines)


def check_lines_wanted(state: StatementState) -> list[Refusal]:
    """Why a statement takes no lines."""
    match state:
        case StatementState.REPLACED:
            return [errors.STATEMENT_REPLACED()]
        case StatementState.MATCHED:
            return [errors.STATEMENT_MATCHED()]
        case _:
            return []


def check_resolvable(state: StatementState) -> list[Refusal]:
    """Why nobody can decide that the books stand."""
    match state:
        case StatementState.REPLACED:
            return [errors.STATEMENT_REPLACED()]
        case StatementState.DIFFERENCES | StatementState.DETAILS_WANTED:
            return []
        case _:
            return [errors.NOTHING_TO_RESOLVE()]
