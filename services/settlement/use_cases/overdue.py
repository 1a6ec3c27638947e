"""Telling of what nobody paid or dealt with (催办): the agencies above once a day is over, and of work items, before,
who must act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from functools import partial
from typing import TypeVar

from services.settlement.rules.dues import reached_until, told_at
from services.settlement.store import agenda as agenda_store
from services.settlement.store import dues as due_store
from services.settlement.store import objections as objection_store
from services.settlement.store import position_dues
from services.settlement.store.agenda import ItemsWaiting
from services.settlement.store.dues import Overdue
from services.settlement.store.objections import LateObjection
from services.settlement.store.position_dues import PositionDue, Told
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.terms import terms_at
from shared.clock import Clock
from shared.database import Connection
from shared.events import Envelope, Event
from shared.events.settlement import DueEscalated, ItemsDue, ItemsEscalated, ObjectionEscalated, PositionEscalated
from shared.outbox import announce
from shared.workdays import shanghai_day

Key = TypeVar("Key")


async def escalate(parts: Settlement, clock: Clock) -> None:
    """Tell the agencies above of parties that let a day pass, each level once for ever."""
    for some in (_escalate_dues, _escalate_positions, _escalate_objections):
        while await some(parts, clock()):
            pass
    await _escalate_items(parts, clock())


def _until(parts: Settlement, today: date, distances: Iterable[int]) -> dict[int, date]:
    """For each number of working days after its day, the latest day of which they are over."""
    return {d: reached_until(parts.calendar, today, -d) for d in distances}


async def _tell(
    tx: Connection,
    told: Iterable[tuple[Key, str | None, Callable[[str], Event]]],
    recorded: AbstractSet[Key],
    now: datetime,
) -> None:
    """Announce what was recorded just now: of each its key, the region above if any is, and its event for that."""
    events = [event(region) for key, region, event in told if region is not None and key in recorded]
    await announce(tx, [Envelope(event, now) for event in events])


async def _escalate_dues(parts: Settlement, now: datetime) -> int:
    """One batch of dues of cases; how many levels it dealt with."""
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        late = await due_store.escalations_reached(tx, _until(parts, today, await due_store.levels(tx)))
        told = [
            (
                (o.case_id, o.kind, o.party, o.level_no),
                told_at(o.level_no, o.party, o.care_region, parts.regions),
                partial(_of_due, parts, o, today),
            )
            for o in late
        ]
        rows = [(*key, region, o.due_on) for o, (key, region, _) in zip(late, told, strict=True)]
        await _tell(tx, told, await due_store.add_escalations(tx, rows, now), now)
    return len(late)


def _of_due(parts: Settlement, late: Overdue, today: date, region: str) -> DueEscalated:
    return DueEscalated(
        case_id=late.case_id,
        facility_code=late.facility_code,
        period=late.period,
        care_region=late.care_region,
        home_region=late.home_region,
        kind=late.kind,
        party=late.party,
        region=region,
        level_no=late.level_no,
        due_on=late.due_on,
        working_days_left=parts.calendar.between(today, late.due_on),
    )


async def _escalate_positions(parts: Settlement, now: datetime) -> int:
    """One batch of net positions that are not paid; how many levels it dealt with."""
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        late = await position_dues.late(tx, _until(parts, today, await position_dues.levels(tx)))
        told = [
            (
                (p.position_id, p.level_no),
                told_at(p.level_no, p.payer, p.care_region, parts.regions),
                partial(_of_position, parts, p, today),
            )
            for p in late
        ]
        rows = [Told(*key, region, p.due_on) for p, (key, region, _) in zip(late, told, strict=True)]
        await _tell(tx, told, await position_dues.add_escalations(tx, rows, now), now)
    return len(late)


def _of_position(parts: Settlement, late: PositionDue, today: date, region: str) -> PositionEscalated:
    return PositionEscalated(
        cycle_id=late.cycle_id,
        position_id=late.position_id,
        kind=late.kind,
        payer=late.payer,
        payee=late.payee,
        amount_fen=late.amount_fen,
        region=region,
        level_no=late.level_no,
        due_on=late.due_on,
        working_days_left=parts.calendar.between(today, late.due_on),
    )


async def _escalate_objections(parts: Settlement, now: datetime) -> int:
    """One batch of objections that nobody decides; how many levels it dealt with."""
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        late = await objection_store.late(tx, _until(parts, today, await objection_store.levels(tx)))
        told = [
            (
                (o.objection_no, o.level_no),
                told_at(o.level_no, o.deciding_party, o.care_region, parts.regions),
                partial(_of_objection, parts, o, today),
            )
            for o in late
        ]
        rows = [(*key, region, o.due_on) for o, (key, region, _) in zip(late, told, strict=True)]
        await _tell(tx, told, await objection_store.add_escalations(tx, rows, now), now)
    return len(late)


def _of_objection(parts: Settlement, late: LateObjection, today: date, region: str) -> ObjectionEscalated:
    return ObjectionEscalated(
        case_id=late.case_id,
        facility_code=late.facility_code,
        period=late.period,
        care_region=late.care_region,
        home_region=late.home_region,
        objection_no=late.objection_no,
        party=late.party,
        deciding_party=late.deciding_party,
        region=region,
        level_no=late.level_no,
        due_on=late.due_on,
        working_days_left=parts.calendar.between(today, late.due_on),
    )


async def _escalate_items(parts: Settlement, now: datetime) -> None:
    """Work items that nobody dealt with, those of one month, party and day together.

    As with their reminders, the distances are those of the care region's terms today.
    """
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        waiting = [items for items in await agenda_store.items_waiting(tx) if items.due_on < today]
        terms = await terms_at(parts, tx, (items.care_region for items in waiting), today)
        told = [
            (
                (*_key(items), level_no),
                told_at(level_no, items.acting_party, items.care_region, parts.regions),
                partial(_of_items, parts, items, level_no, today),
            )
            for items in waiting
            for level_no in _levels(parts, items.due_on, terms[items.care_region].escalation_distances, today)
        ]
        rows = [(*key, region) for key, region, _ in told]
        await _tell(tx, told, await agenda_store.add_item_escalations(tx, rows, now), now)


def _key(items: ItemsWaiting) -> tuple[str, str, str, date]:
    """What is told together."""
    return items.party, items.period, items.acting_party, items.due_on


def _levels(parts: Settlement, due_on: date, distances: Iterable[int], today: date) -> list[int]:
    """The levels a day has reached."""
    over = -parts.calendar.between(today, due_on)
    return [level_no for level_no, distance in enumerate(distances, start=1) if over >= distance]


def _of_items(parts: Settlement, items: ItemsWaiting, level_no: int, today: date, region: str) -> ItemsEscalated:
    return ItemsEscalated(
        facility_code=items.party,
        period=items.period,
        party=items.acting_party,
        region=region,
        level_no=level_no,
        due_on=items.due_on,
        item_count=items.item_count,
        amount_fen=items.amount_fen,
        working_days_left=parts.calendar.between(today, items.due_on),
    )


async def remind_of_items(parts: Settlement, clock: Clock) -> None:
    """Remind parties of their open work items: of those of one month and day together, once at each distance."""
    now = clock()
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        waiting = await agenda_store.items_waiting(tx)
        terms = await terms_at(parts, tx, (items.care_region for items in waiting), today)
        reached = [
            (items, _reached(parts, items.due_on, terms[items.care_region].reminder_distances, today))
            for items in waiting
        ]
        rows = [
            (*_key(items), distance, distance == distances[0]) for items, distances in reached for distance in distances
        ]
        recorded = await agenda_store.add_item_reminders(tx, rows, now)
        due = [items for items, distances in reached if distances and (*_key(items), distances[0]) in recorded]
        await announce(tx, [Envelope(_items_due(parts, items, today), now) for items in due])


def _reached(parts: Settlement, due_on: date, distances: Sequence[int], today: date) -> list[int]:
    """The distances a day has reached, the nearest to today first."""
    left = parts.calendar.between(today, due_on)
    return sorted(distance for distance in distances if left <= distance)


def _items_due(parts: Settlement, items: ItemsWaiting, today: date) -> ItemsDue:
    return ItemsDue(
        facility_code=items.party,
        period=items.period,
        party=items.acting_party,
        due_on=items.due_on,
        item_count=items.item_count,
        amount_fen=items.amount_fen,
        working_days_left=parts.calendar.between(today, items.due_on),
    )
