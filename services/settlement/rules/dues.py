"""Dues (期限): what one party must do for one case, by which working day, and when it is reminded. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import TypeVar

from services.settlement import errors
from services.settlement.rules.terms import Terms
from shared.refusals import Refusal
from shared.regions import RegionTree
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
    """The day lies beyond the published calendar and is computed again when that changes."""
    started_on: date
    """When the clock began; later than that is `since` only after a suspension, which leaves fewer `working_days`."""
    reminder_distances: tuple[int, ...] = ()
    """Working days left at which it is announced; negative once it is overdue."""
    escalation_distances: tuple[int, ...] = ()
    """Working days after the due day at which the agency above is told, one level each."""
    deemed_consent: bool = False
    """Whether silence is agreement once it is overdue."""
    suspended_on: date | None = None
    """Since when the clock stands still."""


def make_due(calendar: WorkCalendar, case_id: str, kind: DueKind, party: str, *, since: date, working_days: int) -> Due:
    """What is due within some working days of `since`."""
    deadline = calendar.add(since, working_days)
    return Due(case_id, kind, party, since, working_days, deadline.day, deadline.provisional, since)


def due_by_terms(calendar: WorkCalendar, case_id: str, kind: DueKind, party: str, *, since: date, terms: Terms) -> Due:
    """What is due by the terms of the party's region on the day its clock starts."""
    return replace(
        make_due(calendar, case_id, kind, party, since=since, working_days=_days(kind, terms)),
        reminder_distances=terms.reminder_distances,
        escalation_distances=terms.escalation_distances,
        deemed_consent=terms.deemed_consent and kind is DueKind.RECONCILIATION,
    )


def _days(kind: DueKind, terms: Terms) -> int:
    return {
        DueKind.RECONCILIATION: terms.reconciliation_working_days,
        DueKind.REMITTANCE: terms.remittance_working_days,
        DueKind.DISBURSEMENT: terms.disbursement_working_days,
    }[kind]


@dataclass(frozen=True, slots=True)
class PositionClock:
    """By when a net position is to be paid, and at which distances somebody is told."""

    kind: DueKind
    since: date
    working_days: int
    due_on: date
    provisional: bool
    reminder_distances: tuple[int, ...]
    escalation_distances: tuple[int, ...]
    suspended_on: date | None = None
    """Since when the clock stands still."""


Clock = TypeVar("Clock", Due, PositionClock)
"""Whatever stands still and goes on by the same rule."""


def position_clock(calendar: WorkCalendar, kind: DueKind, *, since: date, terms: Terms) -> PositionClock:
    """The clock of a position by the terms of the payer's region on the day it starts."""
    days = _days(kind, terms)
    deadline = calendar.add(since, days)
    told = (terms.reminder_distances, terms.escalation_distances)
    return PositionClock(kind, since, days, deadline.day, deadline.provisional, *told)


def stop(
    calendar: WorkCalendar, due: Due, reasons: Collection[int | None], reason: int | None, today: date
) -> Due | list[Refusal]:
    """The due standing still for one more reason: an objection by its number, or None for an officer's word.

    `reasons` are those for which it stands still already; each counts once.
    """
    if reason in reasons:
        return [errors.DUE_SUSPENDED()]
    return due if reasons else suspend(calendar, due, today)


def go_on(
    calendar: WorkCalendar, due: Due, reasons: Collection[int | None], reason: int | None, today: date
) -> Due | list[Refusal]:
    """The due without one of the reasons it stands still for: running again when that was the last one."""
    if reason not in reasons:
        return [errors.DUE_NOT_SUSPENDED()]
    return due if set(reasons) - {reason} else resume(calendar, due, today)


def suspend(calendar: WorkCalendar, due: Clock, today: date) -> Clock | list[Refusal]:
    """The due with its clock standing still from today on, with the working days that are left of it."""
    if due.suspended_on is not None:
        return [errors.DUE_SUSPENDED()]
    left = calendar.between(max(today, due.since), due.due_on)
    if left < 0:
        return [errors.DUE_OVER()]
    return replace(due, suspended_on=today, working_days=left)


def resume(calendar: WorkCalendar, due: Clock, today: date) -> Clock | list[Refusal]:
    """The due with its clock running again from today on: the working days that were left continue."""
    if due.suspended_on is None:
        return [errors.DUE_NOT_SUSPENDED()]
    since = max(today, due.since)
    deadline = calendar.add(since, due.working_days)
    return replace(due, since=since, due_on=deadline.day, provisional=deadline.provisional, suspended_on=None)


def told_at(level_no: int, party: str, care_region: str, regions: RegionTree) -> str | None:
    """The agency that is told at a level of escalation: of a facility its care agency, then always the one above.

    None where nobody is above.
    """
    place = party if party in regions else care_region
    path = regions.ancestors(place) if place in regions else (place,)
    at = level_no if party == place else level_no - 1
    return path[at] if at < len(path) else None


def consents(calendar: WorkCalendar, due: Due, stood_since: date, today: date) -> bool:
    """Whether a party's silence is agreement today (逾期视为确认).

    Its day is over, and the numbers have stood for as many working days as it had to look at them: whoever sees them
    late has the whole time from then on.
    """
    silent = due.kind is DueKind.RECONCILIATION and due.suspended_on is None and today > due.due_on
    return due.deemed_consent and silent and today > calendar.add(stood_since, due.working_days).day


def recompute(calendar: WorkCalendar, clocks: Iterable[tuple[date, int]]) -> list[tuple[date, int, date, bool]]:
    """For clocks by beginning and working days: those, and when they end by the calendar as it is known now, and
    whether that day is provisional."""
    ends = ((since, days, calendar.add(since, days)) for since, days in clocks)
    return [(since, days, deadline.day, deadline.provisional) for since, days, deadline in ends]


def reached_until(calendar: WorkCalendar, today: date, distance: int) -> date:
    """The latest due day of which at most `distance` working days are left today; negative ones are overdue."""
    day = today
    while calendar.between(today, day) > distance:
        day -= timedelta(days=1)
    while calendar.between(today, day + timedelta(days=1)) <= distance:
        day += timedelta(days=1)
    return day
