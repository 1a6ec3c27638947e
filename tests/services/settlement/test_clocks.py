"""Clocks: suspended, resumed, escalated, run out into agreement, moved by the calendar; the list of what is due."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.settlement.config import SettlementSettings
from services.settlement.rules.cases import Case, Hop, HopKind, HopState, State
from services.settlement.rules.clearing_states import (
    BY_ORDER,
    BY_STATE,
    IN_CYCLE,
    NAMES,
    WITHOUT_STATE,
    clr_stas,
)
from services.settlement.rules.dues import Due, DueKind, consents, due_by_terms, make_due, resume, suspend, told_at
from services.settlement.rules.orders import OrderState
from services.settlement.use_cases.confirmations import deem_confirmed
from services.settlement.use_cases.overdue import escalate, remind_of_items
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.reminders import remind
from shared.events.claims import DischargeSettled, SettlementReversed
from shared.events.settlement import DueEscalated, ItemsDue, ItemsEscalated, PartyConfirmed, Reconciled
from shared.workdays import WorkCalendar, shanghai_day
from tests.services.settlement.fixtures import ActAs, Heard, Owner, waits
from tests.services.settlement.test_money import Month
from tests.services.settlement.test_statements import codes, submit
from tests.services.settlement.world import (
    CHAIN,
    HENAN,
    HUAIYANG,
    REGIONS,
    XIANGCHENG,
    ZHOUKOU,
    Books,
    Hospital,
    lines_of,
)

CALENDAR = WorkCalendar()
DEFAULTS = Settlement(None, REGIONS, SettlementSettings(), CALENDAR, None).default_terms  # type: ignore[arg-type]
START = date(2026, 11, 2)


def a_due(**changes: Any) -> Due:
    made = make_due(CALENDAR, "c", DueKind.RECONCILIATION, ZHOUKOU, since=START, working_days=15)
    return replace(made, **changes)


# Rules


@given(
    days=st.integers(0, 30),
    until=st.integers(0, 60),
    stands=st.integers(0, 100),
)
def test_a_suspension_costs_no_working_day(days: int, until: int, stands: int) -> None:
    """Suspended in time and resumed whenever: what was used before and what is left after is what there was."""
    due = make_due(CALENDAR, "c", DueKind.REMITTANCE, ZHOUKOU, since=START, working_days=days)
    on = START + timedelta(days=until)
    used = CALENDAR.between(START, on)

    stopped = suspend(CALENDAR, due, on)

    if CALENDAR.between(on, due.due_on) < 0:
        assert [r.code for r in stopped] == ["settlement.due-over"]  # type: ignore[union-attr]
        return
    assert isinstance(stopped, Due)
    assert stopped.suspended_on == on
    again = on + timedelta(days=stands)
    running = resume(CALENDAR, stopped, again)
    assert isinstance(running, Due)
    assert (running.suspended_on, running.started_on, running.since) == (None, START, again)
    assert used + running.working_days == CALENDAR.between(START, due.due_on)
    assert running.due_on == CALENDAR.add(again, running.working_days).day


def test_a_clock_is_stopped_once_and_runs_once() -> None:
    stopped = suspend(CALENDAR, a_due(), START)
    assert isinstance(stopped, Due)
    assert [r.code for r in suspend(CALENDAR, stopped, START)] == ["settlement.due-suspended"]  # type: ignore[union-attr]
    assert [r.code for r in resume(CALENDAR, a_due(), START)] == ["settlement.due-not-suspended"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("party", "care_region", "levels"),
    [
        ("H1", HUAIYANG, [HUAIYANG, ZHOUKOU, HENAN, "100000", None]),
        (HUAIYANG, HUAIYANG, [ZHOUKOU, HENAN, "100000", None]),
        (XIANGCHENG, HUAIYANG, [ZHOUKOU, HENAN, "100000", None]),
        ("100000", HUAIYANG, [None]),
        ("999999", "999999", [None]),
    ],
)
def test_a_facility_answers_to_its_care_agency_and_every_agency_to_the_one_above(
    party: str, care_region: str, levels: list[str | None]
) -> None:
    assert [told_at(n, party, care_region, REGIONS) for n in range(1, len(levels) + 1)] == levels


OVER = date(2026, 11, 24)
"""The first day after the due day of a clock of 15 working days from START."""


@pytest.mark.parametrize(
    ("changes", "stood_since", "today", "agreed"),
    [
        ({}, START, OVER, True),
        ({}, START, OVER - timedelta(days=1), False),
        ({"deemed_consent": False}, START, OVER, False),
        ({"kind": DueKind.REMITTANCE}, START, OVER, False),
        ({"suspended_on": START}, START, OVER, False),
        ({}, START + timedelta(days=1), OVER, False),
        ({}, START + timedelta(days=1), OVER + timedelta(days=1), True),
        ({}, OVER, OVER + timedelta(days=30), True),
        ({}, OVER, OVER + timedelta(days=7), False),
    ],
)
def test_silence_is_agreement_only_when_the_numbers_stood_for_the_whole_time(
    changes: dict[str, Any], stood_since: date, today: date, agreed: bool
) -> None:
    due = a_due(**{"deemed_consent": True, **changes})
    assert due.due_on == OVER - timedelta(days=1)
    assert consents(CALENDAR, due, stood_since, today) is agreed


@pytest.mark.parametrize(
    ("kind", "days", "deemed"),
    [(DueKind.RECONCILIATION, 3, True), (DueKind.REMITTANCE, 4, False), (DueKind.DISBURSEMENT, 5, False)],
)
def test_a_due_follows_the_terms(kind: DueKind, days: int, deemed: bool) -> None:
    terms = replace(
        DEFAULTS,
        reconciliation_working_days=3,
        remittance_working_days=4,
        disbursement_working_days=5,
        deemed_consent=True,
        reminder_distances=(1,),
        escalation_distances=(2, 6),
    )
    due = due_by_terms(CALENDAR, "c", kind, ZHOUKOU, since=START, terms=terms)
    assert (due.working_days, due.deemed_consent, due.reminder_distances, due.escalation_distances) == (
        days,
        deemed,
        (1,),
        (2, 6),
    )


def hop(state: HopState) -> Hop:
    return Hop(1, HopKind.REMITTANCE, XIANGCHENG, ZHOUKOU, 1, state)


def a_case(state: State, *hops: Hop) -> Case:
    return Case("c", "H1", "2026-10", HUAIYANG, XIANGCHENG, ZHOUKOU, CHAIN, state, hops=hops)


@pytest.mark.parametrize(
    ("case", "order", "code"),
    [
        (a_case(State.OPEN), None, "0"),
        (a_case(State.SUBMITTED), None, "10"),
        (a_case(State.DIFFERENCES), None, "30"),
        (a_case(State.MATCHED), None, "40"),
        (a_case(State.CONFIRMED, hop(HopState.PAYABLE)), None, "50"),
        (a_case(State.CONFIRMED, hop(HopState.IN_POSITION)), None, "80"),
        (a_case(State.CONFIRMED, hop(HopState.PROPOSED)), None, "111"),
        (a_case(State.REMITTING, hop(HopState.PAYABLE)), None, "110"),
        (a_case(State.DISBURSING, hop(HopState.PAYABLE)), None, "110"),
        (a_case(State.DISBURSING, hop(HopState.PROPOSED)), OrderState.PROPOSED, "111"),
        (a_case(State.DISBURSING, hop(HopState.PROPOSED)), OrderState.REVIEWED, "112"),
        (a_case(State.DISBURSING, hop(HopState.PROPOSED)), OrderState.APPROVED, "113"),
        (a_case(State.DISBURSING, hop(HopState.PROPOSED)), OrderState.SENDING, "120"),
        (a_case(State.DISBURSING, hop(HopState.PROPOSED)), OrderState.SENT, "120"),
        (a_case(State.DISBURSING, hop(HopState.PROPOSED)), OrderState.REJECTED, "110"),
        (a_case(State.CLOSED, hop(HopState.PAID)), OrderState.SETTLED, "60"),
        (a_case(State.CLOSED), None, "60"),
    ],
)
def test_every_case_has_its_national_code(case: Case, order: OrderState | None, code: str) -> None:
    assert clr_stas(case, order) == code


def test_every_national_code_is_ours_or_has_a_reason_why_not() -> None:
    ours = {*BY_STATE.values(), *BY_ORDER.values(), IN_CYCLE}
    assert set(BY_STATE) == set(State)
    assert ours.isdisjoint(WITHOUT_STATE)
    assert ours | set(WITHOUT_STATE) == set(NAMES)


# With the running service


@pytest.fixture
async def month(books: Books, act_as: ActAs, hospital: Hospital) -> Month:
    """A matched month with one case of another county."""
    bills = [hospital.bill(), hospital.bill()]
    await books.hear(*bills)
    await submit(act_as("facility", hospital.code), hospital, [*bills])
    return Month(act_as, hospital)


def parts_of(books: Books, calendar: WorkCalendar = CALENDAR) -> Settlement:
    return Settlement(books.database, REGIONS, SettlementSettings(), calendar, books.ledger_key)


def at(day: date) -> Callable[[], datetime]:
    """A clock that stands at noon of a day."""
    return lambda: datetime(day.year, day.month, day.day, 4, tzinfo=UTC)


def today() -> date:
    return shanghai_day(datetime.now(UTC))


async def due_row(books: Books, case_id: str, party: str, kind: str = "reconciliation") -> Any:
    (row,) = await books.rows("SELECT * FROM due WHERE case_id = $1 AND party = $2 AND kind = $3", case_id, party, kind)
    return row


def dues_path(case: dict[str, Any], party: str, what: str, kind: str = "reconciliation") -> str:
    return f"/v1/cases/{case['case_id']}/dues/{kind}/{party}/{what}"


WAITING = {"reason": "等待参保地补充材料", "papers": ["转诊备案表"]}


async def test_a_suspended_clock_stands_still_and_goes_on(
    books: Books, month: Month, act_as: ActAs, heard: Heard
) -> None:
    (case,) = await month.cases()
    before = await due_row(books, case["case_id"], XIANGCHENG)
    officer = act_as("officer", XIANGCHENG)

    stopped = await officer.post(dues_path(case, XIANGCHENG, "suspension"), WAITING)
    await remind(parts_of(books), at(before["due_on"] + timedelta(days=90)))
    await escalate(parts_of(books), at(before["due_on"] + timedelta(days=90)))
    while_it_stood = await month.case(case["case_id"])
    again = await officer.post(dues_path(case, XIANGCHENG, "suspension"), WAITING)
    running = await officer.post(dues_path(case, XIANGCHENG, "resumption"))
    twice = await officer.post(dues_path(case, XIANGCHENG, "resumption"))

    assert stopped.status_code == 200, stopped.text
    assert stopped.json()["suspended_on"] == today().isoformat()
    told = [event for event in await heard(case["case_id"]) if getattr(event, "party", None) == XIANGCHENG]
    assert [type(event).__name__ for event in told] == ["DueSuspended", "DueResumed"], (
        "a clock that stands still reminds of nothing"
    )
    assert codes(again) == ["settlement.due-suspended"]
    assert codes(twice) == ["settlement.due-not-suspended"]
    assert running.json()["due_on"] == before["due_on"].isoformat(), "resumed on the same day nothing is lost"
    shown = {due["party"]: due["suspended_on"] for due in while_it_stood["dues"]}
    assert shown == {**dict.fromkeys((month.hospital.code, HUAIYANG, ZHOUKOU)), XIANGCHENG: today().isoformat()}
    (suspension,) = (await month.case(case["case_id"]))["suspensions"]
    assert (suspension["papers"], suspension["suspended_by"]) == (["转诊备案表"], "officer-1")
    assert suspension["resumed_on"] == today().isoformat()
    assert [step["step"] for step in while_it_stood["history"]][-1] == "suspend_reconciliation"


async def test_who_may_stop_a_clock(month: Month, act_as: ActAs) -> None:
    """The party's own officer and those above it; of a facility its care agency; nobody beside."""
    (case,) = await month.cases()
    code = month.hospital.code

    beside = await act_as("officer", XIANGCHENG).post(dues_path(case, HUAIYANG, "suspension"), WAITING)
    below = await act_as("officer", HUAIYANG).post(dues_path(case, ZHOUKOU, "suspension"), WAITING)
    above = await act_as("officer", ZHOUKOU).post(dues_path(case, HUAIYANG, "suspension"), WAITING)
    care = await act_as("officer", HUAIYANG).post(dues_path(case, code, "suspension"), WAITING)
    unknown = await act_as("officer", HUAIYANG).post(dues_path(case, HUAIYANG, "suspension", "remittance"), WAITING)
    paperless = await act_as("officer", HUAIYANG).post(
        dues_path(case, HUAIYANG, "suspension"), {"reason": "r", "papers": []}
    )

    assert codes(beside) == codes(below) == ["auth.not-your-area"]
    assert (above.status_code, care.status_code) == (200, 200)
    assert codes(unknown) == ["settlement.due-unknown"]
    assert paperless.status_code == 422


async def test_a_rematch_neither_resumes_nor_lengthens_a_clock(books: Books, month: Month, act_as: ActAs) -> None:
    (case,) = await month.cases()
    officer = act_as("officer", XIANGCHENG)
    await officer.post(dues_path(case, XIANGCHENG, "suspension"), WAITING)
    stopped = await due_row(books, case["case_id"], XIANGCHENG)
    bill = month.hospital.bill()
    await books.hear(bill)
    for _ in range(100):
        if not await books.value("SELECT count(*) FROM statement WHERE state = 'reopened'"):
            break
        await asyncio.sleep(0.1)

    assert await due_row(books, case["case_id"], XIANGCHENG) == stopped


async def test_the_database_keeps_suspensions(month: Month, act_as: ActAs, owner: Owner) -> None:
    (case,) = await month.cases()
    for what in ("suspension", "resumption"):
        await act_as("officer", ZHOUKOU).post(dues_path(case, ZHOUKOU, what), WAITING if what == "suspension" else None)
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("UPDATE due_suspension SET reason = 'other' WHERE case_id = $1", case["case_id"])
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await owner.execute(
            """INSERT INTO due (case_id, kind, party, since, working_days, due_on, provisional, started_on,
                   reminder_distances, escalation_distances, deemed_consent)
               SELECT case_id, 'remittance', party, since, working_days, due_on, provisional, started_on,
                   reminder_distances, escalation_distances, true FROM due WHERE case_id = $1""",
            case["case_id"],
        )
    assert refused.value.constraint_name == "due_deemed"


async def escalated(heard: Heard, case_id: str) -> Counter[tuple[str, str, int]]:
    events = [event for event in await heard(case_id) if isinstance(event, DueEscalated)]
    return Counter((event.party, event.region, event.level_no) for event in events)


async def test_the_agencies_above_are_told_once_at_each_level(books: Books, month: Month, heard: Heard) -> None:
    (case,) = await month.cases()
    await month.confirm(case, HUAIYANG)
    due_on = (await due_row(books, case["case_id"], ZHOUKOU))["due_on"]
    fifth, tenth = CALENDAR.add(due_on, 5).day, CALENDAR.add(due_on, 10).day

    await escalate(parts_of(books), at(fifth - timedelta(days=1)))
    early = await escalated(heard, case["case_id"])
    for day in (fifth, fifth, due_on, tenth + timedelta(days=40), fifth, tenth):
        await escalate(parts_of(books), at(day))

    assert early == {}
    assert await escalated(heard, case["case_id"]) == {
        (month.hospital.code, HUAIYANG, 1): 1,
        (month.hospital.code, ZHOUKOU, 2): 1,
        (ZHOUKOU, HENAN, 1): 1,
        (ZHOUKOU, "100000", 2): 1,
        (XIANGCHENG, ZHOUKOU, 1): 1,
        (XIANGCHENG, HENAN, 2): 1,
    }


async def test_two_workers_escalate_once(books: Books, month: Month, owner: Owner, heard: Heard) -> None:
    (case,) = await month.cases()
    later = at(today() + timedelta(days=60))

    async with owner.transaction():
        await owner.execute("LOCK TABLE escalation IN SHARE MODE")
        workers = [asyncio.create_task(escalate(parts_of(books), later)) for _ in range(2)]
        await waits(books, "INSERT INTO escalation", connections=2)
    await asyncio.gather(*workers)

    assert set((await escalated(heard, case["case_id"])).values()) == {1}


async def silent_month(books: Books, month: Month, *parties: str) -> tuple[dict[str, Any], date]:
    """A case in which the terms of some parties take silence for agreement, and the first day of it."""
    (case,) = await month.cases()
    async with books.database.transaction() as tx:
        await tx.execute(
            "UPDATE due SET deemed_consent = true WHERE case_id = $1 AND party = ANY($2::text[])",
            case["case_id"],
            list(parties),
        )
    due_on: date = (await due_row(books, case["case_id"], ZHOUKOU))["due_on"]
    return case, max(due_on, CALENDAR.add(today(), 15).day) + timedelta(days=1)


async def test_silence_is_agreement_where_the_terms_say_so(books: Books, month: Month, heard: Heard) -> None:
    case, day = await silent_month(books, month, HUAIYANG, XIANGCHENG)
    await month.confirm(case, HUAIYANG)

    await deem_confirmed(parts_of(books), at(day - timedelta(days=1)))
    in_time = (await month.case(case["case_id"]))["confirmed_by"]
    for late in (day, day, day + timedelta(days=99), day):
        await deem_confirmed(parts_of(books), at(late))
    detail = await month.case(case["case_id"])

    assert in_time == [HUAIYANG]
    assert detail["confirmed_by"] == [HUAIYANG, XIANGCHENG], "the others' terms do not say so"
    (home,) = [party for party in detail["parties"] if party["party"] == XIANGCHENG]
    assert (home["deemed"], home["confirmed_by"], home["numbers_hash"]) == (True, None, case["numbers_hash"])
    steps = [(s["step"], s["party"], s["subject"], s["numbers_hash"]) for s in detail["history"]]
    assert steps[-1] == ("deem_confirmed", XIANGCHENG, None, case["numbers_hash"])
    confirmed = [event for event in await heard(case["case_id"]) if isinstance(event, PartyConfirmed)]
    assert [(event.party, event.deemed) for event in confirmed] == [(HUAIYANG, False), (XIANGCHENG, True)]


async def test_the_last_silence_reconciles_the_case(books: Books, month: Month, heard: Heard) -> None:
    case, day = await silent_month(books, month, month.hospital.code, *CHAIN)

    await asyncio.gather(*(deem_confirmed(parts_of(books), at(day)) for _ in range(3)))

    detail = await month.case(case["case_id"])
    assert detail["state"] == "confirmed"
    assert [h["state"] for h in detail["hops"]] == ["payable", "waiting", "waiting"]
    told = await heard(case["case_id"])
    assert Counter(type(event) for event in told)[Reconciled] == 1
    assert Counter(e.party for e in told if isinstance(e, PartyConfirmed)) == Counter([month.hospital.code, *CHAIN])


async def test_silence_about_new_numbers_is_not_agreement_yet(books: Books, month: Month) -> None:
    """Nobody agrees to what it had no time to look at: the whole time begins when the numbers stand."""
    case, day = await silent_month(books, month, XIANGCHENG)
    async with books.database.transaction() as tx:
        await tx.execute(
            """INSERT INTO case_step (case_id, step, party, subject, numbers_hash, at)
               VALUES ($1, 'match', 'settlement', NULL, $2, $3)""",
            case["case_id"],
            case["numbers_hash"],
            at(day - timedelta(days=3))(),
        )

    await deem_confirmed(parts_of(books), at(day))
    too_soon = (await month.case(case["case_id"]))["confirmed_by"]
    await deem_confirmed(parts_of(books), at(day + timedelta(days=40)))

    assert too_soon == []
    assert (await month.case(case["case_id"]))["confirmed_by"] == [XIANGCHENG]


async def test_another_calendar_moves_every_running_clock(books: Books, month: Month, act_as: ActAs) -> None:
    (case,) = await month.cases()
    await act_as("officer", ZHOUKOU).post(dues_path(case, ZHOUKOU, "suspension"), WAITING)
    before = await due_row(books, case["case_id"], XIANGCHENG)
    standing = await due_row(books, case["case_id"], ZHOUKOU)
    first = next(d for n in range(1, 15) if CALENDAR.is_working(d := today() + timedelta(days=n)))
    closed = WorkCalendar(overrides={first: False})

    await remind(parts_of(books, closed), at(today()))
    moved = await due_row(books, case["case_id"], XIANGCHENG)
    await remind(parts_of(books), at(today()))

    assert moved["due_on"] == closed.add(today(), 15).day == CALENDAR.add(before["due_on"], 1).day
    assert await due_row(books, case["case_id"], ZHOUKOU) == standing
    assert await due_row(books, case["case_id"], XIANGCHENG) == before


async def test_another_calendar_moves_work_items(books: Books, act_as: ActAs, hospital: Hospital) -> None:
    await differing_month(books, act_as, hospital)
    query = "SELECT item_no, since, working_days, due_on FROM work_item WHERE party = $1 ORDER BY item_no"
    before = await books.rows(query, hospital.code)
    first = next(d for n in range(1, 15) if CALENDAR.is_working(d := today() + timedelta(days=n)))
    closed = WorkCalendar(overrides={first: False})

    await remind(parts_of(books, closed), at(today()))
    moved = await books.rows(query, hospital.code)
    await remind(parts_of(books), at(today()))

    assert {(row["since"], row["working_days"]) for row in before} == {(today(), 5)}
    assert {row["due_on"] for row in moved} == {closed.add(today(), 5).day} != {row["due_on"] for row in before}
    assert await books.rows(query, hospital.code) == before


def test_a_calendar_is_named_by_what_it_knows() -> None:
    day = date(2026, 12, 1)
    names = [WorkCalendar().digest, WorkCalendar({day: False}).digest, WorkCalendar({day: True}).digest]
    assert len({*names, WorkCalendar(published_years=[2040]).digest}) == 4
    assert WorkCalendar().digest == names[0]


# The list


async def differing_month(books: Books, act_as: ActAs, hospital: Hospital) -> Month:
    """A month with two work items."""
    bills = [hospital.bill(), hospital.bill()]
    await books.hear(*bills)
    stated: list[DischargeSettled | SettlementReversed] = [bills[0], hospital.bill(fund_fen=70_000)]
    statement = await submit(act_as("facility", hospital.code), hospital, stated)
    facility = act_as("facility", hospital.code)
    await facility.post(f"/v1/statements/{statement['statement_id']}/lines", {"lines": lines_of(stated)})
    await facility.post(f"/v1/statements/{statement['statement_id']}/match")
    return Month(act_as, hospital)


async def agenda(caller: Any, hospital: Hospital, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        answer = await caller.get("/v1/agenda", limit=2, **query, **({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        if (cursor := answer.json()["next_cursor"]) is None:
            break
    assert [(i["due_on"], i["ref"]) for i in items] == sorted((i["due_on"], i["ref"]) for i in items)
    return [item for item in items if item["stated_by"] == hospital.code]


async def test_what_is_due_is_one_list(books: Books, act_as: ActAs, hospital: Hospital) -> None:
    month = await differing_month(books, act_as, hospital)
    of_facility = await agenda(month.of(hospital.code), hospital)
    of_care = await agenda(month.of(HUAIYANG), hospital)

    assert sorted(task["kind"] for task in of_facility) == ["item", "reconciliation"]
    assert sorted(task["kind"] for task in of_care) == ["item", "reconciliation"]
    (item,) = [task for task in of_care if task["kind"] == "item"]
    assert item["concerns"] == hospital.code
    assert item["working_days_left"] == CALENDAR.between(today(), date.fromisoformat(item["due_on"]))


async def test_who_is_late_is_in_the_list_of_the_agency_above_until_it_has_done_it(books: Books, month: Month) -> None:
    (case,) = await month.cases()
    due_on = (await due_row(books, case["case_id"], XIANGCHENG))["due_on"]
    await escalate(parts_of(books), at(CALENDAR.add(due_on, 5).day))
    city = month.of(ZHOUKOU)

    late = [task for task in await agenda(city, month.hospital) if task["kind"] == "escalation"]
    await month.confirm(case, XIANGCHENG)
    after = [task for task in await agenda(city, month.hospital) if task["kind"] == "escalation"]

    assert [(task["concerns"], task["number"], task["case_id"]) for task in late] == [
        (HUAIYANG, 1, case["case_id"]),
        (XIANGCHENG, 1, case["case_id"]),
    ]
    assert [task["concerns"] for task in after] == [HUAIYANG]


async def test_an_officers_list_is_what_it_has_and_what_its_role_does(
    books: Books, act_as: ActAs, hospital: Hospital
) -> None:
    month = await differing_month(books, act_as, hospital)
    one, two = act_as("officer", HUAIYANG, "one"), act_as("officer", HUAIYANG, "two")
    finance = act_as("finance", HUAIYANG, "cash")
    (item,) = [task for task in await agenda(one, hospital, mine=True) if task["kind"] == "item"]

    given = await two.put("/v1/agenda/assignments", _json({"ref": item["ref"], "subject": "two"}))
    foreign = await act_as("officer", XIANGCHENG).put(
        "/v1/agenda/assignments", _json({"ref": item["ref"], "subject": "x"})
    )
    kinds = {
        who: sorted(task["kind"] for task in await agenda(caller, hospital, mine=True))
        for who, caller in (("one", one), ("two", two), ("finance", finance))
    }
    everybody = [task["assigned_to"] for task in await agenda(one, hospital) if task["kind"] == "item"]
    await two.put("/v1/agenda/assignments", _json({"ref": item["ref"]}))

    assert given.json()["assigned_to"] == "two"
    assert codes(foreign) == ["settlement.task-unknown"]
    assert kinds == {"one": [], "two": ["item"], "finance": ["reconciliation"]}
    assert everybody == ["two"]
    assert [t["kind"] for t in await agenda(one, hospital, mine=True)] == ["item"]
    assert month.hospital is hospital


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


@pytest.mark.parametrize("cursor", ["x", "2026-02-30 a", "2026-13-01 a", "2026-11-02"])
async def test_a_cursor_of_another_list_is_refused(act_as: ActAs, cursor: str) -> None:
    given = base64.urlsafe_b64encode(cursor.encode()).decode()
    assert codes(await act_as("officer", HUAIYANG).get("/v1/agenda", cursor=given)) == ["request.cursor-invalid"]


async def test_work_items_are_reminded_of_together_and_once(
    books: Books, act_as: ActAs, hospital: Hospital, heard: Heard
) -> None:
    await differing_month(books, act_as, hospital)
    (due_on,) = {
        row["due_on"] for row in await books.rows("SELECT due_on FROM work_item WHERE party = $1", hospital.code)
    }

    early, next_day, late = due_on - timedelta(days=40), CALENDAR.add(due_on, 1).day, due_on + timedelta(days=40)
    for day in (early, early, due_on, due_on, next_day, late, late, next_day, due_on):
        await remind_of_items(parts_of(books), at(day))

    told = [event for event in await heard(f"{hospital.code}:{hospital.month}") if isinstance(event, ItemsDue)]
    sent = Counter((event.party, event.working_days_left, event.item_count) for event in told)
    assert set(sent.values()) == {1}
    assert {(party, count) for party, _, count in sent} == {(hospital.code, 1), (HUAIYANG, 1)}
    assert len([party for party, *_ in sent if party == HUAIYANG]) == 3


async def test_who_does_not_deal_with_items_is_told_of_above(
    books: Books, act_as: ActAs, hospital: Hospital, heard: Heard
) -> None:
    month = await differing_month(books, act_as, hospital)
    (due_on,) = {
        row["due_on"] for row in await books.rows("SELECT due_on FROM work_item WHERE party = $1", hospital.code)
    }
    fifth, tenth = CALENDAR.add(due_on, 5).day, CALENDAR.add(due_on, 10).day

    await escalate(parts_of(books), at(fifth - timedelta(days=1)))
    early = [e for e in await heard(f"{hospital.code}:{hospital.month}") if isinstance(e, ItemsEscalated)]
    for day in (fifth, fifth, due_on, tenth, fifth):
        await escalate(parts_of(books), at(day))
    listed = {
        region: [t for t in await agenda(month.of(region), hospital) if t["ref"].startswith("late items")]
        for region in (HUAIYANG, ZHOUKOU)
    }
    resolution = f"/v1/statements/{await books.value(STATEMENT_OF, hospital.code)}/resolution"
    await act_as("officer", HUAIYANG, "one").post(resolution, {"reason": "以账面为准"})
    await act_as("officer", HUAIYANG, "two").post(f"{resolution}/approval")
    after = [t for t in await agenda(month.of(HUAIYANG), hospital) if t["ref"].startswith("late items")]

    assert early == []
    told = [e for e in await heard(f"{hospital.code}:{hospital.month}") if isinstance(e, ItemsEscalated)]
    assert Counter((e.party, e.region, e.level_no, e.item_count) for e in told) == {
        (hospital.code, HUAIYANG, 1, 1): 1,
        (hospital.code, ZHOUKOU, 2, 1): 1,
        (HUAIYANG, ZHOUKOU, 1, 1): 1,
        (HUAIYANG, HENAN, 2, 1): 1,
    }
    assert [(t["concerns"], t["number"]) for t in listed[HUAIYANG]] == [(hospital.code, 1)]
    assert sorted((t["concerns"], t["number"]) for t in listed[ZHOUKOU]) == [(HUAIYANG, 1), (hospital.code, 2)]
    assert after == []


STATEMENT_OF = "SELECT statement_id FROM statement WHERE party = $1 ORDER BY version_no DESC LIMIT 1"
