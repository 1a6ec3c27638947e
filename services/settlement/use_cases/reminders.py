"""Work that comes round by itself: reminders of dues and objections, comparisons of statements whose books changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from services.settlement.rules.dues import DueKind, reached_until, recompute
from services.settlement.store import dues as store
from services.settlement.store import objections, position_dues
from services.settlement.store import statements as statement_store
from services.settlement.store.dues import DueOfCase
from services.settlement.store.objections import ObjectionToDecide
from services.settlement.store.position_dues import PositionDue
from services.settlement.use_cases import statements
from services.settlement.use_cases.parts import Settlement
from shared.clock import Clock
from shared.events import Envelope
from shared.events.settlement import DisbursementDue, DueEvent, ObjectionDue, ReconciliationDue, RemittanceDue
from shared.events.settlement import PositionDue as PositionDueEvent
from shared.outbox import announce
from shared.workdays import WorkCalendar, shanghai_day

EVENTS: dict[str, type[DueEvent]] = {
    DueKind.RECONCILIATION: ReconciliationDue,
    DueKind.REMITTANCE: RemittanceDue,
    DueKind.DISBURSEMENT: DisbursementDue,
}
"""What announces each kind of due."""


async def remind(parts: Settlement, clock: Clock) -> None:
    """Announce the dues that reached a distance, each distance once for ever; restarts and clock jumps change nothing.

    Of several distances reached at once only the nearest is announced; the others are recorded as passed.
    """
    await recompute_days(parts, clock())
    while await _remind_some(parts, clock()):
        pass
    while await _remind_of_positions(parts, clock()):
        pass
    while await _remind_of_objections(parts, clock()):
        pass


async def recompute_days(parts: Settlement, now: datetime) -> None:
    """Set the days of all open clocks when the calendar is another one than they were computed by."""
    async with parts.database.transaction() as tx:
        if await store.calendar_used(tx) == parts.calendar.digest:
            return
        await store.set_clocks(tx, recompute(parts.calendar, await store.running_clocks(tx)))
        await store.save_calendar(tx, parts.calendar.digest, now)


async def _remind_some(parts: Settlement, now: datetime) -> int:
    """One batch; how many dues it dealt with."""
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        until = {d: reached_until(parts.calendar, today, d) for d in await store.distances(tx)}
        dues = await store.dues_reached(tx, until)
        rows = [
            (due.case_id, due.kind, due.party, distance, distance == due.reached[0])
            for due in dues
            for distance in due.reached
        ]
        recorded = await store.add_reminders(tx, rows, now)
        fresh = [due for due in dues if (due.case_id, due.kind, due.party, due.reached[0]) in recorded]
        await announce(tx, [Envelope(event, now) for event in _events(fresh, parts.calendar, today)])
    return len(dues)


def _events(dues: Sequence[DueOfCase], calendar: WorkCalendar, today: date) -> list[DueEvent]:
    return [
        EVENTS[due.kind](
            case_id=due.case_id,
            facility_code=due.facility_code,
            period=due.period,
            care_region=due.care_region,
            home_region=due.home_region,
            party=due.party,
            due_on=due.due_on,
            provisional=due.provisional,
            working_days_left=calendar.between(today, due.due_on),
        )
        for due in dues
    ]


async def _remind_of_positions(parts: Settlement, now: datetime) -> int:
    """The same for net positions: one batch; how many it dealt with."""
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        until = {d: reached_until(parts.calendar, today, d) for d in await position_dues.distances(tx)}
        dues = await position_dues.reached(tx, until)
        rows = [(due.position_id, distance, distance == due.reached[0]) for due in dues for distance in due.reached]
        recorded = await position_dues.add_reminders(tx, rows, now)
        fresh = [due for due in dues if (due.position_id, due.reached[0]) in recorded]
        await announce(tx, [Envelope(_position_event(due, parts.calendar, today), now) for due in fresh])
    return len(dues)


def _position_event(due: PositionDue, calendar: WorkCalendar, today: date) -> PositionDueEvent:
    return PositionDueEvent(
        cycle_id=due.cycle_id,
        position_id=due.position_id,
        clearing_region=due.clearing_region,
        kind=due.kind,
        payer=due.payer,
        payee=due.payee,
        amount_fen=due.amount_fen,
        due_on=due.due_on,
        provisional=due.provisional,
        working_days_left=calendar.between(today, due.due_on),
    )


async def _remind_of_objections(parts: Settlement, now: datetime) -> int:
    """The same for objections, of which whoever decides is reminded: one batch; how many it dealt with."""
    today = shanghai_day(now)
    async with parts.database.transaction() as tx:
        until = {d: reached_until(parts.calendar, today, d) for d in await objections.distances(tx)}
        found = await objections.reached(tx, until)
        rows = [(o.objection_no, distance, distance == o.reached[0]) for o in found for distance in o.reached]
        recorded = await objections.add_reminders(tx, rows, now)
        fresh = [o for o in found if (o.objection_no, o.reached[0]) in recorded]
        await announce(tx, [Envelope(_objection_event(o, parts.calendar, today), now) for o in fresh])
    return len(found)


def _objection_event(found: ObjectionToDecide, calendar: WorkCalendar, today: date) -> ObjectionDue:
    return ObjectionDue(
        case_id=found.case_id,
        facility_code=found.facility_code,
        period=found.period,
        care_region=found.care_region,
        home_region=found.home_region,
        objection_no=found.objection_no,
        party=found.party,
        deciding_party=found.deciding_party,
        due_on=found.due_on,
        provisional=found.provisional,
        working_days_left=calendar.between(today, found.due_on),
    )


async def rematch_reopened(parts: Settlement, clock: Clock) -> None:
    """Compare the statements again whose books changed after their comparison."""
    async with parts.database.transaction() as tx:
        await statement_store.reopen_touched(tx)
    async with parts.database.read() as reader:
        statement_ids = await statement_store.reopened(reader)
    for statement_id in statement_ids:
        await statements.rematch(parts, statement_id, clock())
