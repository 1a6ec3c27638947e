"""Working days (工作日) of the Chinese calendar, and the Asia/Shanghai day and month of a moment.

The State Council publishes each year's holidays (节假日) and make-up working days (调休) in the autumn before it.
Up to the last published year the count is exact; beyond it Monday to Friday count and a date is provisional (暂定),
to be computed again when the year is published.
"""

from __future__ import annotations

import calendar
import hashlib
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import chinese_calendar

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
"""The zone of every day, month and deadline; moments are stored in UTC."""

_PUBLISHED_YEARS: Final = frozenset(day.year for day in chinese_calendar.holidays)
_MONTH: Final = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
_LAST_ORDINAL: Final = date.max.toordinal()


@dataclass(frozen=True, slots=True)
class DueDate:
    """A deadline (办结期限): the last day on which the thing is still in time."""

    day: date
    provisional: bool
    """True when a day on the way there belongs to a year whose holidays are not yet published."""


class WorkCalendar:
    """Which days are worked, and how many of them lie between two days.

    `overrides` say for single days whether they are worked, and win over everything else; a day named there is known.
    `published_years` are years beyond the built-in ones whose holidays and make-up days the overrides hold in full.
    """

    def __init__(self, overrides: Mapping[date, bool] | None = None, published_years: Collection[int] = ()) -> None:
        self._overrides = dict(overrides or {})
        self._years = _PUBLISHED_YEARS | frozenset(published_years)
        working = {**dict.fromkeys(chinese_calendar.holidays, False), **dict.fromkeys(chinese_calendar.workdays, True)}
        working.update(self._overrides)
        # Only the days that break the rule "Monday to Friday" are kept, sorted, so that a count over any span is two
        # searches and not a walk over its days.
        self._closed_weekdays = _ordinals(day for day, open_ in working.items() if _is_weekday(day) and not open_)
        self._open_weekends = _ordinals(day for day, open_ in working.items() if not _is_weekday(day) and open_)
        self._exceptions = frozenset(self._closed_weekdays) | frozenset(self._open_weekends)

    @property
    def digest(self) -> str:
        """Names what the calendar knows: another one when it counts any day otherwise, or knows another year."""
        known = (self._closed_weekdays, self._open_weekends, sorted(self._years), sorted(self._overrides.items()))
        return hashlib.sha256(repr(known).encode()).hexdigest()

    def is_working(self, day: date) -> bool:
        """Whether `day` is worked; where its year is not published, whether it is a Monday to Friday."""
        _refuse_moment(day)
        return _is_weekday(day) != (day.toordinal() in self._exceptions)

    def is_known(self, day: date) -> bool:
        """Whether `is_working` is certain: the year is published, or an override names the day."""
        _refuse_moment(day)
        return day.year in self._years or day in self._overrides

    def add(self, start: date, working_days: int) -> DueDate:
        """The day by which something that began on `start` must be done within `working_days`.

        Counting starts the day after `start` (期间开始之日不计). Zero working days end on `start` itself, or on the
        first working day after it. A deadline beyond 9999-12-31 is that day, provisional. Raises ValueError when
        negative.
        """
        if working_days < 0:
            raise ValueError("working_days must not be negative")
        if working_days == 0:
            due = DueDate(start, provisional=False) if self.is_working(start) else self.add(start, 1)
            return DueDate(due.day, due.provisional or not self.is_known(start))
        target = self._worked_until(start) + working_days
        low, high = start.toordinal(), _LAST_ORDINAL
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._worked_until(date.fromordinal(middle)) >= target else (middle + 1, high)
        last = date.fromordinal(low)
        out_of_days = self._worked_until(last) < target
        return DueDate(last, out_of_days or not self._all_known(start, last))

    def add_days(self, start: date, days: int) -> DueDate:
        """The day by which something must be done within `days` calendar days (自然日) of `start`.

        A last day that is not worked moves to the next working day (民法典 Art. 203). Raises ValueError when negative.
        """
        if days < 0:
            raise ValueError("days must not be negative")
        return self.add(date.fromordinal(min(start.toordinal() + days, _LAST_ORDINAL)), 0)

    def between(self, start: date, end: date) -> int:
        """How many working days lie after `start`, up to and including `end`; negative when `end` is the earlier."""
        return self._worked_until(end) - self._worked_until(start)

    def _worked_until(self, day: date) -> int:
        """Working days from the first day there is up to and including `day`."""
        _refuse_moment(day)
        ordinal = day.toordinal()
        weeks, weekday = divmod(ordinal, 7)  # ordinal 1 is a Monday
        weekdays = weeks * 5 + min(weekday, 5)
        return weekdays - bisect_right(self._closed_weekdays, ordinal) + bisect_right(self._open_weekends, ordinal)

    def _all_known(self, start: date, end: date) -> bool:
        """Whether every day after `start` up to `end` is known."""
        day = start
        while day < end:
            day += timedelta(days=1)
            if not self.is_known(day):
                return False
            if day.year in self._years:
                day = date(day.year, 12, 31)
        return True


def shanghai_day(moment_utc: datetime) -> date:
    """The day in Asia/Shanghai at a moment. Raises ValueError when the moment has no zone."""
    if moment_utc.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    try:
        return moment_utc.astimezone(SHANGHAI).date()
    except OverflowError:
        # Within a day of year 1 or year 9999 the shifted day does not exist; the unshifted one is the outermost.
        return moment_utc.date()


def month_of(day: date) -> str:
    """The month a day belongs to, as "YYYY-MM" (期号)."""
    return f"{day.year:04d}-{day.month:02d}"


def month_bounds(month: str) -> tuple[date, date]:
    """The first and last day of a month "YYYY-MM". Raises ValueError for any other text."""
    if _MONTH.fullmatch(month) is None or month.startswith("0000"):
        raise ValueError("not a month of the form YYYY-MM")
    first = date(int(month[:4]), int(month[5:]), 1)
    return first, first.replace(day=calendar.monthrange(first.year, first.month)[1])


def _is_weekday(day: date) -> bool:
    return day.weekday() < 5


def _ordinals(days: Iterable[date]) -> list[int]:
    return sorted(day.toordinal() for day in days)


def _refuse_moment(day: date) -> None:
    # A datetime is a date to the type checker, but never equals one: it would be looked up in vain, silently.
    if isinstance(day, datetime):
        raise TypeError("a day is wanted, not a moment: use shanghai_day")
