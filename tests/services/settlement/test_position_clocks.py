"""Net positions are due: reminded of, escalated, on the lists; and what they pay is not announced a second time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from services.settlement.rules.dues import DueKind, position_clock
from services.settlement.rules.terms import Netting
from services.settlement.store import agenda as agenda_store
from services.settlement.store import position_dues
from services.settlement.store.agenda import Task
from services.settlement.store.clearing import Cycle, Position
from services.settlement.store.dues import Suspension
from services.settlement.use_cases.clocks import resume_position, suspend_position
from services.settlement.use_cases.overdue import escalate
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.reminders import remind
from shared.auth import Principal, Role
from shared.events.settlement import (
    DisbursementDue,
    DueEscalated,
    PositionDue,
    PositionEscalated,
    PositionResumed,
    PositionSuspended,
    RemittanceDue,
)
from shared.refusals import Refused
from shared.workdays import WorkCalendar, month_of, shanghai_day
from tests.services.settlement.cycles import LATE, NOW, City
from tests.services.settlement.fixtures import Heard, Owner, waits
from tests.services.settlement.test_clocks import CALENDAR, DEFAULTS, at
from tests.services.settlement.world import Books

TODAY = shanghai_day(NOW)


@pytest.fixture
async def city(books: Books) -> City:
    """A city that nets through itself."""
    made = City(books)
    await made.agree(made.code, netting=Netting.MULTILATERAL, unpaid_rule="postpone")
    return made


async def cut_one(city: City) -> tuple[str, Cycle, dict[tuple[str, str], Position]]:
    """A cycle with one case: county 2 owes the city, the city county 1, county 1 its hospital."""
    hospital = city.hospital(1)
    (case_id,) = (await city.confirmed(hospital, hospital.bill(city.county(2)))).values()
    cycle = await city.cut()
    return case_id, cycle, await city.positions(cycle)


async def tasks(city: City, party: str, day: date = TODAY) -> list[Task]:
    """What is on the list of a party of the city."""
    async with city.books.database.read() as reader:
        return await agenda_store.agenda(reader, party, month_of(day), (date.min, ""), 100, subject=None, kinds=())


@pytest.mark.parametrize(("kind", "days"), [(DueKind.REMITTANCE, 10), (DueKind.DISBURSEMENT, 10)])
def test_a_position_has_its_days_and_distances_from_the_terms(kind: DueKind, days: int) -> None:
    clock = position_clock(CALENDAR, kind, since=TODAY, terms=DEFAULTS)
    assert (clock.kind, clock.since, clock.working_days) == (kind, TODAY, days)
    assert clock.due_on == CALENDAR.add(TODAY, days).day
    assert (clock.reminder_distances, clock.escalation_distances) == ((5, 2, 0, -1, -5), (5, 10))


async def test_a_position_is_reminded_of_once_at_each_distance(city: City, heard: Heard) -> None:
    """Whatever the clock does; and of the hops that it pays nobody is."""
    case_id, cycle, positions = await cut_one(city)
    first = positions[city.county(2), city.code]
    assert first.due_on is not None

    days = [CALENDAR.add(TODAY, n).day for n in (4, 5, 5, 8, 9, 5, 10, 11, 11, 4)]
    for day in days:
        await remind(city.parts, at(day))

    told = [event for event in await heard(cycle.cycle_id) if isinstance(event, PositionDue)]
    assert [(event.payer, event.payee, event.amount_fen, event.kind) for event in told] == [
        (city.county(2), city.code, 85_000, "remittance")
    ] * 4, "nobody else's clock runs yet"
    assert [event.working_days_left for event in told] == [5, 2, 0, -1]
    assert {event.due_on for event in told} == {first.due_on}
    of_case = [event for event in await heard(case_id) if isinstance(event, RemittanceDue | DisbursementDue)]
    assert of_case == []


async def test_of_many_distances_reached_at_once_the_nearest_is_told(city: City, heard: Heard) -> None:
    _, cycle, _ = await cut_one(city)

    for day in (CALENDAR.add(TODAY, 40).day, CALENDAR.add(TODAY, 10).day, CALENDAR.add(TODAY, 41).day):
        await remind(city.parts, at(day))

    told = [event for event in await heard(cycle.cycle_id) if isinstance(event, PositionDue)]
    assert [event.working_days_left for event in told] == [-30]
    recorded = await city.books.rows(
        "SELECT distance, announced FROM position_reminder JOIN clearing_position USING (position_id)"
        " WHERE cycle_id = $1 ORDER BY distance",
        cycle.cycle_id,
    )
    assert [tuple(row) for row in recorded] == [(-5, True), (-1, False), (0, False), (2, False), (5, False)]


async def test_when_the_money_comes_the_next_payer_is_due(city: City, heard: Heard) -> None:
    _, cycle, positions = await cut_one(city)
    await city.pay(positions[city.county(2), city.code], NOW + timedelta(days=1))

    await remind(city.parts, at(CALENDAR.add(TODAY + timedelta(days=1), 10).day))

    told = [event for event in await heard(cycle.cycle_id) if isinstance(event, PositionDue)]
    assert [(event.payer, event.kind, event.working_days_left) for event in told] == [(city.code, "disbursement", 0)]


async def test_the_list_shows_the_position_and_not_the_hop(city: City) -> None:
    case_id, _, positions = await cut_one(city)
    position = positions[city.county(2), city.code]

    (task,) = await tasks(city, city.county(2))
    waiting = await tasks(city, city.code)
    await city.pay(position)

    assert (task.kind, task.reference, task.amount_fen, task.due_on, task.concerns) == (
        "remittance",
        position.position_id,
        85_000,
        position.due_on,
        city.code,
    )
    assert task.case_id is None
    assert waiting == []
    assert await tasks(city, city.county(2)) == []
    assert [(t.kind, t.concerns) for t in await tasks(city, city.code)] == [("disbursement", city.county(1))]
    assert await city.books.value("SELECT count(*) FROM due WHERE case_id = $1 AND kind <> 'reconciliation'", case_id)


async def test_a_case_that_leaves_is_due_again_by_itself(city: City, heard: Heard) -> None:
    """It had its day when everybody confirmed it, and that is over."""
    case_id, cycle, positions = await cut_one(city)
    await city.apply_rule(positions[city.county(2), city.code])

    listed = await tasks(city, city.county(2))
    await remind(city.parts, lambda: LATE)
    await escalate(city.parts, lambda: LATE)

    assert [(task.kind, task.case_id) for task in listed] == [("remittance", case_id)]
    told = await heard(case_id)
    assert [event.party for event in told if isinstance(event, RemittanceDue)] == [city.county(2)]
    assert {event.kind for event in told if isinstance(event, DueEscalated)} == {"remittance"}
    assert [event for event in await heard(cycle.cycle_id) if isinstance(event, PositionDue)] == []


async def test_what_is_left_of_a_position_is_as_late_and_not_told_again(city: City, heard: Heard) -> None:
    """Two cases of county 2: one leaves by part payment, and the position of the other goes on where this one was."""
    await city.agree(city.county(2), unpaid_rule="part_pay")
    one, two = city.hospital(1), city.hospital(3)
    await city.confirmed(one, one.bill(city.county(2)))
    await city.confirmed(two, two.bill(city.county(2), fund_fen=20_000, account_fen=0), now=NOW + timedelta(minutes=1))
    cycle = await city.cut(NOW + timedelta(minutes=2))
    before = (await city.positions(cycle))[city.county(2), city.code]
    await remind(city.parts, lambda: LATE)
    await escalate(city.parts, lambda: LATE)

    left = await city.apply_rule(before, available_fen=85_000)
    after = (await city.positions(cycle))[city.county(2), city.code]
    await remind(city.parts, lambda: LATE)
    await escalate(city.parts, lambda: LATE)

    assert len(left) == 1
    assert after.position_id != before.position_id
    assert (after.amount_fen, after.due_on) == (85_000, before.due_on)
    told = await heard(cycle.cycle_id)
    assert [e.position_id for e in told if isinstance(e, PositionDue)] == [before.position_id]
    assert [e.position_id for e in told if isinstance(e, PositionEscalated)] == [before.position_id] * 2
    late = [task for task in await tasks(city, city.code) if task.kind == "escalation"]
    assert [(t.reference, t.number) for t in late if t.reference] == [(after.position_id, 1)]


async def test_who_does_not_pay_is_told_of_above_once_at_each_level(city: City, heard: Heard) -> None:
    _, cycle, positions = await cut_one(city)
    position = positions[city.county(2), city.code]
    assert position.due_on is not None
    fifth, tenth = CALENDAR.add(position.due_on, 5).day, CALENDAR.add(position.due_on, 10).day

    await escalate(city.parts, at(fifth - timedelta(days=1)))
    early = [event for event in await heard(cycle.cycle_id) if isinstance(event, PositionEscalated)]
    for day in (fifth, fifth, position.due_on, tenth, fifth):
        await escalate(city.parts, at(day))
    listed = [task for task in await tasks(city, city.code) if task.kind == "escalation"]
    await city.pay(position)

    assert early == []
    told = [event for event in await heard(cycle.cycle_id) if isinstance(event, PositionEscalated)]
    assert Counter((event.payer, event.region, event.level_no) for event in told) == {
        (city.county(2), city.code, 1): 1,
        (city.county(2), f"{city.code[:2]}0000", 2): 1,
    }
    assert [(task.concerns, task.number, task.amount_fen) for task in listed] == [(city.county(2), 1, 85_000)]
    assert [task for task in await tasks(city, city.code) if task.kind == "escalation"] == [], "paid"


# Standing still

PAPERS = ["转诊备案表"]


def officer(region: str, name: str = "officer") -> Principal:
    """Somebody who may stop clocks of a region."""
    return Principal(name, Role.OFFICER, region)


async def stop(city: City, position: Position, day: date, region: str = "") -> None:
    """The payer's officer, or another agency's, stops the clock on a day."""
    who = officer(region or position.payer)
    await suspend_position(city.parts, who, position.position_id, "等待对方材料", PAPERS, at(day)())


async def go_on(city: City, position: Position, day: date, region: str = "") -> None:
    """It goes on, on a day."""
    await resume_position(city.parts, officer(region or position.payer), position.position_id, at(day)())


async def suspensions(city: City, position: Position) -> list[Suspension]:
    """When the clock of a position stood still."""
    async with city.books.database.read() as reader:
        return await position_dues.suspensions(reader, position.position_id)


async def test_a_clock_that_stands_still_reminds_nobody_and_keeps_its_days(city: City, heard: Heard) -> None:
    _, cycle, positions = await cut_one(city)
    position = positions[city.county(2), city.code]
    assert position.due_on is not None
    third, later = CALENDAR.add(TODAY, 3).day, CALENDAR.add(TODAY, 40).day

    await stop(city, position, third)
    for day in (position.due_on, CALENDAR.add(position.due_on, 12).day, later):
        await remind(city.parts, at(day))
        await escalate(city.parts, at(day))
    (listed,) = await tasks(city, city.county(2), later)
    await go_on(city, position, later)
    after = (await city.positions(cycle))[city.county(2), city.code]
    await remind(city.parts, at(CALENDAR.add(later, 7).day))

    assert (listed.suspended_on, listed.due_on) == (third, position.due_on)
    assert (after.suspended_on, after.due_on) == (None, CALENDAR.add(later, 7).day), "seven of ten days were left"
    told = await heard(cycle.cycle_id)
    assert [type(e) for e in told if getattr(e, "position_id", None) == position.position_id] == [
        PositionSuspended,
        PositionResumed,
        PositionDue,
    ]
    stopped, resumed, due = (e for e in told if getattr(e, "position_id", None) == position.position_id)
    assert isinstance(stopped, PositionSuspended)
    assert (stopped.payer, stopped.payee, stopped.kind) == (city.county(2), city.code, "remittance")
    assert (stopped.suspended_on, stopped.days_left, stopped.amount_fen) == (third, 7, 85_000)
    assert isinstance(resumed, PositionResumed)
    assert (resumed.due_on, resumed.provisional) == (after.due_on, CALENDAR.add(later, 7).provisional)
    assert isinstance(due, PositionDue)
    assert due.working_days_left == 0
    (row,) = await suspensions(city, position)
    assert (row.party, row.kind, row.days_left, row.papers) == (city.county(2), "remittance", 7, PAPERS)
    assert (row.suspended_by, row.suspended_on, row.resumed_by, row.resumed_on) == (
        *("officer", third),
        *("officer", later),
    )


async def test_who_may_stop_a_position_and_when(city: City) -> None:
    """The payer's own officer and those above; nobody beside, not the payee below; not twice, not when it is over."""
    _, _, positions = await cut_one(city)
    first, second = positions[city.county(2), city.code], positions[city.code, city.county(1)]
    assert first.due_on is not None
    over = first.due_on + timedelta(days=1)

    async def refusal(stopping: Awaitable[None]) -> list[str]:
        with pytest.raises(Refused) as refused:
            await stopping
        return [r.code for r in refused.value.refusals]

    assert await refusal(stop(city, first, TODAY, city.county(1))) == ["auth.not-your-area"]
    assert await refusal(stop(city, second, TODAY, city.county(1))) == ["auth.not-your-area"]
    assert await refusal(stop(city, second, TODAY)) == ["settlement.due-unknown"], "it waits: no clock runs"
    assert await refusal(stop(city, replace(first, position_id="none"), TODAY)) == ["settlement.position-unknown"]
    assert await refusal(stop(city, first, over)) == ["settlement.due-over"]
    assert await refusal(go_on(city, first, TODAY)) == ["settlement.due-not-suspended"]
    await stop(city, first, TODAY, city.code)
    assert await refusal(stop(city, first, TODAY)) == ["settlement.due-suspended"]
    assert await refusal(go_on(city, first, TODAY, city.county(1))) == ["auth.not-your-area"]
    await go_on(city, first, TODAY)
    await city.pay(first)
    assert await refusal(stop(city, first, TODAY)) == ["settlement.due-unknown"]


async def test_two_officers_at_once_stop_it_once(city: City) -> None:
    _, _, positions = await cut_one(city)
    position = positions[city.county(2), city.code]

    async with city.books.database.transaction() as tx:
        await tx.execute("SELECT FROM clearing_position WHERE position_id = $1 FOR UPDATE", position.position_id)
        both = [asyncio.create_task(stop(city, position, TODAY)) for _ in range(2)]
        await waits(city.books, "FROM clearing_position WHERE position_id = $1 AND state", connections=2)
    outcomes = await asyncio.gather(*both, return_exceptions=True)

    assert Counter(type(outcome) for outcome in outcomes) == {Refused: 1, type(None): 1}
    assert len(await suspensions(city, position)) == 1


async def test_who_waits_for_papers_is_not_in_default(city: City) -> None:
    _, _, positions = await cut_one(city)
    position = positions[city.county(2), city.code]
    await stop(city, position, TODAY)

    with pytest.raises(Refused) as refused:
        await city.apply_rule(position)
    await go_on(city, position, shanghai_day(LATE))
    with pytest.raises(Refused) as again:
        await city.apply_rule(position)

    assert [r.code for r in refused.value.refusals] == ["settlement.position-not-overdue"]
    assert [r.code for r in again.value.refusals] == ["settlement.position-not-overdue"], "its days go on from then"


async def test_it_is_paid_while_its_clock_stands_still(city: City) -> None:
    _, cycle, positions = await cut_one(city)
    position = positions[city.county(2), city.code]
    await stop(city, position, TODAY)

    paid = await city.pay_all(cycle)

    assert paid[0] == (city.county(2), city.code, 85_000)
    assert await tasks(city, city.county(2)) == []


async def test_what_takes_the_place_of_a_position_stands_still_like_it(city: City, heard: Heard) -> None:
    """County 2 owes as home agency, less what it is owed as care agency: that case leaves, because 3 does not pay."""
    one, two = city.hospital(1), city.hospital(2)
    await city.confirmed(one, one.bill(city.county(2)))
    await city.confirmed(two, two.bill(city.county(3), fund_fen=40_000, account_fen=0))
    cycle = await city.cut()
    before = await city.positions(cycle)
    stopped = before[city.county(2), city.code]
    await stop(city, stopped, CALENDAR.add(TODAY, 4).day)

    left = await city.apply_rule(before[city.county(3), city.code])
    after = (await city.positions(cycle))[city.county(2), city.code]
    await remind(city.parts, lambda: LATE)
    await go_on(city, after, shanghai_day(LATE))
    running = (await city.positions(cycle))[city.county(2), city.code]

    assert len(left) == 1
    assert (stopped.amount_fen, after.amount_fen) == (45_000, 85_000)
    assert (after.due_on, after.suspended_on) == (stopped.due_on, CALENDAR.add(TODAY, 4).day)
    assert (running.due_on, running.suspended_on) == (CALENDAR.add(shanghai_day(LATE), 6).day, None)
    told = [e for e in await heard(cycle.cycle_id) if isinstance(e, PositionDue) and e.payer == city.county(2)]
    assert told == []
    (row,) = await suspensions(city, after)
    assert (row.days_left, row.papers, row.resumed_on) == (6, PAPERS, shanghai_day(LATE))


async def test_another_calendar_lets_what_stands_still_be(city: City) -> None:
    _, cycle, positions = await cut_one(city)
    position = positions[city.county(2), city.code]
    await stop(city, position, TODAY)
    closed = WorkCalendar(overrides={CALENDAR.add(TODAY, 1).day: False})
    parts = Settlement(city.books.database, city.tree, city.parts.settings, closed, city.books.ledger_key)

    await remind(parts, at(TODAY))
    moved = (await city.positions(cycle))[city.county(2), city.code]
    await remind(city.parts, at(TODAY))

    assert moved.due_on == position.due_on


async def test_the_database_keeps_suspensions_of_positions(city: City, owner: Owner) -> None:
    _, _, positions = await cut_one(city)
    position = positions[city.county(2), city.code]
    await stop(city, position, TODAY)
    own = "WHERE position_id = $1"
    for query in (
        f"UPDATE position_suspension SET reason = 'other' {own}",
        f"DELETE FROM position_suspension {own}",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(query, position.position_id)
    await go_on(city, position, TODAY)
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute(f"UPDATE position_suspension SET resumed_by = 'other' {own}", position.position_id)
    waiting = positions[city.code, city.county(1)].position_id
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await owner.execute(f"UPDATE clearing_position SET suspended_on = now()::date {own}", waiting)
    assert refused.value.constraint_name == "clearing_position_suspended"


async def test_another_calendar_moves_positions(city: City) -> None:
    _, cycle, positions = await cut_one(city)
    position = positions[city.county(2), city.code]
    closed = WorkCalendar(overrides={CALENDAR.add(TODAY, 1).day: False})
    parts = Settlement(city.books.database, city.tree, city.parts.settings, closed, city.books.ledger_key)

    await remind(parts, at(TODAY))
    moved = (await city.positions(cycle))[city.county(2), city.code]
    await remind(city.parts, at(TODAY))

    assert position.due_on is not None
    assert moved.due_on == closed.add(TODAY, 10).day == CALENDAR.add(position.due_on, 1).day
    assert (await city.positions(cycle))[city.county(2), city.code] == position


async def test_the_database_takes_no_half_clock(city: City, owner: Owner) -> None:
    _, _, positions = await cut_one(city)
    position_id = positions[city.county(2), city.code].position_id
    for change in ("since = NULL", "due_kind = NULL", "working_days = -1", "due_on = since - 1", "provisional = NULL"):
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await owner.execute(f"UPDATE clearing_position SET {change} WHERE position_id = $1", position_id)
        assert refused.value.constraint_name == "clearing_position_clock"
    await escalate(city.parts, lambda: datetime(2027, 3, 1, tzinfo=UTC))
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute("DELETE FROM position_escalation WHERE position_id = $1", position_id)
