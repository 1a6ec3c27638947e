"""The counters while one bill is decided: what was used before, and what the bill adds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from shared.policy import undecidable
from shared.policy.decision import Bill, Counters, Fact, Facts
from shared.policy.document import Period
from shared.policy.periods import counter_key, period_of

_WITHIN_BILL = ":"


class Ledger:
    """What is used of every counter, this bill's own use included."""

    __slots__ = ("_before", "_bill", "_moved", "_periods", "_year_begins", "day")

    def __init__(self, counters: Counters, bill: Bill, day: date, year_begins: str) -> None:
        self._before = counters
        self._bill = bill
        self._year_begins = year_begins
        self._moved: dict[str, int] = {}
        self._periods: dict[Period, str] = {}
        self.day = day
        """The day whose periods the bill belongs to."""

    def key(self, counter: str, per: Period, of: Sequence[str], facts: Facts) -> str | None:
        """The counter's name; None when nothing runs beyond the bill. Raises Undecidable when a fact of `of` is not
        known."""
        period = self._period(per)
        return counter_key(counter, period, _values(of, facts)) if period else None

    def line_key(self, counter: str, per: Period, of: Sequence[str], facts: Facts, day: date) -> str:
        """The counter of a limit on lines: runs from line to line even within the bill, and by the line's own day
        where it is of a day. Raises Undecidable as `key`."""
        period = day.isoformat() if per == "day" else self._period(per)
        key = counter_key(counter, period, _values(of, facts))
        return key if period else _WITHIN_BILL + key

    def _period(self, per: Period) -> str:
        period = self._periods.get(per)
        if period is None:
            period = self._periods[per] = period_of(per, self.day, self._year_begins, self._bill)
        return period

    def used(self, key: str) -> int:
        """What was used before and by this bill so far."""
        return self._before.get(key, 0) + self._moved.get(key, 0)

    def add(self, key: str, amount: int) -> None:
        """Use more, or with a negative amount give back."""
        self._moved[key] = self._moved.get(key, 0) + amount

    def changes(self) -> dict[str, int]:
        """What the bill adds to each counter that outlives it."""
        return {key: moved for key, moved in self._moved.items() if moved and not key.startswith(_WITHIN_BILL)}


def _values(of: Sequence[str], facts: Facts) -> list[tuple[str, Fact]]:
    if not of:
        return []
    missing = [fact for fact in of if fact not in facts]
    if missing:
        raise undecidable.fact_missing(missing[0])
    return [(fact, facts[fact]) for fact in of]
