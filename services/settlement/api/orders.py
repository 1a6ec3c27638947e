"""Payment orders: proposed, reviewed, approved or declined, and repeated when the bank did not pay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, once_only, router, sight
from services.settlement.schemas.orders import (
    DeclineBody,
    OrderDetail,
    OrderIdsBody,
    OrderOutcome,
    OrderOutcomes,
    OrderQuery,
    OrdersBody,
    OrderView,
)
from services.settlement.store import orders as store
from services.settlement.use_cases import orders as use_cases
from services.settlement.use_cases.orders import Outcomes
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA, Role
from shared.database import Connection
from shared.http.call import Allow, Call
from shared.http.idempotency import Answer
from shared.http.paging import CURSOR_INVALID, PageView, page
from shared.http.routing import answer_of, respond
from shared.http.types import Id
from shared.refusals import Refused

TAGS = ["payment orders"]
OrderingCall = Annotated[Call[Settlement], Allow(Role.FACILITY, Role.FINANCE, idempotent=True)]
ReviewingCall = Annotated[Call[Settlement], Allow(Role.REVIEWER, Role.FINANCE, idempotent=True)]
LookingCall = Annotated[Call[Settlement], Allow(Role.OFFICER, Role.REVIEWER, Role.FINANCE)]
ORDERS = (errors.ORDER_UNKNOWN, errors.NOT_PAYER_OF_ORDER, errors.ORDER_STATE)


@router.endpoint("POST", "/v1/orders", view=OrderOutcomes, tags=TAGS)
async def propose_orders(call: OrderingCall, body: OrdersBody) -> Response:
    """Propose the payment of payouts, net positions or prepayments; each has its own result."""

    async def work(tx: Connection) -> Outcomes:
        return await use_cases.propose(call.service, tx, call.principal, body.kind, body.references, call.now)

    return await _each(call, body.model_dump_json(), work)


@router.endpoint("POST", "/v1/order-reviews", view=OrderOutcomes, tags=TAGS)
async def review_orders(call: ReviewingCall, body: OrderIdsBody) -> Response:
    """Review orders above the amount that needs it (复审); each has its own result."""

    async def work(tx: Connection) -> Outcomes:
        return await use_cases.review(call.service, tx, call.principal, body.order_ids, call.now)

    return await _each(call, body.model_dump_json(), work)


@router.endpoint("POST", "/v1/order-approvals", view=OrderOutcomes, tags=TAGS)
async def approve_orders(call: OrderingCall, body: OrderIdsBody) -> Response:
    """Approve orders (审批): they go to the bank with the next file; each has its own result."""

    async def work(tx: Connection) -> Outcomes:
        return await use_cases.approve(call.service, tx, call.principal, body.order_ids, call.now)

    return await _each(call, body.model_dump_json(), work)


async def _each(call: Call[Settlement], body: str, work: Callable[[Connection], Awaitable[Outcomes]]) -> Response:
    """Do something with many, once under its key."""

    async def answer(tx: Connection) -> Answer:
        outcomes = (await work(tx)).items()
        items = [OrderOutcome.of(reference, outcome, call.language) for reference, outcome in outcomes]
        return answer_of(OrderOutcomes(items=items))

    return await once_only(call, answer, body)


@router.endpoint("POST", "/v1/orders/{order_id}/refusal", view=OrderView, refusals=ORDERS, tags=TAGS)
async def decline_order(call: ReviewingCall, order_id: Id, body: DeclineBody) -> Response:
    """Stop an order before it is sent (退回); what it was to pay can be ordered again."""

    async def work(tx: Connection) -> Answer:
        outcome = (await use_cases.decline(tx, call.principal, [order_id], body.reason))[order_id]
        if isinstance(outcome, list):
            raise Refused(*outcome)
        return answer_of(await _view(tx, order_id))

    return await once_only(call, work, body.model_dump_json())


@router.endpoint(
    "POST",
    "/v1/orders/{order_id}/repeat",
    status=201,
    view=OrderView,
    refusals=(
        *ORDERS,
        errors.ORDER_REPEATED,
        errors.NOTHING_OUTSTANDING,
        errors.POSITION_NOT_OPEN,
        errors.POSITION_WAITS,
    ),
    tags=TAGS,
)
async def repeat_order(call: OrderingCall, order_id: Id) -> Response:
    """Order again what an order did not pay: a new one, which names it and is approved like any (重新支付)."""

    async def work(tx: Connection) -> Answer:
        new = await use_cases.repeat(call.service, tx, call.principal, order_id, call.now)
        return answer_of(await _view(tx, new), 201)

    return await once_only(call, work)


@router.endpoint("GET", "/v1/orders", view=PageView[OrderView], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_orders(call: LookingCall, query: OrderQuery) -> Response:
    """Orders that the agencies of the caller's area pay or receive."""
    async with call.service.database.read() as reader:
        rows = await store.orders_of(
            reader,
            sight(call).areas,
            state=query.state,
            purpose=query.purpose,
            reference=query.reference,
            after=query.after or "",
            limit=query.limit + 1,
        )
    return respond(page(rows, query, lambda row: row.order_id, OrderView.of))


@router.endpoint("GET", "/v1/orders/{order_id}", view=OrderDetail, refusals=(*AREA, errors.ORDER_UNKNOWN), tags=TAGS)
async def get_order(call: LookingCall, order_id: Id) -> Response:
    """One order, and what the bank moved for it."""
    async with call.service.database.read() as reader:
        found = await store.order(reader, order_id)
        if found is None:
            raise Refused(errors.ORDER_UNKNOWN())
        if not {found.payer, found.payee} & set(sight(call).areas):
            raise Refused(NOT_YOUR_AREA(party=found.payer))
        entries = await store.entries_of(reader, order_id)
    return respond(OrderDetail.of_all(found, entries))


async def _view(tx: Connection, order_id: str) -> OrderView:
    found = await store.order(tx, order_id)
    if found is None:
        raise Refused(errors.ORDER_UNKNOWN())
    return OrderView.of(found)
