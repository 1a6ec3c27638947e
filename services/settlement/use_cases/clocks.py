"""Clocks of dues: suspended while papers are waited for, and resumed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.settlement import errors
from services.settlement.rules.cases import Case
from services.settlement.rules.dues import Due, DueKind, go_on, stop
from services.settlement.store import cases as case_store
from services.settlement.store import dues as store
from services.settlement.store.cases import NewStep
from services.settlement.store.dues import Reason
from services.settlement.use_cases.hops import case_event, region_of
from services.settlement.use_cases.months import Actor
from services.settlement.use_cases.parts import Settlement
from shared.auth import Principal, check_area
from shared.database import Connection
from shared.events import Envelope, Event
from shared.events.settlement import DueResumed, DueSuspended
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
