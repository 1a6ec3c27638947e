"""Telling the agencies above of what nobody paid or dealt with (催办): net positions, objections, work items."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from services.settlement.rules.dues import reached_until, told_at
from services.settlement.store import agenda as agenda_store
from services.settlement.store import objections as objection_store
from services.settlement.store import position_dues
from services.settlement.store.agenda import ItemsWaiting
from services.settlement.store.objections import LateObjection
from services.settlement.store.position_dues import PositionDue, Told
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.terms import terms_at
from shared.events import Envelope
from shared.events.settlement import ItemsEscalated, ObjectionEscalated, PositionEscalated
from shared.outbox import announce
from shared.workdays import shanghai_day


def _until(parts: Settlement, today: date, distances: Iterable[int]) -> dict[int, date]:
    """For each number of working days after its day, the latest day of which they are over."""
    return {d: reached_until(parts.calendar, today, -d) for d in distances}


async def escalate_positions(parts: Settlement, now: datetime) -> int:
    """One batch of positions that are not paid, each level once for ever; how many levels it dealt with."""
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        late = await position_dues.late(tx, _until(parts, today, await position_dues.levels(tx)))
        regions = [told_at(p.level_no, p.payer, p.care_region, parts.regions) for p in late]
        told = [Told(p.position_id, p.level_no, r, p.due_on) for p, r in zip(late, regions, strict=True)]
        recorded = await position_dues.add_escalations(tx, told, now)
        events = [
            _of_position(parts, p, region, today)
            for p, region in zip(late, regions, strict=True)
            if region is not None and (p.position_id, p.level_no) in recorded
        ]
        await announce(tx, [Envelope(event, now) for event in events])
    return len(late)


def _of_position(parts: Settlement, late: PositionDue, region: str, today: date) -> PositionEscalated:
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


async def escalate_objections(parts: Settlement, now: datetime) -> int:
    """One batch of objections that nobody decides, each level once for ever; how many levels it dealt with."""
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        late = await objection_store.late(tx, _until(parts, today, await objection_store.levels(tx)))
        regions = [told_at(o.level_no, o.deciding_party, o.care_region, parts.regions) for o in late]
        told = [(o.objection_no, o.level_no, r, o.due_on) for o, r in zip(late, regions, strict=True)]
        recorded = await objection_store.add_escalations(tx, told, now)
        events = [
            _of_objection(parts, o, region, today)
            for o, region in zip(late, regions, strict=True)
            if region is not None and (o.objection_no, o.level_no) in recorded
        ]
        await announce(tx, [Envelope(event, now) for event in events])
    return len(late)


def _of_objection(parts: Settlement, late: LateObjection, region: str, today: date) -> ObjectionEscalated:
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


async def escalate_items(parts: Settlement, now: datetime) -> None:
    """Work items that nobody dealt with, those of one month, party and day together, each level once for ever.

    As with their reminders, the distances are those of the care region's terms today.
    """
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        waiting = [items for items in await agenda_store.items_waiting(tx) if items.due_on < today]
        terms = await terms_at(parts, tx, (items.care_region for items in waiting), today)
        late = [
            (items, level_no, told_at(level_no, items.acting_party, items.care_region, parts.regions))
            for items in waiting
            for level_no in _levels(parts, items.due_on, terms[items.care_region].escalation_distances, today)
        ]
        rows = [(*_key(items), level_no, region) for items, level_no, region in late]
        recorded = await agenda_store.add_item_escalations(tx, rows, now)
        events = [
            _of_items(parts, items, level_no, region, today)
            for items, level_no, region in late
            if region is not None and (*_key(items), level_no) in recorded
        ]
        await announce(tx, [Envelope(event, now) for event in events])


def _key(items: ItemsWaiting) -> tuple[str, str, str, date]:
    """What is told together."""
    return items.party, items.period, items.acting_party, items.due_on


def _levels(parts: Settlement, due_on: date, distances: Iterable[int], today: date) -> list[int]:
    """The levels a day has reached."""
    over = -parts.calendar.between(today, due_on)
    return [level_no for level_no, distance in enumerate(distances, start=1) if over >= distance]


def _of_items(parts: Settlement, items: ItemsWaiting, level_no: int, region: str, today: date) -> ItemsEscalated:
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
