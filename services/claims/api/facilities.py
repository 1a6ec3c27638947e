"""Routes for hospital systems: visits, fee lines, quotes, settlements, reversals."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Annotated

from starlette.responses import Response

from services.claims import errors
from services.claims.api.service import ClaimsService
from services.claims.rules.visits import Kind
from services.claims.schemas import (
    AdmissionBody,
    DischargeBody,
    FeeLineView,
    LinesBody,
    LinesView,
    OneCallBody,
    PersonBody,
    QuoteView,
    ReversalBody,
    SettlementsQuery,
    SettlementView,
    VisitView,
)
from services.claims.store import settlements, visits
from services.claims.store.copies import PersonRef
from services.claims.store.settlements import SettlementRow
from services.claims.use_cases import admitting, reversing, settling
from services.claims.use_cases.admitting import Admission
from services.claims.use_cases.bills import Discharge, OneCall
from services.claims.use_cases.reversing import Reversal
from shared.auth import Role
from shared.http import idempotency
from shared.http.call import Allow, Call
from shared.http.idempotency import KEY_UNKNOWN, Answer, RequestKey
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import ServiceRouter, answer_of, respond, respond_with
from shared.http.types import Id
from shared.refusals import Refused
from shared.workdays import SHANGHAI, month_bounds

router = ServiceRouter()


FacilityCall = Annotated[Call[ClaimsService], Allow(Role.FACILITY)]
MoneyCall = Annotated[Call[ClaimsService], Allow(Role.FACILITY, idempotent=True)]

ENTITLEMENT = (
    errors.PERSON_UNKNOWN,
    errors.NOT_INSURED,
    errors.INSURANCE_AMBIGUOUS,
    errors.FACILITY_UNKNOWN,
    errors.NOT_CONTRACTED,
    errors.FACILITY_SUSPENDED,
    errors.NO_FILING,
    errors.NO_PLAN,
    errors.NOT_COVERED,
    errors.POLICY_UNDECIDED,
    errors.CODE_UNKNOWN,
    errors.IN_THE_FUTURE,
)
LINES = (
    errors.LINE_TWICE,
    errors.LINE_AMOUNT_WRONG,
    errors.LINE_OUTSIDE,
    errors.NEGATIVE_NEEDS_VOID,
    errors.VOID_UNKNOWN,
    errors.VOID_TOO_MUCH,
)
TOTALS = (errors.NO_LINES, errors.SUM_WRONG, errors.TOTAL_NEGATIVE, errors.ENDS_BEFORE_IT_BEGAN)
ONE_CALL = (*ENTITLEMENT, *LINES, *TOTALS)
VISIT = (errors.VISIT_UNKNOWN, errors.VISIT_NOT_OPEN)


def render(row: SettlementRow) -> Answer:
    """How a settlement is answered, word for word, for ever."""
    return answer_of(SettlementView.of(row), 201)


@router.endpoint(
    "POST",
    "/v1/visits",
    status=201,
    view=VisitView,
    refusals=(*ENTITLEMENT, errors.STAY_OVERLAPS, errors.VISIT_NUMBER_TAKEN),
    tags=["visits"],
    interface="2401",
)
async def admit(call: FacilityCall, body: AdmissionBody) -> Response:
    """Admit a patient (入院办理). Sent again under the same number, it answers 200 with the same visit."""
    admission = Admission(
        facility_code=call.principal.party,
        facility_visit_no=body.facility_visit_no,
        person=_person(call, body.person),
        med_type=body.med_type,
        insutype=body.insutype,
        emergency=body.emergency,
        began_at=body.began_at,
    )
    visit, new = await admitting.admit(call.service.claims, admission, call.now)
    return respond(VisitView.of(visit), 201 if new else 200)


def _person(call: Call[ClaimsService], body: PersonBody) -> PersonRef:
    if body.identity_number is None:
        return PersonRef(body.person_id)
    return PersonRef(None, call.service.claims.keys.lookup_hash(body.identity_number))


@router.endpoint("GET", "/v1/visits/{visit_id}", view=VisitView, refusals=VISIT[:1], tags=["visits"], interface="5201")
async def get_visit(call: FacilityCall, visit_id: Id) -> Response:
    """One of the facility's visits (就诊信息查询)."""
    async with call.service.claims.database.read() as reader:
        return respond(VisitView.of(await admitting.own_visit(reader, call.principal.party, visit_id)))


@router.endpoint(
    "POST",
    "/v1/visits/{visit_id}/fee-lines",
    view=LinesView,
    refusals=(*VISIT, *LINES, errors.LINE_CHANGED, errors.TOO_MANY_LINES, errors.CODE_UNKNOWN),
    tags=["visits"],
    interface="2301 2302 2204 2205",
)
async def add_fee_lines(call: FacilityCall, visit_id: Id, body: LinesBody) -> Response:
    """Add fee lines (费用明细上传). A line sent before under the same number is not added twice."""
    lines = [line.line() for line in body.lines]
    added = await admitting.add_lines(call.service.claims, call.principal.party, visit_id, lines)
    return respond(LinesView(received=len(lines), added=added))


@router.endpoint(
    "GET",
    "/v1/visits/{visit_id}/fee-lines",
    view=PageView[FeeLineView],
    refusals=(*VISIT[:1], CURSOR_INVALID),
    tags=["visits"],
    interface="5204",
)
async def list_fee_lines(call: FacilityCall, visit_id: Id, query: PageQuery) -> Response:
    """A visit's fee lines (费用明细查询), by number."""
    async with call.service.claims.database.read() as reader:
        await admitting.own_visit(reader, call.principal.party, visit_id)
        rows = await visits.lines_page(reader, visit_id, query.after, query.limit + 1)
    return respond(page(rows, query, lambda line: line.line_no, FeeLineView.of))


@router.endpoint(
    "POST",
    "/v1/visits/{visit_id}/cancellation",
    view=VisitView,
    refusals=VISIT,
    tags=["visits"],
    interface="2404",
)
async def cancel_visit(call: FacilityCall, visit_id: Id) -> Response:
    """Cancel an admission that is not settled (入院撤销)."""
    return respond(VisitView.of(await admitting.cancel(call.service.claims, call.principal.party, visit_id)))


def _discharge(call: Call[ClaimsService], visit_id: str, body: DischargeBody, key: RequestKey) -> Discharge:
    return Discharge(
        key=key,
        now=call.now,
        traceparent=call.traceparent,
        facility_code=call.principal.party,
        facility_settlement_no=body.facility_settlement_no,
        visit_id=visit_id,
        ended_at=body.ended_at,
        total_fen=body.total_fen,
    )


@router.endpoint(
    "POST",
    "/v1/visits/{visit_id}/quote",
    view=QuoteView,
    refusals=(*VISIT, *ENTITLEMENT, *TOTALS, errors.LINE_OUTSIDE),
    tags=["settlements"],
    interface="2303",
)
async def quote_discharge(call: FacilityCall, visit_id: Id, body: DischargeBody) -> Response:
    """What the stay would pay if it ended so (住院预结算)."""
    command = _discharge(call, visit_id, body, _NO_KEY)
    return respond(QuoteView.of(await settling.quote_discharge(call.service.claims, command)))


@router.endpoint(
    "POST",
    "/v1/visits/{visit_id}/settlement",
    status=201,
    view=SettlementView,
    refusals=(
        *VISIT,
        *ENTITLEMENT,
        *TOTALS,
        errors.LINE_OUTSIDE,
        errors.SETTLEMENT_NUMBER_TAKEN,
        errors.STAY_OVERLAPS,
    ),
    tags=["settlements"],
    interface="2304",
)
async def settle_discharge(call: MoneyCall, visit_id: Id, body: DischargeBody) -> Response:
    """Settle a stay at discharge (住院结算)."""
    key = call.request_key(body.model_dump_json())
    return respond_with(await call.service.discharges.submit(_discharge(call, visit_id, body, key)))


_NO_KEY = RequestKey("", "", b"")
"""A quote keeps nothing, so it has no key."""


def _one_call(call: Call[ClaimsService], body: OneCallBody, key: RequestKey) -> OneCall:
    return OneCall(
        key=key,
        now=call.now,
        traceparent=call.traceparent,
        facility_code=call.principal.party,
        facility_visit_no=body.facility_visit_no,
        facility_settlement_no=body.facility_settlement_no,
        person=_person(call, body.person),
        kind=Kind(body.kind),
        med_type=body.med_type,
        insutype=body.insutype,
        emergency=body.emergency,
        began_at=body.began_at,
        ended_at=body.ended_at,
        total_fen=body.total_fen,
        lines=tuple([line.line() for line in body.lines]),
    )


@router.endpoint("POST", "/v1/quotes", view=QuoteView, refusals=ONE_CALL, tags=["settlements"], interface="2206 2101")
async def quote_one_call(call: FacilityCall, body: OneCallBody) -> Response:
    """What an outpatient or pharmacy bill would pay (门诊预结算, 药店预结算)."""
    return respond(QuoteView.of(await settling.quote_one_call(call.service.claims, _one_call(call, body, _NO_KEY))))


@router.endpoint(
    "POST",
    "/v1/settlements",
    status=201,
    view=SettlementView,
    refusals=(*ONE_CALL, errors.SETTLEMENT_NUMBER_TAKEN, errors.VISIT_NUMBER_TAKEN),
    tags=["settlements"],
    interface="2207 2102",
)
async def settle_one_call(call: MoneyCall, body: OneCallBody) -> Response:
    """Settle an outpatient visit or a pharmacy purchase in one call (门诊结算 2207, 药店结算 2102)."""
    key = call.request_key(body.model_dump_json())
    return respond_with(await call.service.one_calls.submit(_one_call(call, body, key)))


@router.endpoint(
    "POST",
    "/v1/settlements/{settlement_id}/reversal",
    status=201,
    view=SettlementView,
    refusals=(
        errors.SETTLEMENT_UNKNOWN,
        errors.IS_A_REVERSAL,
        errors.ALREADY_REVERSED,
        errors.SETTLEMENT_NUMBER_TAKEN,
        errors.VISIT_NOT_OPEN,
    ),
    tags=["settlements"],
    interface="2305 2208 2103",
)
async def reverse_settlement(call: MoneyCall, settlement_id: Id, body: ReversalBody) -> Response:
    """Reverse a settlement (住院结算撤销 2305, 门诊结算撤销 2208, 药店结算撤销 2103)."""
    command = Reversal(
        key=call.request_key(body.model_dump_json()),
        facility_code=call.principal.party,
        settlement_id=settlement_id,
        facility_settlement_no=body.facility_settlement_no,
        reason=body.reason,
    )
    return respond_with(await reversing.reverse(call.service.claims, command, call.now, call.traceparent))


@router.endpoint(
    "GET",
    "/v1/settlements/{settlement_id}",
    view=SettlementView,
    refusals=(errors.SETTLEMENT_UNKNOWN,),
    tags=["settlements"],
    interface="5203",
)
async def get_settlement(call: FacilityCall, settlement_id: Id) -> Response:
    """One of the facility's settlements (结算信息查询)."""
    async with call.service.claims.database.read() as reader:
        row = await settlements.get(reader, settlement_id)
    if row is None or row.facility_code != call.principal.party:
        raise Refused(errors.SETTLEMENT_UNKNOWN())
    return respond(SettlementView.of(row))


@router.endpoint(
    "GET",
    "/v1/settlements",
    view=PageView[SettlementView],
    refusals=(CURSOR_INVALID,),
    tags=["settlements"],
)
async def list_settlements(call: FacilityCall, query: SettlementsQuery) -> Response:
    """The facility's settlements of a month, reversals included: what its statement is made from."""
    first, last = month_bounds(query.period)
    since = datetime.combine(first, time(), SHANGHAI).astimezone(UTC)
    until = datetime.combine(last, time(), SHANGHAI).astimezone(UTC) + timedelta(days=1)
    async with call.service.claims.database.read() as reader:
        rows = await settlements.page(reader, call.principal.party, since, until, query.after, query.limit + 1)
    return respond(page(rows, query, lambda row: row.settlement_id, SettlementView.of))


@router.endpoint(
    "GET",
    "/v1/requests",
    view=SettlementView,
    status=201,
    refusals=(KEY_UNKNOWN,),
    tags=["settlements"],
    interface="2601",
)
async def get_request(call: MoneyCall) -> Response:
    """What happened to the request this facility sent under an Idempotency-Key: its answer, word for word, or 404."""
    found = await idempotency.look_up(call.service.claims.database, call.principal.party, call.idempotency_key or "")
    return respond_with(found)
