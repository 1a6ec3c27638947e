"""The life of an agreement: states, which step leads where, and what refuses a step. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from services.designation import errors
from shared.refusals import Refusal


class State(StrEnum):
    """Where an agreement stands."""

    DRAFTED = "drafted"
    """起草, waiting for a second person."""
    IN_FORCE = "in_force"
    """有效."""
    SUSPENDED = "suspended"
    """中止."""
    ENDED = "ended"
    """解除."""


class Step(StrEnum):
    """What can be done to an agreement."""

    SIGN = "sign"
    SUSPEND = "suspend"
    RESTORE = "restore"
    END = "end"


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.DRAFTED, Step.SIGN): State.IN_FORCE,
    (State.IN_FORCE, Step.SUSPEND): State.SUSPENDED,
    (State.SUSPENDED, Step.RESTORE): State.IN_FORCE,
    (State.IN_FORCE, Step.END): State.ENDED,
    (State.SUSPENDED, Step.END): State.ENDED,
}
"""Every step that is possible; all others are refused."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Days of a suspension; `until` is None while it lasts."""

    since: date
    until: date | None = None


@dataclass(frozen=True, slots=True)
class AgreementFacts:
    """An agreement as the rules see it."""

    agreement_id: str
    facility_code: str
    valid_from: date
    valid_to: date
    state: State
    drafted_by: str
    signed_by: str | None
    revision: int
    suspensions: tuple[Interval, ...] = ()


def check_period(valid_from: date, valid_to: date, years_max: int) -> list[Refusal]:
    """What is wrong with the days of a new agreement."""
    wrong = []
    if valid_from > valid_to:
        wrong.append(errors.PERIOD_REVERSED(pointer="/valid_from"))
    if valid_to >= _years_later(valid_from, years_max):
        wrong.append(errors.PERIOD_TOO_LONG(pointer="/valid_to", years=years_max))
    return wrong


def _years_later(day: date, years: int) -> date:
    """The same day some years later; the 29th of February becomes the 1st of March."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def take_step(facts: AgreementFacts, step: Step, actor: str, day: date | None) -> AgreementFacts | list[Refusal]:
    """The agreement after a step, or everything that speaks against it. `day` is the step's day, where it has one."""
    state = TRANSITIONS.get((facts.state, step))
    wrong: list[Refusal] = []
    if state is None:
        wrong.append(errors.STEP_NOT_ALLOWED(state=facts.state, step=step))
    if step is Step.SIGN and actor == facts.drafted_by:
        wrong.append(errors.SAME_PERSON())
    wrong += _check_day(facts, day)
    if wrong or state is None:
        return wrong
    changed = replace(facts, state=state, revision=facts.revision + 1)
    match step:
        case Step.SIGN:
            return replace(changed, signed_by=actor)
        case Step.SUSPEND if day is not None:
            return replace(changed, suspensions=(*facts.suspensions, Interval(day)))
        case Step.RESTORE if day is not None:
            return replace(changed, suspensions=_restored(facts.suspensions, day))
        case Step.END if day is not None:
            return replace(changed, valid_to=day)
    return changed


def _check_day(facts: AgreementFacts, day: date | None) -> list[Refusal]:
    if day is None:
        return []
    # Steps follow each other in time too: no suspension lies in another, and none is cut off by the end.
    suspended = [i.until or i.since for i in facts.suspensions]
    first = max(suspended) + timedelta(days=1) if suspended else facts.valid_from
    if first <= day <= facts.valid_to:
        return []
    return [
        errors.DAY_OUTSIDE(
            pointer="/day", day=day.isoformat(), first=first.isoformat(), last=facts.valid_to.isoformat()
        )
    ]


def _restored(suspensions: tuple[Interval, ...], day: date) -> tuple[Interval, ...]:
    """The suspensions with the open one closed on the eve of `day`."""
    return tuple(replace(i, until=day - timedelta(days=1)) if i.until is None else i for i in suspensions)
