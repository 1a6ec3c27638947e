"""Dues (期限): what one party must do for one case, by which working day, and when it is reminded. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from shared.workdays import WorkCalendar


class DueKind(StrEnum):
    """What is due."""

    RECONCILIATION = "reconciliation"
    """对账: confirm the case."""
    REMITTANCE = "remittance"
    """上解: pay the next agency on the way up."""
    DISBURSEMENT = "disbursement"
    """拨付: pay the next party on the way down."""


@dataclass(frozen=True, slots=True)
class Due:
    """One party's due for one case."""

    case_id: str
    kind: DueKind
    party: str
    since: date
    working_days: int
    due_on: date
    provisional: bool
    """The day lies beyond the published calendar and is computed again until it is certain."""


def make_due(calendar: WorkCalendar, case_id: str, kind: DueKind, party: str, *, since: date, working_days: int) -> Due:
    """What is due within some working days of `since`."""
    deadline = calendar.add(since, working_days)
    return Due(case_id, kind, party, since, working_days, deadline.day, deadline.provisional)


def recompute(calendar: WorkCalendar, dues: Iterable[Due]) -> list[Due]:
    """The dues that end on another day, or for certain, by the calendar as it is known now."""
    now = (
        (d, make_due(calendar, d.case_id, d.kind, d.party, since=d.since, working_days=d.working_days)) for d in dues
    )
    return [after for before, after in now if after != before]


def reached_until(calendar: WorkCalendar, today: date, distance: int) -> date:
    """The latest due day of which at most `distance` working days are left today; negative ones are overdue."""
    day = today
    while calendar.between(today, day) > distance:
        day -= timedelta(days=1)
    while calendar.between(today, day + timedelta(days=1)) <= distance:
        day += timedelta(days=1)
    return day
