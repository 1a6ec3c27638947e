"""Clocks suspended and resumed, and the list of what is due."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, OfficerCall, ReaderCall, router
from services.settlement.api.clearing import position_detail
from services.settlement.rules.dues import DueKind
from services.settlement.schemas.clearing import PositionDetail
from services.settlement.schemas.clocks import (
    AgendaQuery,
    AssignmentBody,
    AssignmentView,
    ClockView,
    SuspensionBody,
    TaskView,
)
from services.settlement.store import agenda as store
from services.settlement.use_cases import clocks as use_cases
from services.settlement.use_cases.parts import Settlement
from shared.auth import Role, person_of
from shared.http.call import Allow, Call
from shared.http.paging import CURSOR_INVALID, PageView, page
from shared.http.routing import respond
from shared.http.types import Code, Id
from shared.refusals import Refused
from shared.workdays import month_of, shanghai_day

AssigningCall = Annotated[Call[Settlement], Allow(Role.OFFICER, Role.REVIEWER, Role.FINANCE)]

TAGS = ["clocks"]
STOPPING = (*AREA, errors.CASE_UNKNOWN, errors.DUE_UNKNOWN)
STOPPING_POSITION = (*AREA, errors.POSITION_UNKNOWN, errors.DUE_UNKNOWN)
MONEY = (DueKind.RECONCILIATION, DueKind.REMITTANCE, DueKind.DISBURSEMENT, "payment_approval")
CASEWORK = ("item", "objection", "escalation")
ORDERS = ("order_approval", "order_repeat")
SECOND_LOOKS = ("payout_approval", "card_approval", "cancellation_approval", "withholding_approval")
DOES: dict[Role, tuple[str, ...]] = {
    Role.FINANCE: (
        *MONEY,
        *ORDERS,
        "order_review",
        "bank_item",
        "payout_order",
        "prepayment_order",
        "prepayment_yellow",
        "prepayment_red",
    ),
    Role.OFFICER: (*CASEWORK, *SECOND_LOOKS),
    Role.REVIEWER: (*CASEWORK, "order_review", *SECOND_LOOKS),
    Role.FACILITY: (*MONEY, *ORDERS, *CASEWORK),
    Role.PARTNER: (*MONEY, *CASEWORK),
}
"""Which kinds of tasks a role does."""

_CURSOR = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) (.+)")


@router.endpoint(
    "POST",
    "/v1/cases/{case_id}/dues/{kind}/{party}/suspension",
    view=ClockView,
    refusals=(*STOPPING, errors.DUE_SUSPENDED, errors.DUE_OVER),
    tags=TAGS,
)
async def suspend_due(call: OfficerCall, case_id: Id, kind: DueKind, party: Code, body: SuspensionBody) -> Response:
    """Stop a party's clock while papers are waited for (中止): for the party itself, and for those below the agency."""
    due = await use_cases.suspend_due(
        call.service, call.principal, case_id, kind, party, body.reason, body.papers, call.now
    )
    return respond(ClockView.of(due))


@router.endpoint(
    "POST",
    "/v1/cases/{case_id}/dues/{kind}/{party}/resumption",
    view=ClockView,
    refusals=(*STOPPING, errors.DUE_NOT_SUSPENDED),
    tags=TAGS,
)
async def resume_due(call: OfficerCall, case_id: Id, kind: DueKind, party: Code) -> Response:
    """The papers have come: the working days that were left continue from today on (恢复)."""
    due = await use_cases.resume_due(call.service, call.principal, case_id, kind, party, call.now)
    return respond(ClockView.of(due))


@router.endpoint(
    "POST",
    "/v1/clearing-positions/{position_id}/suspension",
    view=PositionDetail,
    refusals=(*STOPPING_POSITION, errors.DUE_SUSPENDED, errors.DUE_OVER),
    tags=TAGS,
)
async def suspend_position(call: OfficerCall, position_id: Id, body: SuspensionBody) -> Response:
    """Stop the clock of a net position while papers are waited for (中止): of the payer, and of those below it."""
    await use_cases.suspend_position(call.service, call.principal, position_id, body.reason, body.papers, call.now)
    return await position_detail(call, position_id)


@router.endpoint(
    "POST",
    "/v1/clearing-positions/{position_id}/resumption",
    view=PositionDetail,
    refusals=(*STOPPING_POSITION, errors.DUE_NOT_SUSPENDED),
    tags=TAGS,
)
async def resume_position(call: OfficerCall, position_id: Id) -> Response:
    """The papers have come: the working days that were left of a position's clock continue from today on (恢复)."""
    await use_cases.resume_position(call.service, call.principal, position_id, call.now)
    return await position_detail(call, position_id)


@router.endpoint("GET", "/v1/agenda", view=PageView[TaskView], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_agenda(call: ReaderCall, query: AgendaQuery) -> Response:
    """All that is due for the caller's party, or for the calling person: the nearest day first (待办清单)."""
    calendar, today, who = call.service.calendar, shanghai_day(call.now), call.principal
    async with call.service.database.read() as reader:
        rows = await store.agenda(
            reader,
            who.party,
            month_of(today),
            _after(query),
            query.limit + 1,
            subject=who.subject if query.mine else None,
            kinds=DOES[who.role],
        )
    return respond(page(rows, query, lambda t: f"{t.due_on} {t.ref}", lambda t: TaskView.of(t, calendar, today)))


def _after(query: AgendaQuery) -> tuple[date, str]:
    """The day and task the page begins after. Raises Refused."""
    if not query.after:
        return date.min, ""
    parts = _CURSOR.fullmatch(query.after)
    try:
        return (date.fromisoformat(parts[1]), parts[2]) if parts else _refuse()
    except ValueError:
        return _refuse()


def _refuse() -> tuple[date, str]:
    raise Refused(CURSOR_INVALID(pointer="/query/cursor"))


@router.endpoint("PUT", "/v1/agenda/assignments", view=AssignmentView, refusals=(errors.TASK_UNKNOWN,), tags=TAGS)
async def assign_task(call: AssigningCall, body: AssignmentBody) -> Response:
    """Give a task of the caller's party to one person of it, or to nobody (分派)."""
    who = call.principal
    subject = None if body.subject is None else person_of(body.subject)
    async with call.service.database.transaction() as tx:
        if not await store.agenda_holds(tx, who.party, month_of(shanghai_day(call.now)), body.ref):
            raise Refused(errors.TASK_UNKNOWN(pointer="/ref"))
        await store.assign(tx, who.party, body.ref, subject, who.subject, call.now)
    return respond(AssignmentView(ref=body.ref, party=who.party, assigned_to=subject))
