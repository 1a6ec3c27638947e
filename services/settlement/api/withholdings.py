"""What an agency keeps back of what it pays a facility: proposed by one person, decided by another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, ReaderCall, once_only, router, sight
from services.settlement.api.clearing import visible_position
from services.settlement.api.payments import visible_payment
from services.settlement.schemas.withholdings import (
    ReleaseBody,
    SetOffView,
    WithholdingBody,
    WithholdingQuery,
    WithholdingView,
)
from services.settlement.store import withholdings as store
from services.settlement.store.withholdings import WithholdingRow
from services.settlement.use_cases import withholdings as use_cases
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA, Role
from shared.database import Connection
from shared.http.call import Allow, Call
from shared.http.idempotency import Answer
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import answer_of, respond
from shared.http.types import Id
from shared.refusals import Refused

TAGS = ["withholdings"]
ProposingCall = Annotated[Call[Settlement], Allow(Role.OFFICER, idempotent=True)]
DecidingCall = Annotated[Call[Settlement], Allow(Role.OFFICER, Role.REVIEWER, idempotent=True)]
DECIDING = (*AREA, errors.WITHHOLDING_UNKNOWN, errors.WITHHOLDING_DECIDED, errors.SAME_PERSON)


@router.endpoint(
    "POST",
    "/v1/withholdings",
    status=201,
    view=WithholdingView,
    refusals=(
        *AREA,
        errors.PARTY_UNKNOWN,
        errors.DEDUCTION_UNKNOWN,
        errors.RETURN_TOO_LARGE,
        errors.PERSONAL_NUMBER,
    ),
    tags=TAGS,
)
async def propose_withholding(call: ProposingCall, body: WithholdingBody) -> Response:
    """Propose a deduction from what a facility is paid (扣款), or to give back a part of one."""

    async def work(tx: Connection) -> WithholdingRow:
        return await use_cases.propose(tx, call.principal, body.said, call.now)

    return await _once(call, body.model_dump_json(), work, 201)


@router.endpoint(
    "POST",
    "/v1/retention-releases",
    status=201,
    view=WithholdingView,
    refusals=(
        errors.RETENTION_YEAR_OPEN,
        errors.RETENTION_UNSETTLED,
        errors.RETENTION_NOTHING,
        errors.RETENTION_RELEASED,
        errors.PERSONAL_NUMBER,
    ),
    tags=TAGS,
)
async def propose_release(call: ProposingCall, body: ReleaseBody) -> Response:
    """Propose what the yearly review gives back of what was retained in a year (质量保证金返还), by the level index."""

    async def work(tx: Connection) -> WithholdingRow:
        review = (body.facility_code, body.year, body.level_index)
        return await use_cases.propose_release(call.service, tx, call.principal, review, body.reason, call.now)

    return await _once(call, body.model_dump_json(), work, 201)


@router.endpoint(
    "POST", "/v1/withholdings/{withholding_id}/approval", view=WithholdingView, refusals=DECIDING, tags=TAGS
)
async def approve_withholding(call: DecidingCall, withholding_id: Id) -> Response:
    """Another person of the agency agrees: it is set off against the facility's next net position."""
    return await _decide(call, withholding_id, approved=True)


@router.endpoint(
    "POST", "/v1/withholdings/{withholding_id}/refusal", view=WithholdingView, refusals=DECIDING, tags=TAGS
)
async def refuse_withholding(call: DecidingCall, withholding_id: Id) -> Response:
    """Another person of the agency does not agree: nothing is set off."""
    return await _decide(call, withholding_id, approved=False)


async def _decide(call: Call[Settlement], withholding_id: str, *, approved: bool) -> Response:
    async def work(tx: Connection) -> WithholdingRow:
        return await use_cases.decide(call.service, tx, call.principal, withholding_id, call.now, approved=approved)

    return await _once(call, "", work)


async def _once(
    call: Call[Settlement], body: str, work: Callable[[Connection], Awaitable[WithholdingRow]], status: int = 200
) -> Response:
    async def answer(tx: Connection) -> Answer:
        return answer_of(WithholdingView.of(await work(tx)), status)

    return await once_only(call, answer, body)


@router.endpoint("GET", "/v1/withholdings", view=PageView[WithholdingView], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_withholdings(call: ReaderCall, query: WithholdingQuery) -> Response:
    """What agencies of the caller's area deduct and give back, or what is deducted from the calling facility, by id."""
    seen = sight(call)
    async with call.service.database.read() as reader:
        rows = await store.rows_of(
            reader,
            seen.areas,
            seen.facility_code,
            facility_code=query.facility_code,
            state=query.state,
            after=query.after or "",
            limit=query.limit + 1,
        )
    return respond(page(rows, query, lambda row: row.withholding_id, WithholdingView.of))


@router.endpoint(
    "GET",
    "/v1/withholdings/{withholding_id}",
    view=WithholdingView,
    refusals=(*AREA, errors.WITHHOLDING_UNKNOWN),
    tags=TAGS,
)
async def get_withholding(call: ReaderCall, withholding_id: Id) -> Response:
    """One withholding, and how much of it was set off."""
    async with call.service.database.read() as reader:
        row = await store.row(reader, withholding_id)
    if row is None:
        raise Refused(errors.WITHHOLDING_UNKNOWN())
    if not sight(call).sees(row.facility_code, (row.agency,)):
        raise Refused(NOT_YOUR_AREA(party=row.agency))
    return respond(WithholdingView.of(row))


@router.endpoint(
    "GET",
    "/v1/clearing-positions/{position_id}/set-offs",
    view=PageView[SetOffView],
    refusals=(*AREA, errors.POSITION_UNKNOWN, CURSOR_INVALID),
    tags=TAGS,
)
async def list_set_offs(call: ReaderCall, position_id: Id, query: PageQuery) -> Response:
    """What was retained of a position, deducted from it, or given back with it, by id."""
    async with call.service.database.read() as reader:
        await visible_position(reader, call, position_id)
        rows = await store.set_offs_of(reader, position_id, query.after or "", query.limit + 1)
    return respond(page(rows, query, lambda row: row.set_off_id, SetOffView.of))


@router.endpoint(
    "GET",
    "/v1/payments/{payment_id}/set-offs",
    view=PageView[SetOffView],
    refusals=(*AREA, errors.PAYMENT_UNKNOWN, CURSOR_INVALID),
    tags=TAGS,
)
async def list_set_offs_of_payment(call: ReaderCall, payment_id: Id, query: PageQuery) -> Response:
    """What was retained of a payment to a facility, deducted from it, or given back with it, by id."""
    async with call.service.database.read() as reader:
        await visible_payment(reader, call, payment_id)
        rows = await store.set_offs_of_payments(reader, [payment_id], query.after or "", query.limit + 1)
    return respond(page(rows, query, lambda row: row.set_off_id, SetOffView.of))


@router.endpoint(
    "GET",
    "/v1/set-offs/{set_off_id}",
    view=SetOffView,
    refusals=(*AREA, errors.SET_OFF_UNKNOWN),
    tags=TAGS,
)
async def get_set_off(call: ReaderCall, set_off_id: Id) -> Response:
    """One thing set off, by its id or that of the ledger transaction that took it back."""
    async with call.service.database.read() as reader:
        row = await store.set_off_booked(reader, set_off_id)
    if row is None:
        raise Refused(errors.SET_OFF_UNKNOWN())
    if not sight(call).sees(row.facility_code, (row.agency,)):
        raise Refused(NOT_YOUR_AREA(party=row.agency))
    return respond(SetOffView.of(row))
