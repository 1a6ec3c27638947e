"""Net positions are due: reminded of, escalated, on the lists; and what they pay is not announced a second time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from services.settlement.rules.dues import DueKind, position_clock
from services.settlement.rules.terms import Netting
from services.settlement.store import agenda as agenda_store
from services.settlement.store.agenda import Task
from services.settlement.store.clearing import Cycle, Position
from services.settlement.use_cases.overdue import escalate
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.reminders import remind
from shared.events.settlement import DisbursementDue, DueEscalated, PositionDue, PositionEscalated, RemittanceDue
from shared.workdays import WorkCalendar, month_of, shanghai_day
from tests.services.settlement.cycles import LATE, NOW, City
from tests.services.settlement.fixtures import Heard, Owner
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
