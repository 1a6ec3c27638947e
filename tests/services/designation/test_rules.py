"""The life of an agreement, as a table an officer can read."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.designation.rules import (
    TRANSITIONS,
    AgreementFacts,
    Interval,
    State,
    Step,
    check_period,
    take_step,
)
from shared.refusals import Refusal

FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)
DAY = date(2026, 6, 1)


def agreement(state: State, *suspensions: Interval) -> AgreementFacts:
    """An agreement of 2026 drafted by officer-1."""
    signed_by = None if state is State.DRAFTED else "reviewer-1"
    return AgreementFacts("a", "h", FIRST, LAST, state, "officer-1", signed_by, 3, suspensions)


def refusals(outcome: AgreementFacts | list[Refusal]) -> list[str]:
    """The codes of what speaks against a step."""
    assert isinstance(outcome, list)
    return [refusal.code.removeprefix("designation.") for refusal in outcome]


_TABLE = """
          sign      suspend    restore   end
drafted   in_force  -          -         -
in_force  -         suspended  -         ended
suspended -         -          in_force  ended
ended     -         -          -         -
"""


def test_the_table_of_steps() -> None:
    """Every state with every step: where it leads, or that it is refused."""
    head, *rows = _TABLE.strip("\n").splitlines()
    expected = {
        (State(row.split()[0]), Step(step)): target
        for row in rows
        for step, target in zip(head.split(), row.split()[1:], strict=True)
    }

    assert set(expected) == set(product(State, Step))
    for (state, step), target in expected.items():
        suspended = (Interval(date(2026, 3, 1)),) if state is State.SUSPENDED else ()
        outcome = take_step(agreement(state, *suspended), step, "reviewer-1", None if step is Step.SIGN else DAY)
        if target == "-":
            assert refusals(outcome) == ["step-not-allowed"], (state, step)
        else:
            assert isinstance(outcome, AgreementFacts)
            assert (outcome.state, outcome.revision) == (State(target), 4), (state, step)
            assert TRANSITIONS[state, step] == outcome.state


def test_nobody_signs_their_own_draft() -> None:
    drafted = agreement(State.DRAFTED)

    assert refusals(take_step(drafted, Step.SIGN, "officer-1", None)) == ["same-person"]
    signed = take_step(drafted, Step.SIGN, "reviewer-1", None)
    assert isinstance(signed, AgreementFacts)
    assert signed.signed_by == "reviewer-1"


def test_everything_that_speaks_against_a_step_is_named() -> None:
    outcome = take_step(agreement(State.ENDED), Step.SIGN, "officer-1", LAST + timedelta(days=1))

    assert refusals(outcome) == ["step-not-allowed", "same-person", "day-outside"]


MARCH = Interval(date(2026, 3, 1), date(2026, 3, 31))
SINCE_JUNE = Interval(DAY)


@pytest.mark.parametrize(
    ("state", "suspensions", "step", "first"),
    [
        (State.IN_FORCE, (), Step.SUSPEND, FIRST),
        (State.IN_FORCE, (), Step.END, FIRST),
        (State.IN_FORCE, (MARCH,), Step.SUSPEND, date(2026, 4, 1)),
        (State.IN_FORCE, (MARCH,), Step.END, date(2026, 4, 1)),
        (State.SUSPENDED, (SINCE_JUNE,), Step.RESTORE, date(2026, 6, 2)),
        (State.SUSPENDED, (SINCE_JUNE,), Step.END, date(2026, 6, 2)),
        (State.SUSPENDED, (MARCH, SINCE_JUNE), Step.RESTORE, date(2026, 6, 2)),
    ],
)
def test_the_days_a_step_may_take_effect(
    state: State, suspensions: tuple[Interval, ...], step: Step, first: date
) -> None:
    facts = agreement(state, *suspensions)

    for day in (first, LAST):
        assert isinstance(take_step(facts, step, "reviewer-1", day), AgreementFacts)
    for day in (first - timedelta(days=1), LAST + timedelta(days=1), date.min, date.max):
        assert refusals(take_step(facts, step, "reviewer-1", day)) == ["day-outside"]


def test_a_suspension_ends_on_the_eve_of_the_restoration() -> None:
    restored = take_step(agreement(State.SUSPENDED, MARCH, SINCE_JUNE), Step.RESTORE, "reviewer-1", date(2026, 7, 1))

    assert isinstance(restored, AgreementFacts)
    assert restored.suspensions == (MARCH, Interval(DAY, date(2026, 6, 30)))


def test_an_end_shortens_the_agreement() -> None:
    ended = take_step(agreement(State.IN_FORCE), Step.END, "reviewer-1", DAY)

    assert isinstance(ended, AgreementFacts)
    assert (ended.valid_from, ended.valid_to) == (FIRST, DAY)


@given(st.lists(st.tuples(st.sampled_from(Step), st.dates(FIRST, LAST)), max_size=12))
def test_whatever_is_tried_the_days_stay_in_order(steps: list[tuple[Step, date]]) -> None:
    facts = agreement(State.IN_FORCE)
    for step, day in steps:
        outcome = take_step(facts, step, "reviewer-1", day)
        facts = outcome if isinstance(outcome, AgreementFacts) else facts

    assert facts.valid_from <= facts.valid_to
    days = [day for i in facts.suspensions for day in (i.since, i.until or i.since)]
    assert days == sorted(days)
    assert all(first.until < second.since for first, second in pairwise(facts.suspensions) if first.until)
    assert all(i.until is not None for i in facts.suspensions[:-1])
    assert all(facts.valid_from <= day <= facts.valid_to for day in days)


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "expected"),
    [
        ("2026-01-01", "2026-12-31", []),
        ("2026-01-01", "2026-01-01", []),
        ("2026-01-01", "2028-12-31", []),
        ("2026-01-01", "2029-01-01", ["period-too-long"]),
        ("2026-07-01", "2029-06-30", []),
        ("2026-07-01", "2029-07-01", ["period-too-long"]),
        ("2024-02-29", "2027-02-28", []),
        ("2024-02-29", "2027-03-01", ["period-too-long"]),
        ("2026-01-02", "2026-01-01", ["period-reversed"]),
    ],
)
def test_the_period_of_an_agreement(valid_from: str, valid_to: str, expected: list[str]) -> None:
    wrong = check_period(date.fromisoformat(valid_from), date.fromisoformat(valid_to), years_max=3)

    assert [refusal.code for refusal in wrong] == [f"designation.{code}" for code in expected]
