"""Payments: proposed by one person of the payer, approved by another."""

from __future__ import annotations

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, PayingCall, ReaderCall, once_only, router, sight
from services.settlement.rules.cases import Case
from services.settlement.schemas.payments import (
    ApprovalBatchBody,
    ApprovalsView,
    ApprovalView,
    PaymentBatchBody,
    PaymentBody,
    PaymentView,
    ProposalsView,
    ProposalView,
)
from services.settlement.store import cases as case_store
from services.settlement.store import payments as store
from services.settlement.store.payments import PaymentRow
from services.settlement.use_cases import payments as use_cases
from services.settlement.use_cases.approvals import approve_payments
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA
from shared.database import Connection
from shared.http.call import Call
from shared.http.idempotency import Answer
from shared.http.routing import answer_of, respond
from shared.http.types import Id
from shared.refusals import Refused

TAGS = ["payments"]
PROPOSING = (
    errors.CASE_UNKNOWN,
    errors.NOT_IN_CHAIN,
    errors.CASE_NOT_RECONCILED,
    errors.NOT_THE_PAYER,
    errors.NOT_RECEIVED_YET,
    errors.HOP_IN_POSITION,
    errors.HOP_TO_BE_NETTED,
    errors.PAYMENT_EXISTS,
    errors.PAYMENT_DONE,
    errors.PAYMENT_TOO_LARGE,
)


@router.endpoint("POST", "/v1/payments", status=201, view=PaymentView, refusals=PROPOSING, tags=TAGS)
async def propose_payment(call: PayingCall, body: PaymentBody) -> Response:
    """Propose to pay the caller's hop of a case (上解 or 拨付); another person of the same party approves."""

    async def work(tx: Connection) -> Answer:
        outcome = (await use_cases.propose(call.service, tx, call.principal, [body.case_id], call.now))[body.case_id]
        if isinstance(outcome, list):
            raise Refused(*outcome)
        return answer_of(await _view(tx, outcome.payment_id), 201)

    return await once_only(call, work, body.model_dump_json())


@router.endpoint("POST", "/v1/payment-batches", view=ProposalsView, tags=TAGS)
async def propose_many_payments(call: PayingCall, body: PaymentBatchBody) -> Response:
    """Propose the caller's hops of many cases; each has its own result."""

    async def work(tx: Connection) -> Answer:
        outcomes = await use_cases.propose(call.service, tx, call.principal, body.case_ids, call.now)
        items = [ProposalView.of(case_id, outcome, call.language) for case_id, outcome in outcomes.items()]
        return answer_of(ProposalsView(items=items))

    return await once_only(call, work, body.model_dump_json())


@router.endpoint(
    "POST",
    "/v1/payments/{payment_id}/approval",
    view=PaymentView,
    refusals=(
        errors.PAYMENT_UNKNOWN,
        errors.NOT_THE_PAYER,
        errors.SAME_PERSON,
        errors.PAYMENT_DONE,
        errors.NOT_PAYER_OF_ORDER,
        errors.ORDER_STATE,
        errors.REVIEW_MISSING,
        errors.ORDER_WAY_CHANGED,
        errors.ACCOUNT_MISSING,
    ),
    tags=TAGS,
)
async def approve_payment(call: PayingCall, payment_id: Id) -> Response:
    """Approve a payment: it is paid, booked at both ends, and the next hop becomes payable.

    Where the payer pays by bank its order is approved, and all this follows when the bank has paid.
    """

    async def work(tx: Connection) -> Answer:
        outcome = (await approve_payments(call.service, tx, call.principal, [payment_id], call.now))[payment_id]
        if isinstance(outcome, list):
            raise Refused(*outcome)
        return answer_of(await _view(tx, payment_id))

    return await once_only(call, work)


@router.endpoint("POST", "/v1/payment-approvals", view=ApprovalsView, tags=TAGS)
async def approve_many_payments(call: PayingCall, body: ApprovalBatchBody) -> Response:
    """Approve many payments; each has its own result."""

    async def work(tx: Connection) -> Answer:
        outcomes = await approve_payments(call.service, tx, call.principal, body.payment_ids, call.now)
        items = [ApprovalView.of(payment_id, outcome, call.language) for payment_id, outcome in outcomes.items()]
        return answer_of(ApprovalsView(items=items))

    return await once_only(call, work, body.model_dump_json())


@router.endpoint(
    "GET",
    "/v1/payments/{payment_id}",
    view=PaymentView,
    refusals=(*AREA, errors.PAYMENT_UNKNOWN),
    tags=TAGS,
)
async def get_payment(call: ReaderCall, payment_id: Id) -> Response:
    """One payment."""
    async with call.service.database.read() as reader:
        view = await visible_payment(reader, call, payment_id)
    return respond(view)


async def visible_payment(reader: Connection, call: Call[Settlement], payment_id: str) -> PaymentView:
    """A payment the caller may see. Raises Refused."""
    row, case = await _found(reader, payment_id)
    if not sight(call).sees(case.facility_code, case.chain):
        raise Refused(NOT_YOUR_AREA(party=case.facility_code))
    return PaymentView.of(row, case.hops)


async def _view(tx: Connection, payment_id: str) -> PaymentView:
    row, case = await _found(tx, payment_id)
    return PaymentView.of(row, case.hops)


async def _found(tx: Connection, payment_id: str) -> tuple[PaymentRow, Case]:
    row = await store.payment(tx, payment_id)
    if row is None:
        raise Refused(errors.PAYMENT_UNKNOWN())
    return row, (await case_store.cases(tx, [row.case_id]))[row.case_id]
