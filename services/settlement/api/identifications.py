"""Identifying unknown movements of the bank, by two people of the agency that keeps the account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, once_only, router, sight
from services.settlement.schemas.identifications import IdentificationBody, IdentificationQuery, IdentificationView
from services.settlement.schemas.items import ItemNo
from services.settlement.store import identifications as store
from services.settlement.store.identifications import IdentificationRow
from services.settlement.use_cases import identifications as use_cases
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA, Role
from shared.database import Connection
from shared.http.call import Allow, Call
from shared.http.idempotency import Answer
from shared.http.paging import CURSOR_INVALID, PageView, page
from shared.http.routing import answer_of, respond
from shared.http.types import Id
from shared.refusals import Refused

TAGS = ["bank"]
BookingCall = Annotated[Call[Settlement], Allow(Role.FINANCE, idempotent=True)]
LookingCall = Annotated[Call[Settlement], Allow(Role.FINANCE)]
AGAINST = (
    errors.ORDER_UNKNOWN,
    errors.ORDER_STATE,
    errors.DEBT_UNKNOWN,
    errors.HOP_IN_POSITION,
    errors.POSITION_NOT_OPEN,
    errors.MOVEMENT_NOT_OF_IT,
    errors.MOVEMENT_AMOUNT,
    errors.MOVEMENT_OF_ORDER,
    errors.MOVEMENT_SAME_SIDE,
    errors.MOVEMENT_OTHER_ACCOUNT,
    errors.MOVEMENT_NATURE,
    errors.MOVEMENT_KNOWN,
    errors.MOVEMENT_NOT_YOURS,
)
DECIDING = (errors.IDENTIFICATION_UNKNOWN, errors.IDENTIFICATION_DECIDED, errors.SAME_PERSON)


@router.endpoint(
    "POST",
    "/v1/bank-items/{item_no}/identifications",
    status=201,
    view=IdentificationView,
    refusals=(errors.BANK_ITEM_UNKNOWN, errors.IDENTIFICATION_TARGET, *AGAINST),
    tags=TAGS,
)
async def propose_identification(call: BookingCall, item_no: ItemNo, body: IdentificationBody) -> Response:
    """Say what an unknown movement was (查实): of an order, of what was owed, sent back, or interest and the like."""

    async def work(tx: Connection) -> IdentificationRow:
        return await use_cases.propose(tx, call.principal, item_no, body.said, call.now)

    return await _once(call, body.model_dump_json(), work, 201)


@router.endpoint(
    "POST",
    "/v1/bank-identifications/{identification_id}/approval",
    view=IdentificationView,
    refusals=(
        *DECIDING,
        *AGAINST,
        errors.POSITION_WAITS,
        errors.POSITION_NOT_YOURS,
        errors.NOT_RECEIVED_YET,
        errors.PAYMENT_EXISTS,
    ),
    tags=TAGS,
)
async def approve_identification(call: BookingCall, identification_id: Id) -> Response:
    """Another person agrees: the movement leaves suspense and is booked as what it was."""

    async def work(tx: Connection) -> IdentificationRow:
        return await use_cases.approve(call.service, tx, call.principal, identification_id, call.now)

    return await _once(call, "", work)


@router.endpoint(
    "POST",
    "/v1/bank-identifications/{identification_id}/refusal",
    view=IdentificationView,
    refusals=(*DECIDING, errors.MOVEMENT_NOT_YOURS),
    tags=TAGS,
)
async def decline_identification(call: BookingCall, identification_id: Id) -> Response:
    """Another person disagrees: the movement stays on suspense and can be identified anew."""

    async def work(tx: Connection) -> IdentificationRow:
        return await use_cases.decline(tx, call.principal, identification_id, call.now)

    return await _once(call, "", work)


async def _once(
    call: Call[Settlement], body: str, work: Callable[[Connection], Awaitable[IdentificationRow]], status: int = 200
) -> Response:
    async def answer(tx: Connection) -> Answer:
        return answer_of(IdentificationView.of(await work(tx)), status)

    return await once_only(call, answer, body)


@router.endpoint(
    "GET",
    "/v1/bank-identifications",
    view=PageView[IdentificationView],
    refusals=(CURSOR_INVALID,),
    tags=TAGS,
)
async def list_identifications(call: LookingCall, query: IdentificationQuery) -> Response:
    """What the agencies of the caller's area identified, or are about to."""
    async with call.service.database.read() as reader:
        rows = await store.rows_of(reader, sight(call).areas, query.state, query.after or "", query.limit + 1)
    return respond(page(rows, query, lambda row: row.identification_id, IdentificationView.of))


@router.endpoint(
    "GET",
    "/v1/bank-identifications/{identification_id}",
    view=IdentificationView,
    refusals=(*AREA, errors.IDENTIFICATION_UNKNOWN),
    tags=TAGS,
)
async def get_identification(call: LookingCall, identification_id: Id) -> Response:
    """One identification."""
    async with call.service.database.read() as reader:
        row = await store.row(reader, identification_id)
    if row is None:
        raise Refused(errors.IDENTIFICATION_UNKNOWN())
    if row.keeper not in sight(call).areas:
        raise Refused(NOT_YOUR_AREA(party=row.party))
    return respond(IdentificationView.of(row))
