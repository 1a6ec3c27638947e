"""The match, bill by bill in plain Python: slow, and written from docs/settlement.md instead of from the query."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

Amounts = tuple[int, int, int]


class Booked(NamedTuple):
    """A bill in the books of a facility."""

    settlement_id: str
    number: str
    refund: bool
    amounts: Amounts
    period: str
    settled_period: str
    reverses: str | None


class Stated(NamedTuple):
    """A line of a statement, in the order of its file."""

    at: int
    number: str
    refund: bool
    settlement_id: str | None
    amounts: Amounts
    settled_period: str | None = None


class Outcome(NamedTuple):
    """Where a bill, a line, or both ended."""

    difference_class: str
    settlement_id: str | None
    line: int | None
    other_period: str | None = None


@dataclass
class Match:
    """One match of a month, or of a day: all bills of the facility or of the chain, the lines of the statement, and
    those of the months, or days, beside.
    """

    period: str
    bills: list[Booked]
    lines: list[Stated]
    beside: dict[str, list[Stated]] = field(default_factory=dict)
    tolerance: int = 0
    by_settlement_id: bool = False
    found: list[Outcome] = field(default_factory=list)

    def outcomes(self) -> list[Outcome]:
        """Every bill of the month and every line, once."""
        bills = sorted((b for b in self.bills if b.period == self.period), key=lambda b: b.settlement_id)
        lines = sorted(self.lines)
        bills, lines, met = self._bulk(bills, lines)
        bills, lines = self._by_id(bills, lines)
        bills, lines = self._by_key(bills, lines, lambda x: (x.number, x.refund, x.amounts), unnamed=True)
        bills, lines = self._by_key(bills, lines, lambda x: (x.number, x.refund), unnamed=True)
        bills, lines = self._by_key(bills, lines, lambda x: (form(x.number), x.refund, x.amounts), unnamed=False)
        self._bills_alone(bills, lines)
        self._lines_alone(bills, lines, met)
        return self.found

    def _pair(self, how: str, bill: Booked, line: Stated) -> None:
        off = max(abs(a - b) for a, b in zip(bill.amounts, line.amounts, strict=True))
        renamed = line.number not in (bill.number, line.settlement_id)
        if off:
            outcome = "within_tolerance" if off <= self.tolerance else "amount_differs"
        else:
            outcome = "key_differs" if how == "form" or (how == "id" and renamed) else "agreed"
        self.found.append(Outcome(outcome, bill.settlement_id, line.at))

    def _bulk(
        self, bills: list[Booked], lines: list[Stated]
    ) -> tuple[list[Booked], list[Stated], dict[int, list[Booked]]]:
        def key(bill: Booked) -> Hashable:
            return bill.settlement_id if self.by_settlement_id else bill.number, bill.refund

        booked, stated = group(bills, key), group(lines, lambda x: (x.number, x.refund))
        met = {line.at: booked.get((line.number, line.refund), []) for line in lines}
        done_bills, done_lines = set(), set()
        for name in booked.keys() & stated.keys():
            (bill, *more), (line, *others) = booked[name], stated[name]
            alike = bill.amounts == line.amounts and line.settlement_id in (None, bill.settlement_id)
            if not more and not others and alike:
                self.found.append(Outcome("agreed", bill.settlement_id, line.at))
                done_bills.add(bill)
                done_lines.add(line)
        return [b for b in bills if b not in done_bills], [x for x in lines if x not in done_lines], met

    def _by_id(self, bills: list[Booked], lines: list[Stated]) -> tuple[list[Booked], list[Stated]]:
        wishes: dict[Booked, list[tuple[bool, bool, int, Stated]]] = defaultdict(list)
        for line in lines:
            own = [b for b in bills if b.settlement_id == line.settlement_id and b.refund == line.refund]
            taken_back = [b for b in bills if b.refund and line.refund and b.reverses == line.settlement_id]
            if line.settlement_id is not None and (own or taken_back):
                bill = (own or taken_back)[0]
                wishes[bill].append((not own, bill.amounts != line.amounts, line.at, line))
        pairs = {bill: min(wanted)[-1] for bill, wanted in wishes.items()}
        for bill, line in pairs.items():
            self._pair("id", bill, line)
        return [b for b in bills if b not in pairs], [x for x in lines if x not in pairs.values()]

    def _by_key(
        self, bills: list[Booked], lines: list[Stated], key: Callable[[Any], Hashable], *, unnamed: bool
    ) -> tuple[list[Booked], list[Stated]]:
        booked = group(bills, key)
        stated = group((x for x in lines if not unnamed or x.settlement_id is None), key)
        pairs = [
            pair for name in booked.keys() & stated.keys() for pair in zip(booked[name], stated[name], strict=False)
        ]
        for bill, line in pairs:
            self._pair("number" if unnamed else "form", bill, line)
        return [b for b in bills if b not in [p[0] for p in pairs]], [
            x for x in lines if x not in [p[1] for p in pairs]
        ]

    def _bills_alone(self, bills: list[Booked], _: list[Stated]) -> None:
        for bill in bills:
            elsewhere = sorted(
                period
                for period, lines in self.beside.items()
                for line in lines
                if (line.refund == bill.refund and bill.number == line.number)
                or (line.refund == bill.refund and bill.settlement_id == line.settlement_id)
            )
            original = [b for b in self.bills if b.settlement_id == bill.reverses]
            if bill.settled_period != bill.period:
                outcome = Outcome("period_differs", bill.settlement_id, None, bill.settled_period)
            elif elsewhere:
                outcome = Outcome("period_differs", bill.settlement_id, None, elsewhere[0])
            elif original and original[0] not in bills:
                outcome = Outcome("reversed_on_one_side", bill.settlement_id, None)
            else:
                outcome = Outcome("missing_in_statement", bill.settlement_id, None)
            self.found.append(outcome)

    def _lines_alone(self, bills: list[Booked], lines: list[Stated], met: dict[int, list[Booked]]) -> None:
        seen: Counter[Hashable] = Counter()
        for line in lines:
            named = next((b for b in self.bills if b.settlement_id == line.settlement_id), None)
            other = self._other_period(line, named)
            names = [(line.number, line.refund)]
            names += [("id", line.settlement_id, line.refund)] if line.settlement_id else []  # type: ignore[list-item]
            again = any(seen[name] for name in names)
            seen.update(names)
            stated_twice = named is not None and named.period == self.period and named.refund == line.refund
            taken = any(bill not in bills for bill in met[line.at])
            if again or stated_twice or taken:
                outcome = "duplicate"
            elif other is not None:
                outcome = "period_differs"
            elif line.refund and (self._takes_back(line, named)):
                outcome = "reversed_on_one_side"
            else:
                outcome = "missing_in_books"
            self.found.append(Outcome(outcome, line.settlement_id, line.at, other))

    def _other_period(self, line: Stated, named: Booked | None) -> str | None:
        if named is not None and named.refund == line.refund and named.period != self.period:
            return named.period
        if named is None:
            elsewhere = sorted(
                b.period
                for b in self.bills
                if (b.number, b.refund) == (line.number, line.refund) and b.period in beside(self.period)
            )
            if elsewhere:
                return elsewhere[0]
        return line.settled_period if line.settled_period != self.period else None

    def _takes_back(self, line: Stated, named: Booked | None) -> bool:
        ours = [b for b in self.bills if b.period == self.period and b.number == line.number and not b.refund]
        return bool(ours) or (named is not None and not named.refund)


def form(number: str) -> str:
    """A number as people copy it: without case, separators and leading zeros. One of nothing else is no number."""
    return re.sub("[^0-9A-Z]", "", number.upper()).lstrip("0") or f"none {number}"


def beside(period: str) -> tuple[str, str]:
    """The months, or the days, before and after."""
    if len(period) == len("2026-11"):
        return months_beside(period)
    day = date.fromisoformat(period)
    return str(day - timedelta(days=1)), str(day + timedelta(days=1))


def months_beside(period: str) -> tuple[str, str]:
    """The months before and after."""
    year, month = int(period[:4]), int(period[5:])
    before, after = divmod(year * 12 + month - 2, 12), divmod(year * 12 + month, 12)
    return f"{before[0]}-{before[1] + 1:02d}", f"{after[0]}-{after[1] + 1:02d}"


def group(items: Iterable[Any], key: Callable[[Any], Hashable]) -> dict[Hashable, list[Any]]:
    """Items by key, in their order."""
    groups: dict[Hashable, list[Any]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
