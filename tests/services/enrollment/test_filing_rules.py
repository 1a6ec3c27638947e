"""The rules about remote-care filings: papers, transitions, four eyes, validity."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from services.enrollment.rules.filings import (
    MATTERS,
    TRANSITIONS,
    Act,
    Application,
    Filing,
    Kind,
    State,
    Step,
    check_application,
    due,
    last_day,
    take_step,
)
from shared.regions import RegionTree
from shared.workdays import WorkCalendar
from tests.services.enrollment.people import PAPERS

REGIONS = RegionTree.load()
NOW = datetime(2026, 11, 2, 1, 30, tzinfo=UTC)
ASKED = Application("p", Kind.REFERRAL, "411602", date(2026, 11, 2), None, frozenset(PAPERS["referral"]))
APPLIED = Filing(
    "f", "p", Kind.REFERRAL, "411603", "411602", date(2026, 11, 2), date(2027, 5, 2), State.APPLIED, "his-1",
    "H41160200001", ASKED.papers, NOW, None, 1,
)  # fmt: skip


def in_state(state: State) -> Filing:
    return replace(APPLIED, state=state, decided_by="officer-1" if state in (State.APPROVED, State.REFUSED) else None)


def act(step: Step, **changed: object) -> Act:
    day = date(2026, 12, 31) if step is Step.END else None
    return replace(Act(step, "officer-1", "officer", day, "why", NOW), **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Step)
def test_every_step_in_every_state(state: State, step: Step) -> None:
    after = take_step(in_state(state), act(step))
    if (state, step) in TRANSITIONS:
        assert isinstance(after, Filing)
        assert (after.state, after.revision) == (TRANSITIONS[state, step], 2)
    else:
        assert isinstance(after, list)
        closed = "casework.case-closed" if step in (Step.APPROVE, Step.REFUSE) else "enrollment.step-not-allowed"
        assert after[0].code == closed
        assert after[0].kind.status == 409


def test_transitions_are_these() -> None:
    assert {(a.value, s.value, b.value) for (a, s), b in TRANSITIONS.items()} == {
        ("applied", "approve", "approved"),
        ("applied", "refuse", "refused"),
        ("applied", "cancel", "cancelled"),
        ("approved", "cancel", "cancelled"),
        ("approved", "end", "approved"),
    }


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({"actor": "his-1"}, ["casework.own-case"]),
        ({"role": "reviewer"}, ["casework.role-may-not-act"]),
        ({"actor": "his-1", "role": "facility"}, ["casework.role-may-not-act", "casework.own-case"]),
    ],
)
def test_who_may_not_approve(changed: dict[str, object], codes: list[str]) -> None:
    after = take_step(APPLIED, act(Step.APPROVE, **changed))
    assert isinstance(after, list)
    assert [refusal.code for refusal in after] == codes


def test_a_refusal_needs_a_reason() -> None:
    after = take_step(APPLIED, act(Step.REFUSE, reason=" "))
    assert isinstance(after, list)
    assert [refusal.code for refusal in after] == ["casework.reason-missing"]


@pytest.mark.parametrize(
    ("day", "good"),
    [
        (date(2026, 11, 1), False),
        (date(2026, 11, 2), True),
        (date(2027, 5, 2), True),
        (date(2027, 5, 3), False),
    ],
)
def test_days_on_which_a_filing_may_end(day: date, good: bool) -> None:
    after = take_step(in_state(State.APPROVED), act(Step.END, day=day))
    assert isinstance(after, Filing) == good
    if isinstance(after, Filing):
        assert after.valid_to == day


def test_a_filing_open_for_ever_may_end_on_any_day() -> None:
    filing = replace(in_state(State.APPROVED), kind=Kind.POSTED_WORKER, valid_to=None)
    after = take_step(filing, act(Step.END, day=date(2199, 12, 31)))
    assert isinstance(after, Filing)


@pytest.mark.parametrize(
    ("changed", "home", "by_facility", "codes"),
    [
        ({}, "411603", True, []),
        ({}, "411603", False, []),
        ({}, None, False, ["enrollment.not-insured"]),
        ({"care_region": "000000"}, "411603", False, ["enrollment.region-unknown"]),
        ({"care_region": "411603"}, "411603", False, ["enrollment.care-at-home"]),
        ({"care_region": "411600"}, "411603", False, []),
        ({"care_region": "411602"}, "411600", False, ["enrollment.care-at-home"]),
        ({"valid_to": date(2026, 11, 1)}, "411603", False, ["enrollment.period-reversed"]),
        ({"papers": frozenset()}, "411603", False, ["casework.paper-missing"] * 3),
        (
            {"kind": Kind.POSTED_WORKER, "care_region": "1", "papers": frozenset({"a", "b"})},
            None,
            True,
            [
                "enrollment.kind-not-for-facility",
                "enrollment.not-insured",
                "enrollment.region-unknown",
                *["casework.paper-unknown"] * 2,
                *["casework.paper-missing"] * 3,
            ],
        ),
    ],
)
def test_everything_wrong_with_an_application_is_named(
    changed: dict[str, object], home: str | None, by_facility: bool, codes: list[str]
) -> None:
    asked = replace(ASKED, **changed)  # type: ignore[arg-type]
    wrong = check_application(asked, home, REGIONS, by_facility=by_facility)
    assert [refusal.code for refusal in wrong] == codes


@pytest.mark.parametrize("kind", Kind)
def test_the_papers_of_each_kind(kind: Kind) -> None:
    papers = frozenset(PAPERS[kind])
    complete = replace(ASKED, kind=kind, papers=papers)
    assert check_application(complete, "411603", REGIONS, by_facility=False) == []
    for paper in papers:
        wrong = check_application(replace(complete, papers=papers - {paper}), "411603", REGIONS, by_facility=False)
        assert [refusal.code for refusal in wrong] == ["casework.paper-missing"]


@pytest.mark.parametrize("kind", set(Kind) - {Kind.REFERRAL})
def test_who_lives_elsewhere_may_promise_instead_of_proving(kind: Kind) -> None:
    assert "written_promise" in MATTERS[kind].paper_codes
    assert "written_promise" not in MATTERS[Kind.REFERRAL].paper_codes


@pytest.mark.parametrize(
    ("kind", "first", "asked", "last"),
    [
        (Kind.REFERRAL, date(2026, 1, 15), None, date(2026, 7, 15)),
        (Kind.REFERRAL, date(2026, 8, 31), None, date(2027, 2, 28)),
        (Kind.REFERRAL, date(2027, 8, 31), None, date(2028, 2, 29)),
        (Kind.REFERRAL, date(2026, 6, 30), None, date(2026, 12, 30)),
        (Kind.REFERRAL, date(2026, 7, 1), None, date(2027, 1, 1)),
        (Kind.REFERRAL, date(2026, 1, 15), date(2026, 2, 1), date(2026, 2, 1)),
        (Kind.POSTED_WORKER, date(2026, 1, 15), None, None),
        (Kind.POSTED_WORKER, date(2026, 1, 15), date(2026, 2, 1), date(2026, 2, 1)),
    ],
)
def test_the_last_day_of_a_filing(kind: Kind, first: date, asked: date | None, last: date | None) -> None:
    application = replace(ASKED, kind=kind, valid_from=first, valid_to=asked)
    assert last_day(application, referral_months=6) == last


def test_a_waiting_filing_is_due_at_once_and_a_decided_one_is_not() -> None:
    waiting = due(APPLIED, NOW, WorkCalendar())
    assert waiting is not None
    assert waiting.day == date(2026, 11, 2)
    assert due(in_state(State.APPROVED), NOW, WorkCalendar()) is None
