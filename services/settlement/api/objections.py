"""Objections: raised, decided, withdrawn, read."""

from __future__ import annotations

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, ApprovingCall, ConfirmingCall, ReaderCall, router
from services.settlement.api.cases import visible_case
from services.settlement.rules.objections import ObjectionState
from services.settlement.schemas.objections import (
    DecisionBody,
    ObjectionBody,
    ObjectionNo,
    ObjectionsView,
    ObjectionView,
)
from services.settlement.store import objections as store
from services.settlement.use_cases import objections as use_cases
from shared.http.routing import respond
from shared.http.types import Id

TAGS = ["objections"]
RAISING = (
    errors.CASE_UNKNOWN,
    errors.NOT_IN_CHAIN,
    errors.CASE_NOT_OBJECTABLE,
    errors.CONFIRMED_ALREADY,
    errors.NUMBERS_CHANGED,
    errors.BILL_NOT_IN_CASE,
    errors.BILL_CONTESTED,
    errors.OBJECTION_REPEATED,
)
ENDING = (errors.OBJECTION_UNKNOWN, errors.OBJECTION_NOT_YOURS, errors.OBJECTION_DECIDED)


@router.endpoint("POST", "/v1/cases/{case_id}/objections", status=201, view=ObjectionView, refusals=RAISING, tags=TAGS)
async def raise_objection(call: ConfirmingCall, case_id: Id, body: ObjectionBody) -> Response:
    """Object to bills of a case before confirming it (对账异议); the agency that answers for the books decides.

    Others may confirm meanwhile: what they confirm stands for the bills nobody objects to.
    """
    made = await use_cases.raise_objection(
        call.service, call.principal, case_id, body.numbers_hash, body.settlement_ids, body.reason, call.now
    )
    return respond(ObjectionView.of(made), 201)


@router.endpoint(
    "GET",
    "/v1/cases/{case_id}/objections",
    view=ObjectionsView,
    refusals=(*AREA, errors.CASE_UNKNOWN),
    tags=TAGS,
)
async def list_objections(call: ReaderCall, case_id: Id) -> Response:
    """The objections to a case, with what became of them."""
    async with call.service.database.read() as reader:
        await visible_case(reader, call, case_id)
        found = await store.objections_of(reader, case_id)
    return respond(ObjectionsView(items=[ObjectionView.of(objection) for objection in found]))


@router.endpoint("POST", "/v1/objections/{objection_no}/withdrawal", view=ObjectionView, refusals=ENDING, tags=TAGS)
async def withdraw_objection(call: ConfirmingCall, objection_no: ObjectionNo) -> Response:
    """The party that objected takes it back."""
    ended = await use_cases.end_objection(
        call.service, call.principal, objection_no, ObjectionState.WITHDRAWN, None, call.now
    )
    return respond(ObjectionView.of(ended))


@router.endpoint(
    "POST",
    "/v1/objections/{objection_no}/acceptance",
    view=ObjectionView,
    refusals=(*ENDING, errors.SAME_PERSON),
    tags=TAGS,
)
async def accept_objection(call: ApprovingCall, objection_no: ObjectionNo, body: DecisionBody) -> Response:
    """Accept an objection: its bills leave the numbers of the case and are cleared with the next month."""
    ended = await use_cases.end_objection(
        call.service, call.principal, objection_no, ObjectionState.ACCEPTED, body.reason, call.now
    )
    return respond(ObjectionView.of(ended))


@router.endpoint(
    "POST",
    "/v1/objections/{objection_no}/rejection",
    view=ObjectionView,
    refusals=(*ENDING, errors.SAME_PERSON),
    tags=TAGS,
)
async def reject_objection(call: ApprovingCall, objection_no: ObjectionNo, body: DecisionBody) -> Response:
    """Reject an objection, for a reason: the numbers stay, and the party may confirm them."""
    ended = await use_cases.end_objection(
        call.service, call.principal, objection_no, ObjectionState.REJECTED, body.reason, call.now
    )
    return respond(ObjectionView.of(ended))
