"""Clocks (办理时限): by when a case and its step must be done, not counting the time the asker was waited for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from shared.casework.cases import Case
from shared.casework.matters import Matter, Step
from shared.workdays import DueDate, WorkCalendar, shanghai_day


@dataclass(frozen=True, slots=True)
class Due:
    """Where a clock stands."""

    day: date
    """The last day in time; of a suspended clock, what it would be if the clock ran on from today."""
    provisional: bool
    """The day lies beyond the published calendars and will be computed again."""
    suspended: bool
    working_days_left: int
    """Working days after today up to `day`; negative when that many are overdue."""
    overdue: bool


def due(matter: Matter, case: Case, now: datetime, calendar: WorkCalendar) -> Due | None:
    """The clock of the whole case, without the time it waited for the asker; None when the matter has none.

    A closed case keeps the clock it closed with.
    """
    limit = _Limit.of(matter)
    if limit is None:
        return None
    today = shanghai_day(now if case.step else case.acts[-1].at)
    left = limit.days
    for start, end in _running_spans(case, matter.pausing_steps):
        deadline = limit.end(calendar, start, left)
        if end is None or deadline.day < end:
            return _due(deadline, today, calendar)
        # Used up on the very day it was stopped, a clock ends on the day it goes on.
        left = max(0, left - limit.used(calendar, start, end))
    return _due(limit.end(calendar, today, left), today, calendar, suspended=case.step is not None)


def step_due(matter: Matter, case: Case, now: datetime, calendar: WorkCalendar) -> Due | None:
    """The clock of the step the case is at, since it came there; None when the step has none or the case is closed."""
    limit = _Limit.of(matter.step(case.step)) if case.step else None
    if limit is None:
        return None
    entered = list(_visits(case))[-1].entered
    return _due(limit.end(calendar, entered, limit.days), shanghai_day(now), calendar)


@dataclass(frozen=True, slots=True)
class _Limit:
    """How long something may take, in working or in calendar days."""

    days: int
    working: bool

    @classmethod
    def of(cls, declared: Matter | Step) -> _Limit | None:
        if declared.clock_working_days is not None:
            return cls(declared.clock_working_days, working=True)
        return None if declared.clock_days is None else cls(declared.clock_days, working=False)

    def end(self, calendar: WorkCalendar, start: date, days: int) -> DueDate:
        return calendar.add(start, days) if self.working else calendar.add_days(start, days)

    def used(self, calendar: WorkCalendar, start: date, end: date) -> int:
        """Days used between two days; none when the clock was set back between them."""
        return max(0, calendar.between(start, end) if self.working else (end - start).days)


@dataclass(frozen=True, slots=True)
class _Visit:
    step: str
    entered: date
    left: date | None


def _visits(case: Case) -> Iterator[_Visit]:
    """The steps the case has been at, in order; the present one has not been left."""
    entered = shanghai_day(case.opened_at)
    for move in case.acts:
        if move.moved_to is not None:
            left = shanghai_day(move.at)
            yield _Visit(move.step, entered, left)
            entered = left
    if case.step is not None:
        yield _Visit(case.step, entered, None)


def _running_spans(case: Case, pausing: Collection[str]) -> Iterator[tuple[date, date | None]]:
    """From when to when the clock ran. Neighbouring steps make one span, or a deadline missed between them is lost."""
    for paused, visits in groupby(_visits(case), key=lambda visit: visit.step in pausing):
        if not paused:
            span = list(visits)
            yield span[0].entered, span[-1].left


def _due(deadline: DueDate, today: date, calendar: WorkCalendar, *, suspended: bool = False) -> Due:
    return Due(
        day=deadline.day,
        provisional=deadline.provisional,
        suspended=suspended,
        working_days_left=calendar.between(today, deadline.day),
        overdue=today > deadline.day,
    )
