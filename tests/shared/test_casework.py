"""Casework: matters of the founding documents worked to their end, every refusal, and the clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.casework import (
    Act,
    Case,
    Due,
    Matter,
    MatterInvalid,
    Step,
    act,
    due,
    missing_papers,
    open_case,
    step_due,
)
from shared.refusals import Refused
from shared.workdays import WorkCalendar
from tests.shared.matters import (
    AGREEMENT,
    CASE_OF_30_DAYS,
    CHRONIC_DISEASE,
    EMERGENCY_REFERRAL,
    FINANCE,
    HEAD,
    IDENTITY,
    MATTERS,
    MONTHLY_SETTLEMENT,
    OFFICER,
    PAPER_CLAIM,
    REMOTE_FILING,
    REVIEWER,
    TRANSFER,
    roles,
)

CALENDAR = WorkCalendar()


def _at(day: str, time: str = "10:00") -> datetime:
    """A moment of a day in Shanghai."""
    return datetime.fromisoformat(f"{day}T{time}:00+08:00").astimezone(UTC)


# An act in a table: step, actor, role, decision.
Row = tuple[str, str, str, str]


def _open(matter: Matter, on: str = "2026-03-02", circumstances: tuple[str, ...] = ()) -> Case:
    return open_case(matter, "C1", "asker", matter.paper_codes, _at(on), circumstances=circumstances)


def _do(matter: Matter, case: Case, row: Row, on: str = "2026-03-03", reason: str | None = "事实清楚") -> Case:
    step, actor, role, decision = row
    return act(matter, case, step=step, actor=actor, role=role, decision=decision, reason=reason, now=_at(on))


def _work(matter: Matter, *rows: Row) -> Case:
    case = _open(matter)
    for row in rows:
        case = _do(matter, case, row)
    return case


def _refusals(matter: Matter, case: Case, row: Row, reason: str | None = "事实清楚") -> list[str]:
    with pytest.raises(Refused) as refused:
        _do(matter, case, row, reason=reason)
    assert all(refusal.text("zh") and "{" not in refusal.text("zh") + refusal.text("en") for refusal in refused.value)
    return [refusal.code.removeprefix("casework.") for refusal in refused.value]


# The matters of the founding documents


@pytest.mark.parametrize(
    ("matter", "rows", "outcome"),
    [
        (REMOTE_FILING, [("review", "Wang", OFFICER, "approve")], "approved"),
        (REMOTE_FILING, [("review", "Wang", OFFICER, "refuse")], "refused"),
        (
            MONTHLY_SETTLEMENT,
            [
                ("accept", "Wang", OFFICER, "accept"),
                ("first_review", "Li", REVIEWER, "send"),
                ("feedback", "asker", "facility", "object"),
                ("second_review", "Zhao", REVIEWER, "repeat"),
                ("first_review", "Li", REVIEWER, "send"),
                ("feedback", "asker", "facility", "agree"),
                ("second_review", "Zhao", REVIEWER, "confirm"),
                ("head", "Chen", HEAD, "approve"),
                ("finance", "Qian", FINANCE, "pay"),
            ],
            "approved",
        ),
        (
            PAPER_CLAIM,
            [
                ("accept", "Wang", OFFICER, "return"),
                ("supplement", "asker", "person", "supply"),
                ("accept", "Wang", OFFICER, "accept"),
                ("first_review", "Li", REVIEWER, "pass"),
                ("second_review", "Zhao", REVIEWER, "pass"),
                ("finance", "Qian", FINANCE, "pay"),
                ("archive", "Qian", FINANCE, "archive"),
            ],
            "approved",
        ),
        (
            CHRONIC_DISEASE,
            [
                ("accept", "Wang", OFFICER, "daily"),
                ("experts", "Sun", "expert", "grant"),
                ("experts", "Zhou", "expert", "refuse"),
                ("experts", "Wu", "expert", "grant"),
                ("publish", "Wang", OFFICER, "publish"),
            ],
            "approved",
        ),
        (
            AGREEMENT,
            [
                ("accept", "Wang", OFFICER, "accept"),
                ("review", "Li", REVIEWER, "pass"),
                ("site", "Sun", "expert", "qualified"),
                ("site", "Zhou", "expert", "qualified"),
                ("site", "Wu", "expert", "qualified"),
                ("publication", "Wang", OFFICER, "objection"),
                ("site", "Sun", "expert", "qualified"),
                ("site", "Zhou", "expert", "qualified"),
                ("site", "Wu", "expert", "qualified"),
                ("publication", "Wang", OFFICER, "no_objection"),
                ("agreement", "Chen", HEAD, "sign"),
            ],
            "approved",
        ),
        (
            TRANSFER,
            [
                ("contact_letter", "Wang", "new_area", "send"),
                ("certificate", "Feng", "old_area", "return"),
                ("entry", "Wang", "new_area", "enter"),
            ],
            "approved",
        ),
    ],
)
def test_a_matter_is_worked_to_its_end(matter: Matter, rows: list[Row], outcome: str) -> None:
    case = _work(matter, *rows)
    assert case.outcome == outcome
    assert case.step is None
    assert [(a.step, a.actor, a.role, a.decision) for a in case.acts] == rows
    assert case.acts[-1].moved_to == outcome
    assert _refusals(matter, case, rows[-1])[0] == "case-closed"


def test_an_act_appends_and_changes_nothing_else() -> None:
    before = _open(PAPER_CLAIM)
    after = _do(PAPER_CLAIM, before, ("accept", "Wang", OFFICER, "return"), reason=" 票据不清 ")
    assert before.acts == ()
    assert before.step == "accept"
    expected = Act("accept", "Wang", OFFICER, "return", "票据不清", _at("2026-03-03"), "supplement")
    assert after == replace(before, step="supplement", acts=(expected,))


# Papers


@pytest.mark.parametrize(
    ("papers_given", "circumstances", "missing"),
    [
        ((), (), ["identity", "receipt", "fee_list", "bank_card"]),
        (("card",), (), ["receipt", "fee_list"]),
        (("identity", "receipt"), (), ["fee_list", "bank_card"]),
        (("card", "receipt", "fee_list"), ("agent", "limited_drugs"), ["test_results", "agent_identity"]),
        (("identity", "receipt", "fee_list", "bank_card"), ("other_account",), ["authorisation"]),
    ],
)
def test_all_missing_papers_are_named_at_once(
    papers_given: tuple[str, ...], circumstances: tuple[str, ...], missing: list[str]
) -> None:
    assert [paper.code for paper in missing_papers(PAPER_CLAIM, papers_given, circumstances)] == missing
    with pytest.raises(Refused) as refused:
        open_case(PAPER_CLAIM, "C1", "asker", papers_given, _at("2026-03-02"), circumstances=circumstances)
    assert [refusal.params["paper"] for refusal in refused.value] == missing
    assert {refusal.code for refusal in refused.value} == {"casework.paper-missing"}


def test_a_missing_paper_is_named_in_both_languages() -> None:
    with pytest.raises(Refused) as refused:
        open_case(REMOTE_FILING, "C1", "asker", ["written_promise"], _at("2026-03-02"))
    (refusal,) = refused.value
    assert refusal.text("zh") == "缺少材料：有效身份证件或社保卡"
    assert refusal.text("en") == "This paper is missing: identity card or social security card"


def test_what_the_matter_does_not_know_is_named_with_what_is_missing() -> None:
    with pytest.raises(Refused) as refused:
        open_case(REMOTE_FILING, "C1", "asker", ["card", "horoscope"], _at("2026-03-02"), circumstances=["newborn"])
    codes = [refusal.code for refusal in refused.value]
    assert codes == ["casework.circumstance-unknown", "casework.paper-unknown", "casework.paper-missing"]


def test_a_paper_may_follow_in_an_emergency_only() -> None:
    with pytest.raises(Refused):
        open_case(EMERGENCY_REFERRAL, "C1", "asker", ["card"], _at("2026-03-02"))
    case = open_case(EMERGENCY_REFERRAL, "C1", "asker", ["card"], _at("2026-03-02"), circumstances=["emergency"])
    case = _do(EMERGENCY_REFERRAL, case, ("review", "Wang", OFFICER, "approve"))
    assert _refusals(EMERGENCY_REFERRAL, case, ("papers", "asker", "person", "complete")) == ["paper-missing"]
    lapsed = _do(EMERGENCY_REFERRAL, case, ("papers", "Wang", OFFICER, "lapse"), reason="逾期未补材料")
    assert lapsed.outcome == "refused"
    done = act(
        EMERGENCY_REFERRAL,
        case,
        step="papers",
        actor="asker",
        role="person",
        decision="complete",
        now=_at("2026-03-04"),
        papers_given=["form"],
    )
    assert done.outcome == "approved"
    assert done.papers == {"card", "form"}
    assert done.acts[-1].papers == {"form"}


def test_a_step_that_completes_papers_can_still_send_the_case_back_to_the_asker() -> None:
    matter = replace(
        EMERGENCY_REFERRAL,
        steps=(
            Step("review", roles(OFFICER), {"approve": "approved", "return": "supplement"}, completes_papers=True),
            Step("supplement", roles("person"), {"supply": "review"}, pauses=True, by_asker=True),
        ),
    )
    case = open_case(matter, "C1", "asker", ["card"], _at("2026-03-02"), circumstances=["emergency"])
    assert _refusals(matter, case, ("review", "Wang", OFFICER, "approve")) == ["paper-missing"]
    assert _do(matter, case, ("review", "Wang", OFFICER, "return")).step == "supplement"


# Refusals


@pytest.mark.parametrize(
    ("earlier", "row", "reason", "codes"),
    [
        ([], ("first_review", "Li", REVIEWER, "pass"), None, ["wrong-step"]),
        ([], ("nowhere", "Li", REVIEWER, "pass"), None, ["wrong-step"]),
        ([], ("accept", "Li", REVIEWER, "accept"), None, ["role-may-not-act"]),
        ([], ("accept", "asker", OFFICER, "accept"), None, ["own-case"]),
        ([], ("accept", "Wang", OFFICER, "approve"), None, ["decision-unknown"]),
        ([], ("accept", "Wang", OFFICER, "refuse"), None, ["reason-missing"]),
        ([], ("accept", "Wang", OFFICER, "refuse"), "  \n", ["reason-missing"]),
        ([], ("accept", "Wang", OFFICER, "return"), "", ["reason-missing"]),
        (["accept"], ("first_review", "Wang", REVIEWER, "pass"), None, ["same-person"]),
        (["accept", "first_review"], ("second_review", "Li", REVIEWER, "pass"), None, ["same-person"]),
        (
            ["accept"],
            ("second_review", "asker", OFFICER, "burn"),
            None,
            ["wrong-step", "role-may-not-act", "own-case", "decision-unknown"],
        ),
        (
            ["accept", "first_review"],
            ("finance", "Li", OFFICER, "pay"),
            None,
            ["wrong-step", "role-may-not-act", "same-person"],
        ),
        (
            ["accept"],
            ("first_review", "Wang", OFFICER, "refuse"),
            None,
            ["role-may-not-act", "same-person", "reason-missing"],
        ),
    ],
)
def test_every_reason_is_given_at_once(earlier: list[str], row: Row, reason: str | None, codes: list[str]) -> None:
    rows: dict[str, Row] = {
        "accept": ("accept", "Wang", OFFICER, "accept"),
        "first_review": ("first_review", "Li", REVIEWER, "pass"),
    }
    case = _work(PAPER_CLAIM, *(rows[step] for step in earlier))
    assert _refusals(PAPER_CLAIM, case, row, reason) == codes


def test_four_eyes_hold_across_rounds() -> None:
    """Whoever reviewed in an earlier round is still not another person."""
    case = _work(
        PAPER_CLAIM,
        ("accept", "Wang", OFFICER, "accept"),
        ("first_review", "Li", REVIEWER, "pass"),
        ("second_review", "Zhao", REVIEWER, "repeat"),
        ("first_review", "Zhao", REVIEWER, "pass"),
    )
    for reviewer in ("Li", "Zhao"):
        assert _refusals(PAPER_CLAIM, case, ("second_review", reviewer, REVIEWER, "pass")) == ["same-person"]
    assert _do(PAPER_CLAIM, case, ("second_review", "He", REVIEWER, "pass")).step == "finance"


def test_a_quorum_is_of_different_people() -> None:
    case = _work(CHRONIC_DISEASE, ("accept", "Wang", OFFICER, "daily"), ("experts", "Sun", "expert", "grant"))
    assert case.step == "experts"
    assert case.acts[-1].moved_to is None
    assert _refusals(CHRONIC_DISEASE, case, ("experts", "Sun", "expert", "grant")) == ["already-decided"]
    assert _do(CHRONIC_DISEASE, case, ("experts", "Zhou", "expert", "grant")).step == "publish"
    refusing = _do(CHRONIC_DISEASE, case, ("experts", "Zhou", "expert", "refuse"))
    assert refusing.step == "experts"
    assert _do(CHRONIC_DISEASE, refusing, ("experts", "Wu", "expert", "refuse")).outcome == "refused"


def test_a_case_of_another_matter_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="not a case of"):
        _do(TRANSFER, _open(PAPER_CLAIM), ("contact_letter", "Wang", "new_area", "send"))


def test_a_moment_without_a_zone_is_a_mistake_of_the_caller() -> None:
    moment = datetime(2026, 3, 2)  # noqa: DTZ001 - the refused thing
    with pytest.raises(ValueError, match="time zone"):
        open_case(CASE_OF_30_DAYS, "C1", "asker", [], moment)
    with pytest.raises(ValueError, match="time zone"):
        act(
            TRANSFER, _open(TRANSFER), step="contact_letter", actor="Wang", role="new_area", decision="send", now=moment
        )


attempts = st.tuples(
    st.sampled_from(["asker", "Wang", "Li", "Zhao"]),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from([None, "理由"]),
)


@given(st.sampled_from(MATTERS), st.lists(attempts, max_size=40))
def test_no_history_breaks_a_rule(matter: Matter, tries: list[tuple[str, bool, int, str | None]]) -> None:
    """Whatever is attempted, what is recorded was allowed: checked from the history alone."""
    case = _open(matter)
    for actor, right_role, choice, reason in tries:
        if case.step is None:
            break
        at = matter.step(case.step)
        decision = sorted(at.next)[choice % len(at.next)]
        role = sorted(at.roles)[0] if right_role else "passer-by"
        try:
            case = _do(matter, case, (at.name, actor, role, decision), reason=reason)
        except Refused:
            continue
    _check_history(matter, case)


def _check_history(matter: Matter, case: Case) -> None:
    ends = matter.outcomes | matter.adverse_outcomes
    place = matter.steps[0].name
    for index, done in enumerate(case.acts):
        step = matter.step(done.step)
        assert done.step == place
        assert done.role in step.roles
        assert step.by_asker or done.actor != "asker"
        assert not {a.actor for a in case.acts[:index] if a.step in step.reviews} & {done.actor}
        assert done.moved_to in (None, step.next[done.decision])
        assert done.reason or done.moved_to not in matter.adverse_outcomes
        place = done.moved_to or place
    assert (case.outcome or case.step) == place
    assert (case.step is None) is (place in ends)


# Clocks


def _due(matter: Matter, case: Case, on: str, calendar: WorkCalendar = CALENDAR) -> Due:
    clock = due(matter, case, _at(on), calendar)
    assert clock is not None
    return clock


def test_a_clock_runs_over_all_steps() -> None:
    """Thirty working days from Monday 2 March 2026; Qingming (Monday 6 April) is not worked."""
    case = _open(PAPER_CLAIM)
    assert _due(PAPER_CLAIM, case, "2026-03-02") == Due(date(2026, 4, 14), False, False, 30, overdue=False)
    case = _do(PAPER_CLAIM, case, ("accept", "Wang", OFFICER, "accept"), on="2026-03-10")
    case = _do(PAPER_CLAIM, case, ("first_review", "Li", REVIEWER, "pass"), on="2026-03-20")
    assert _due(PAPER_CLAIM, case, "2026-04-03") == Due(date(2026, 4, 14), False, False, 6, overdue=False)
    assert _due(PAPER_CLAIM, case, "2026-04-14") == Due(date(2026, 4, 14), False, False, 0, overdue=False)
    assert _due(PAPER_CLAIM, case, "2026-04-17") == Due(date(2026, 4, 14), False, False, -3, overdue=True)


def test_a_missed_friday_is_overdue_on_saturday() -> None:
    case = open_case(CASE_OF_30_DAYS, "C1", "asker", [], _at("2026-04-15"))
    assert _due(CASE_OF_30_DAYS, case, "2026-05-15") == Due(date(2026, 5, 15), False, False, 0, overdue=False)
    assert _due(CASE_OF_30_DAYS, case, "2026-05-16") == Due(date(2026, 5, 15), False, False, 0, overdue=True)


def test_the_clock_stands_still_while_the_asker_is_waited_for() -> None:
    case = _open(PAPER_CLAIM)
    case = _do(PAPER_CLAIM, case, ("accept", "Wang", OFFICER, "return"), on="2026-03-04")
    assert _due(PAPER_CLAIM, case, "2026-03-04") == Due(date(2026, 4, 14), False, True, 28, overdue=False)
    assert _due(PAPER_CLAIM, case, "2026-03-31") == Due(date(2026, 5, 13), False, True, 28, overdue=False)
    case = _do(PAPER_CLAIM, case, ("supplement", "asker", "person", "supply"), on="2026-03-11")
    assert _due(PAPER_CLAIM, case, "2026-03-12") == Due(date(2026, 4, 21), False, False, 27, overdue=False)


def test_calendar_days_stand_still_too() -> None:
    case = open_case(CASE_OF_30_DAYS, "C1", "asker", [], _at("2026-03-02"))
    case = _do(CASE_OF_30_DAYS, case, ("record_review", "Li", REVIEWER, "wait"), on="2026-03-12")
    case = _do(CASE_OF_30_DAYS, case, ("family", "asker", "person", "come"), on="2026-04-01")
    assert _due(CASE_OF_30_DAYS, case, "2026-04-01").day == date(2026, 4, 21)


def test_a_deadline_missed_at_one_step_stays_missed_at_the_next() -> None:
    """Due Friday 13 March; what is done on the Saturday after does not set the clock to Monday."""
    matter = replace(PAPER_CLAIM, clock_working_days=9)
    case = _do(matter, _open(matter), ("accept", "Wang", OFFICER, "accept"), on="2026-03-14")
    assert _due(matter, case, "2026-03-14") == Due(date(2026, 3, 13), False, False, 0, overdue=True)
    paused = _do(matter, _open(matter), ("accept", "Wang", OFFICER, "return"), on="2026-03-14")
    assert _due(matter, paused, "2026-03-20") == Due(date(2026, 3, 13), False, False, -5, overdue=True)


def test_a_clock_used_up_on_the_day_of_the_pause_ends_on_the_day_of_the_return() -> None:
    matter = replace(PAPER_CLAIM, clock_working_days=9)
    case = _do(matter, _open(matter), ("accept", "Wang", OFFICER, "return"), on="2026-03-13")
    case = _do(matter, case, ("supplement", "asker", "person", "supply"), on="2026-03-25")
    assert _due(matter, case, "2026-03-25") == Due(date(2026, 3, 25), False, False, 0, overdue=False)
    assert _due(matter, case, "2026-03-26").overdue


def test_a_clock_used_up_can_be_stopped_again() -> None:
    matter = replace(PAPER_CLAIM, clock_working_days=9)
    case = _do(matter, _open(matter), ("accept", "Wang", OFFICER, "return"), on="2026-03-13")
    case = _do(matter, case, ("supplement", "asker", "person", "supply"), on="2026-03-14")
    assert _due(matter, case, "2026-03-14").day == date(2026, 3, 16)
    case = _do(matter, case, ("accept", "Wang", OFFICER, "return"), on="2026-03-16")
    case = _do(matter, case, ("supplement", "asker", "person", "supply"), on="2026-03-20")
    assert _due(matter, case, "2026-03-20") == Due(date(2026, 3, 20), False, False, 0, overdue=False)


def test_at_once_is_the_same_day() -> None:
    case = _open(REMOTE_FILING, on="2026-03-02")
    assert _due(REMOTE_FILING, case, "2026-03-02") == Due(date(2026, 3, 2), False, False, 0, overdue=False)
    assert _due(REMOTE_FILING, case, "2026-03-03").overdue
    holiday = _open(REMOTE_FILING, on="2026-02-18")
    assert _due(REMOTE_FILING, holiday, "2026-02-18").day == date(2026, 2, 24)


def test_a_closed_case_keeps_the_clock_it_closed_with() -> None:
    in_time = _do(REMOTE_FILING, _open(REMOTE_FILING), ("review", "Wang", OFFICER, "approve"), on="2026-03-02")
    late = _do(REMOTE_FILING, _open(REMOTE_FILING), ("review", "Wang", OFFICER, "approve"), on="2026-03-05")
    assert _due(REMOTE_FILING, in_time, "2027-01-01") == Due(date(2026, 3, 2), False, False, 0, overdue=False)
    assert _due(REMOTE_FILING, late, "2027-01-01") == Due(date(2026, 3, 2), False, False, -3, overdue=True)


def test_each_stage_of_a_transfer_has_fifteen_working_days() -> None:
    case = _open(TRANSFER, on="2026-03-02")
    assert due(TRANSFER, case, _at("2026-03-02"), CALENDAR) is None
    assert step_due(TRANSFER, case, _at("2026-03-02"), CALENDAR) == Due(
        date(2026, 3, 23), False, False, 15, overdue=False
    )
    case = _do(TRANSFER, case, ("contact_letter", "Wang", "new_area", "send"), on="2026-03-19")
    assert step_due(TRANSFER, case, _at("2026-04-13"), CALENDAR) == Due(
        date(2026, 4, 10), False, False, -1, overdue=True
    )
    case = _do(TRANSFER, case, ("certificate", "Feng", "old_area", "return"), on="2026-04-13")
    assert step_due(TRANSFER, case, _at("2026-04-13"), CALENDAR) == Due(
        date(2026, 5, 7), False, False, 15, overdue=False
    )
    case = _do(TRANSFER, case, ("entry", "Wang", "new_area", "enter"), on="2026-04-14")
    assert step_due(TRANSFER, case, _at("2026-04-14"), CALENDAR) is None


def test_the_clock_of_a_step_runs_on_while_it_waits_for_more_people() -> None:
    experts = replace(CHRONIC_DISEASE.step("experts"), clock_working_days=5)
    accept, _, *others = CHRONIC_DISEASE.steps
    matter = replace(CHRONIC_DISEASE, steps=(accept, experts, *others))
    case = _do(matter, _open(matter), ("accept", "Wang", OFFICER, "daily"), on="2026-03-03")
    case = _do(matter, case, ("experts", "Sun", "expert", "grant"), on="2026-03-09")
    clock = step_due(matter, case, _at("2026-03-09"), CALENDAR)
    assert clock == Due(date(2026, 3, 10), False, False, 1, overdue=False)


def test_the_step_of_a_pause_has_its_own_clock() -> None:
    case = _work(MONTHLY_SETTLEMENT, ("accept", "Wang", OFFICER, "accept"), ("first_review", "Li", REVIEWER, "send"))
    clock = step_due(MONTHLY_SETTLEMENT, case, _at("2026-03-06"), CALENDAR)
    assert clock == Due(date(2026, 3, 10), False, False, 2, overdue=False)
    assert _due(MONTHLY_SETTLEMENT, case, "2026-03-06").suspended


def test_an_emergency_has_three_calendar_days() -> None:
    case = _do(EMERGENCY_REFERRAL, _open(EMERGENCY_REFERRAL), ("review", "Wang", OFFICER, "approve"), on="2026-03-04")
    clock = step_due(EMERGENCY_REFERRAL, case, _at("2026-03-05"), CALENDAR)
    assert clock is not None
    assert clock.day == date(2026, 3, 9)  # the Saturday moves to Monday


def test_a_due_date_beyond_the_published_calendars_is_provisional_and_recomputed() -> None:
    case = _open(PAPER_CLAIM, on="2026-12-14")
    assert _due(PAPER_CLAIM, case, "2026-12-14") == Due(date(2027, 1, 25), True, False, 30, overdue=False)
    published = WorkCalendar({date(2027, 1, 1): False}, published_years=[2027])
    assert _due(PAPER_CLAIM, case, "2026-12-14", published) == Due(date(2027, 1, 26), False, False, 30, overdue=False)


def test_the_last_day_there_is() -> None:
    case = open_case(CASE_OF_30_DAYS, "C1", "asker", [], _at("9999-12-31"))
    assert _due(CASE_OF_30_DAYS, case, "9999-12-31").day == date.max


def test_a_day_is_shanghais() -> None:
    case = open_case(
        REMOTE_FILING, "C1", "asker", ["card", "written_promise"], datetime(2026, 3, 1, 16, 30, tzinfo=UTC)
    )
    assert _due(REMOTE_FILING, case, "2026-03-02").day == date(2026, 3, 2)


def test_a_clock_set_back_never_lengthens_a_deadline() -> None:
    case = _do(PAPER_CLAIM, _open(PAPER_CLAIM), ("accept", "Wang", OFFICER, "return"), on="2026-02-25")
    assert _due(PAPER_CLAIM, case, "2026-03-02").working_days_left == 30


@settings(max_examples=200)
@given(st.lists(st.integers(0, 12), max_size=7), st.integers(1, 40))
def test_a_clock_is_the_one_found_by_walking(stays_days: list[int], limit: int) -> None:
    """The slow way: day by day, a working day counts unless it was spent waiting for the asker."""
    matter = replace(PAPER_CLAIM, clock_working_days=limit)
    opened = today = date(2026, 1, 28)
    case, waiting, used_up_at_pause = _open(matter, on=today.isoformat()), False, False
    counted: list[date] = []
    for stay_days in stays_days:
        passed = [today + timedelta(days=n + 1) for n in range(stay_days)]
        counted += [] if waiting else [day for day in passed if CALENDAR.is_working(day)]
        today += timedelta(days=stay_days)
        used_up_at_pause = used_up_at_pause or (not waiting and len(counted) == limit)
        row: Row = ("supplement", "asker", "person", "supply") if waiting else ("accept", "Wang", OFFICER, "return")
        case, waiting = _do(matter, case, row, on=today.isoformat()), not waiting
    clock = _due(matter, case, today.isoformat())
    future = (today + timedelta(days=n + 1) for n in range(400))
    ahead = [day for day in future if CALENDAR.is_working(day)]
    if used_up_at_pause:
        assert clock.day >= counted[limit - 1]
    elif len(counted) > limit:
        assert clock.day == counted[limit - 1]
        assert clock.overdue
    elif len(counted) < limit:
        assert clock.day == ahead[limit - len(counted) - 1]
        assert clock.working_days_left == limit - len(counted)
        assert clock.suspended is waiting
    else:
        assert clock.day == counted[-1]
    assert clock.day >= opened


# Declarations

ONE = Step("one", roles(OFFICER), {"approve": "approved"})


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ((), "at least one step"),
        ((replace(ONE, roles=frozenset()),), "one: nobody may act"),
        ((replace(ONE, next={"approve": "aproved"}),), "one: leads to aproved, which is neither"),
        ((replace(ONE, next={}),), "one: no way leads to an outcome"),
        (
            (replace(ONE, next={"approve": "approved", "again": "two"}), Step("two", roles(OFFICER), {"go": "two"})),
            "two: no way leads to an outcome",
        ),
        ((ONE, replace(ONE, name="two")), "two: no way leads here"),
        ((ONE, ONE), "step or outcome one is declared more than once"),
        ((replace(ONE, name="approved"),), "step or outcome approved is declared more than once"),
        ((replace(ONE, reviews=("zero",)),), "one: cannot review zero"),
        ((replace(ONE, reviews=("one",)),), "one: cannot review one"),
        ((replace(ONE, quorum=0),), "one: a quorum is one or more"),
        ((replace(ONE, with_reason=roles("refuse")),), "one: a reason for refuse, which is no decision"),
        ((replace(ONE, clock_working_days=1, clock_days=1),), "one: has two clocks"),
        ((replace(ONE, clock_days=-1),), "one: a clock is not negative"),
    ],
)
def test_a_matter_that_cannot_be_worked_is_refused(steps: tuple[Step, ...], problem: str) -> None:
    with pytest.raises(MatterInvalid) as refused:
        Matter("m", "事项", "matter", (), steps)
    assert problem in str(refused.value)


def test_everything_wrong_with_a_matter_is_named_at_once() -> None:
    with pytest.raises(MatterInvalid) as refused:
        Matter(
            "m", "事项", "matter", (IDENTITY, IDENTITY), (replace(ONE, quorum=0),), -1, 3, roles("refused", "approved")
        )
    message = str(refused.value)
    for problem in ("paper identity", "outcome refused", "two clocks", "not negative", "quorum"):
        assert problem in message


def test_a_step_that_does_not_exist_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        TRANSFER.step("nowhere")
