"""Clocks of dues and positions: suspended while papers are waited for, and resumed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict

from services.settlement import errors
from services.settlement.rules.cases import Case
from services.settlement.rules.dues import Due, DueKind, PositionClock, go_on, resume, stop, suspend
from services.settlement.store import cases as case_store
from services.settlement.store import clearing as clearing_store
from services.settlement.store import dues as store
from services.settlement.store import position_dues
from services.settlement.store.cases import NewStep
from services.settlement.store.clearing import Position
from services.settlement.store.dues import Reason
from services.settlement.use_cases.clearing import payer_region
from services.settlement.use_cases.hops import case_event, region_of
from services.settlement.use_cases.months import Actor
from services.settlement.use_cases.parts import Settlement
from shared.auth import Principal, check_area
from shared.database import Connection
from shared.events import Envelope, Event
from shared.events.settlement import DueResumed, DueSuspended, PositionResumed, PositionSuspended
from shared.outbox import announce
from shared.refusals import Refused
from shared.workdays import shanghai_day


async def suspend_due(
    parts: Settlement,
    principal: Principal,
    case_id: str,
    kind: DueKind,
    party: str,
    reason: str,
    papers: Sequence[str],
    now: datetime,
) -> Due:
    """An officer of the party, or of an agency above it, stops a clock until papers have come. Raises Refused."""
    async with parts.database.transaction() as tx:
        case, due = await _due(parts, tx, principal, case_id, kind, party)
        today = shanghai_day(now)
        stopped = stop(parts.calendar, due, await store.reasons(tx, due), None, today)
        if isinstance(stopped, list):
            raise Refused(*stopped)
        why = Reason(reason, papers, principal.party, principal.subject, None)
        await store.suspend_due(tx, stopped, why, today, now)
        event = DueSuspended(
            **case_event(case),
            kind=kind,
            party=party,
            suspended_on=stopped.suspended_on or today,
            days_left=stopped.working_days,
        )
        await _record(tx, case, f"suspend_{kind}", Actor.of(principal), event, now)
        return stopped


async def resume_due(
    parts: Settlement, principal: Principal, case_id: str, kind: DueKind, party: str, now: datetime
) -> Due:
    """The papers have come: the working days that were left continue, unless an objection stops the clock still.

    Raises Refused.
    """
    async with parts.database.transaction() as tx:
        case, due = await _due(parts, tx, principal, case_id, kind, party)
        today = shanghai_day(now)
        after = go_on(parts.calendar, due, await store.reasons(tx, due), None, today)
        if isinstance(after, list):
            raise Refused(*after)
        await store.resume_due(tx, after, None, today, principal.party, principal.subject, now)
        event = DueResumed(
            **case_event(case), kind=kind, party=party, due_on=after.due_on, provisional=after.provisional
        )
        await _record(tx, case, f"resume_{kind}", Actor.of(principal), None if after.suspended_on else event, now)
        return after


async def _due(
    parts: Settlement, tx: Connection, principal: Principal, case_id: str, kind: DueKind, party: str
) -> tuple[Case, Due]:
    """An open due, locked, of a party in the caller's area. Raises Refused."""
    case = (await case_store.cases(tx, [case_id])).get(case_id)
    if case is None:
        raise Refused(errors.CASE_UNKNOWN())
    check_area(parts.regions, principal, region_of(case, party))
    due = await store.locked_due(tx, case_id, kind, party)
    if due is None:
        raise Refused(errors.DUE_UNKNOWN())
    return case, due


async def _record(tx: Connection, case: Case, step: str, actor: Actor, event: Event | None, now: datetime) -> None:
    await case_store.add_steps(tx, [NewStep(case.case_id, step, *actor, case.numbers_hash)], now)
    await announce(tx, [] if event is None else [Envelope(event, now)])


async def suspend_position(
    parts: Settlement, principal: Principal, position_id: str, reason: str, papers: Sequence[str], now: datetime
) -> None:
    """An officer of the payer, or of an agency above it, stops a position's clock until papers have come.

    Raises Refused.
    """
    async with parts.database.transaction() as tx:
        position, clock = await _position_clock(parts, tx, principal, position_id)
        today = shanghai_day(now)
        stopped = suspend(parts.calendar, clock, today)
        if isinstance(stopped, list):
            raise Refused(*stopped)
        why = Reason(reason, papers, principal.party, principal.subject, None)
        await position_dues.suspend(tx, position_id, stopped, why, today, now)
        event = PositionSuspended(
            **_position_event(position, stopped), suspended_on=today, days_left=stopped.working_days
        )
        await announce(tx, [Envelope(event, now)])


async def resume_position(parts: Settlement, principal: Principal, position_id: str, now: datetime) -> None:
    """The papers have come: the working days that were left continue. Raises Refused."""
    async with parts.database.transaction() as tx:
        position, clock = await _position_clock(parts, tx, principal, position_id)
        today = shanghai_day(now)
        running = resume(parts.calendar, clock, today)
        if isinstance(running, list):
            raise Refused(*running)
        await position_dues.resume(tx, position_id, running, today, principal.party, principal.subject, now)
        event = PositionResumed(
            **_position_event(position, running), due_on=running.due_on, provisional=running.provisional
        )
        await announce(tx, [Envelope(event, now)])


async def _position_clock(
    parts: Settlement, tx: Connection, principal: Principal, position_id: str
) -> tuple[Position, PositionClock]:
    """A position whose payer is in the caller's area, and its clock, locked. Raises Refused."""
    position = (await clearing_store.positions(tx, [position_id])).get(position_id)
    if position is None:
        raise Refused(errors.POSITION_UNKNOWN())
    check_area(parts.regions, principal, payer_region(position))
    clock = await position_dues.locked_clock(tx, position_id)
    if clock is None:
        raise Refused(errors.DUE_UNKNOWN())
    return position, clock


class _PositionFields(TypedDict):
    """What every event about a position's clock says of it."""

    cycle_id: str
    position_id: str
    kind: str
    payer: str
    payee: str
    amount_fen: int


def _position_event(position: Position, clock: PositionClock) -> _PositionFields:
    return {
        "cycle_id": position.cycle_id,
        "position_id": position.position_id,
        "kind": clock.kind,
        "payer": position.payer,
        "payee": position.payee,
        "amount_fen": position.amount_fen,
    }
