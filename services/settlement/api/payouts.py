"""Payouts to persons: entered by an officer, approved by another person, ordered by finance."""

from __future__ import annotations

from typing import Annotated

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, once_only, router, sight
from services.settlement.schemas.payouts import (
    CancellationBody,
    CardApprovalBody,
    CardBody,
    PayoutBody,
    PayoutDetail,
    PayoutQuery,
    PayoutView,
)
from services.settlement.store import payouts as store
from services.settlement.use_cases import payouts as use_cases
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA, Role
from shared.database import Connection
from shared.http.call import Allow, Call
from shared.http.idempotency import Answer
from shared.http.paging import CURSOR_INVALID, PageView, page
from shared.http.routing import answer_of, respond
from shared.http.types import Id
from shared.refusals import Refused
from shared.workdays import shanghai_day

TAGS = ["payouts"]
EnteringCall = Annotated[Call[Settlement], Allow(Role.OFFICER, idempotent=True)]
DecidingCall = Annotated[Call[Settlement], Allow(Role.OFFICER, Role.REVIEWER, idempotent=True)]
LookingCall = Annotated[Call[Settlement], Allow(Role.OFFICER, Role.REVIEWER, Role.FINANCE)]
CARD = (
    errors.PAPER_MISSING,
    errors.AGENT_WRONG,
    errors.HOLDER_NOT_PERSON,
    errors.ACCOUNT_INVALID,
    errors.BANK_CODE_INVALID,
)
DECISION = (
    errors.PAYOUT_UNKNOWN,
    NOT_YOUR_AREA,
    errors.PAYOUT_STATE,
    errors.SAME_PERSON,
)


def _key_text(call: Call[Settlement], body: PayoutBody | CardBody) -> str:
    """A body for the idempotency key: what of it is secret stands there as a keyed hash."""
    card = body.card if isinstance(body, PayoutBody) else body
    person = body.person_name if isinstance(body, PayoutBody) else None
    secret = (card.holder, card.account_no, card.agent_name, person)
    shown = "\n".join("" if text is None else text.get_secret_value() for text in secret)
    return f"{body.model_dump_json()} {call.service.bank.keys.lookup_hash(shown)}"


@router.endpoint(
    "POST",
    "/v1/payouts",
    status=201,
    view=PayoutDetail,
    refusals=(*CARD, errors.FUND_UNKNOWN, errors.PERSONAL_NUMBER, errors.PAYOUT_EXISTS),
    tags=TAGS,
)
async def enter_payout(call: EnteringCall, body: PayoutBody) -> Response:
    """Enter a payout of the own agency to a person (待遇支付): a supplement, or a claim on paper."""
    entered = body.card.handed_in

    async def work(tx: Connection) -> Answer:
        payout = await use_cases.enter(call.service, tx, call.principal, body.claim, entered, call.now)
        return answer_of(await _detail(call, tx, payout.payout_id), 201)

    return await once_only(call, work, _key_text(call, body))


@router.endpoint("POST", "/v1/payouts/{payout_id}/approval", view=PayoutDetail, refusals=DECISION, tags=TAGS)
async def approve_payout(call: DecidingCall, payout_id: Id) -> Response:
    """Another person of the agency approves a payout: it is booked as owed, and can be ordered from its release on."""
    return await _decide(call, payout_id, approved=True)


@router.endpoint("POST", "/v1/payouts/{payout_id}/refusal", view=PayoutDetail, refusals=DECISION, tags=TAGS)
async def decline_payout(call: DecidingCall, payout_id: Id) -> Response:
    """Another person of the agency declines a payout: its document can be entered anew."""
    return await _decide(call, payout_id, approved=False)


async def _decide(call: Call[Settlement], payout_id: str, *, approved: bool) -> Response:
    async def work(tx: Connection) -> Answer:
        await use_cases.decide(call.service, tx, call.principal, payout_id, call.now, approved=approved)
        return answer_of(await _detail(call, tx, payout_id))

    return await once_only(call, work)


@router.endpoint(
    "POST",
    "/v1/payouts/{payout_id}/cards",
    status=201,
    view=PayoutDetail,
    refusals=(*CARD, errors.PAYOUT_UNKNOWN, NOT_YOUR_AREA, errors.PAYOUT_STATE),
    tags=TAGS,
)
async def enter_card(call: EnteringCall, payout_id: Id, body: CardBody) -> Response:
    """Enter another card for a payout that is owed and not paid, such as one that the bank refused."""

    async def work(tx: Connection) -> Answer:
        await use_cases.propose_card(call.service, tx, call.principal, payout_id, body.handed_in, call.now)
        return answer_of(await _detail(call, tx, payout_id), 201)

    return await once_only(call, work, _key_text(call, body))


@router.endpoint(
    "POST",
    "/v1/payouts/{payout_id}/card-approval",
    view=PayoutDetail,
    refusals=(*DECISION, errors.CARD_UNKNOWN, errors.CARD_CHANGED, errors.PAYOUT_ORDERED),
    tags=TAGS,
)
async def approve_card(call: DecidingCall, payout_id: Id, body: CardApprovalBody) -> Response:
    """Another person of the agency approves the new card that was looked at: what is ordered from now on goes there."""

    async def work(tx: Connection) -> Answer:
        await use_cases.approve_card(tx, call.principal, payout_id, body.card_no, call.now)
        return answer_of(await _detail(call, tx, payout_id))

    return await once_only(call, work, body.model_dump_json())


CANCELLING = (
    errors.PAYOUT_UNKNOWN,
    NOT_YOUR_AREA,
    errors.PAYOUT_STATE,
    errors.PAYOUT_ORDERED,
    errors.PAYOUT_MONEY_LEFT,
)


@router.endpoint(
    "POST",
    "/v1/payouts/{payout_id}/cancellations",
    status=201,
    view=PayoutDetail,
    refusals=(*CANCELLING, errors.PERSONAL_NUMBER, errors.CANCELLATION_WAITS),
    tags=TAGS,
)
async def propose_cancellation(call: EnteringCall, payout_id: Id, body: CancellationBody) -> Response:
    """Say that a payout was approved by mistake (作废): possible as long as no order of it is under way or was paid."""

    async def work(tx: Connection) -> Answer:
        await use_cases.propose_cancellation(tx, call.principal, payout_id, body.reason, call.now)
        return answer_of(await _detail(call, tx, payout_id), 201)

    return await once_only(call, work, body.model_dump_json())


@router.endpoint(
    "POST",
    "/v1/payout-cancellations/{cancellation_id}/approval",
    view=PayoutDetail,
    refusals=(*CANCELLING, errors.CANCELLATION_UNKNOWN, errors.CANCELLATION_DECIDED, errors.SAME_PERSON),
    tags=TAGS,
)
async def approve_cancellation(call: DecidingCall, cancellation_id: Id) -> Response:
    """Another person of the agency cancels the payout: it is not owed any more, its document can be entered anew."""
    return await _decide_cancellation(call, cancellation_id, approved=True)


@router.endpoint(
    "POST",
    "/v1/payout-cancellations/{cancellation_id}/refusal",
    view=PayoutDetail,
    refusals=(
        NOT_YOUR_AREA,
        errors.CANCELLATION_UNKNOWN,
        errors.CANCELLATION_DECIDED,
        errors.SAME_PERSON,
    ),
    tags=TAGS,
)
async def decline_cancellation(call: DecidingCall, cancellation_id: Id) -> Response:
    """Another person of the agency lets the payout stand."""
    return await _decide_cancellation(call, cancellation_id, approved=False)


async def _decide_cancellation(call: Call[Settlement], cancellation_id: str, *, approved: bool) -> Response:
    async def work(tx: Connection) -> Answer:
        payout_id = await use_cases.decide_cancellation(
            call.service, tx, call.principal, cancellation_id, call.now, approved=approved
        )
        return answer_of(await _detail(call, tx, payout_id))

    return await once_only(call, work)


@router.endpoint("GET", "/v1/payouts", view=PageView[PayoutView], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_payouts(call: LookingCall, query: PayoutQuery) -> Response:
    """Payouts of the agencies of the caller's area; `released` are those that can be ordered today."""
    async with call.service.database.read() as reader:
        rows = await store.payouts_of(
            reader,
            sight(call).areas,
            state=query.state,
            released_on=shanghai_day(call.now) if query.released else None,
            after=query.after or "",
            limit=query.limit + 1,
        )
    return respond(page(rows, query, lambda payout: payout.payout_id, PayoutView.of))


@router.endpoint(
    "GET", "/v1/payouts/{payout_id}", view=PayoutDetail, refusals=(*AREA, errors.PAYOUT_UNKNOWN), tags=TAGS
)
async def get_payout(call: LookingCall, payout_id: Id) -> Response:
    """One payout with its cards, masked."""
    async with call.service.database.read() as reader:
        return respond(await _detail(call, reader, payout_id))


async def _detail(call: Call[Settlement], tx: Connection, payout_id: str) -> PayoutDetail:
    """A payout the caller may see. Raises Refused."""
    found = (await store.payouts(tx, [payout_id])).get(payout_id)
    if found is None:
        raise Refused(errors.PAYOUT_UNKNOWN())
    if found.region not in sight(call).areas:
        raise Refused(NOT_YOUR_AREA(party=found.region))
    cards = use_cases.masked(call.service.bank, await store.cards(tx, payout_id))
    return PayoutDetail.of_all(found, cards, await store.cancellations(tx, payout_id))
