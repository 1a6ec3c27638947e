"""Routes of designation: parse, call one use case or one read, shape the answer."""

from __future__ import annotations

from typing import Annotated

from starlette.responses import Response

from services.designation import errors, store, use_cases
from services.designation.rules import Step
from services.designation.schemas import (
    AgreementBody,
    AgreementView,
    FacilityBody,
    FacilityChange,
    FacilityQuery,
    FacilityView,
    StepBody,
)
from services.designation.tables import Facility
from services.designation.use_cases import Designation
from shared.auth import NOT_YOUR_AREA, Role
from shared.http.call import Allow, Call
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import ServiceRouter, respond
from shared.http.types import Code, Id
from shared.refusals import Refused

router = ServiceRouter()

OfficerCall = Annotated[Call[Designation], Allow(Role.OFFICER)]
ReviewerCall = Annotated[Call[Designation], Allow(Role.REVIEWER)]
ReaderCall = Annotated[
    Call[Designation],
    Allow(Role.FACILITY, Role.OFFICER, Role.REVIEWER, Role.FINANCE, Role.PARTNER, Role.SERVICE),
]

AREA = (NOT_YOUR_AREA,)


@router.endpoint(
    "POST",
    "/v1/facilities",
    status=201,
    view=FacilityView,
    refusals=(*AREA, errors.FACILITY_EXISTS, errors.REGION_UNKNOWN),
    tags=["facilities"],
)
async def register_facility(call: OfficerCall, body: FacilityBody) -> Response:
    """Register a facility (定点机构登记)."""
    facility = Facility(**body.model_dump(), revision=1)
    return respond(
        FacilityView.of(await use_cases.register_facility(call.service, call.principal, facility, call.now)), 201
    )


@router.endpoint(
    "PUT",
    "/v1/facilities/{code}",
    view=FacilityView,
    refusals=(*AREA, errors.FACILITY_UNKNOWN),
    tags=["facilities"],
)
async def change_facility(call: OfficerCall, code: Code, body: FacilityChange) -> Response:
    """Change a facility's name, kind or level (机构信息变更)."""
    changed = await use_cases.change_facility(
        call.service, call.principal, code, body.name, body.kind, body.level, call.now
    )
    return respond(FacilityView.of(changed))


@router.endpoint(
    "GET",
    "/v1/facilities/{code}",
    view=FacilityView,
    refusals=(errors.FACILITY_UNKNOWN,),
    tags=["facilities"],
    interface="1201",
)
async def get_facility(call: ReaderCall, code: Code) -> Response:
    """One facility (医药机构信息获取)."""
    async with call.service.database.read() as reader:
        found = await store.facility(reader, code)
    if found is None:
        raise Refused(errors.FACILITY_UNKNOWN(facility=code))
    return respond(FacilityView.of(found))


@router.endpoint("GET", "/v1/facilities", view=PageView[FacilityView], refusals=(CURSOR_INVALID,), tags=["facilities"])
async def list_facilities(call: ReaderCall, query: FacilityQuery) -> Response:
    """Facilities of a region and all below it; the list of contracted facilities is public."""
    regions = call.service.regions.below(query.region)
    async with call.service.database.read() as reader:
        rows = await store.facilities(reader, regions, query.after, query.limit + 1)
    return respond(page(rows, query, lambda f: f.code, FacilityView.of))


@router.endpoint(
    "POST",
    "/v1/agreements",
    status=201,
    view=AgreementView,
    refusals=(
        *AREA,
        errors.FACILITY_UNKNOWN,
        errors.PERIOD_REVERSED,
        errors.PERIOD_TOO_LONG,
        errors.AGREEMENT_OVERLAPS,
    ),
    tags=["agreements"],
)
async def draft_agreement(call: OfficerCall, body: AgreementBody) -> Response:
    """Draft an agreement (协议起草); another person signs it."""
    drafted = await use_cases.draft_agreement(
        call.service, call.principal, body.facility_code, body.valid_from, body.valid_to, call.now
    )
    return respond(AgreementView.of(drafted), 201)


STEP_REFUSALS = (*AREA, errors.AGREEMENT_UNKNOWN, errors.STEP_NOT_ALLOWED)


@router.endpoint(
    "POST",
    "/v1/agreements/{agreement_id}/signature",
    view=AgreementView,
    refusals=(*STEP_REFUSALS, errors.SAME_PERSON),
    tags=["agreements"],
)
async def sign_agreement(call: ReviewerCall, agreement_id: Id) -> Response:
    """Sign a drafted agreement (协议签订): it comes into force on its first day."""
    return await _step(call, agreement_id, Step.SIGN, None)


@router.endpoint(
    "POST",
    "/v1/agreements/{agreement_id}/suspension",
    view=AgreementView,
    refusals=(*STEP_REFUSALS, errors.DAY_OUTSIDE),
    tags=["agreements"],
)
async def suspend_agreement(call: ReviewerCall, agreement_id: Id, body: StepBody) -> Response:
    """Suspend an agreement (中止) from a day on."""
    return await _step(call, agreement_id, Step.SUSPEND, body)


@router.endpoint(
    "POST",
    "/v1/agreements/{agreement_id}/restoration",
    view=AgreementView,
    refusals=(*STEP_REFUSALS, errors.DAY_OUTSIDE),
    tags=["agreements"],
)
async def restore_agreement(call: ReviewerCall, agreement_id: Id, body: StepBody) -> Response:
    """Restore a suspended agreement (恢复) from a day on."""
    return await _step(call, agreement_id, Step.RESTORE, body)


@router.endpoint(
    "POST",
    "/v1/agreements/{agreement_id}/end",
    view=AgreementView,
    refusals=(*STEP_REFUSALS, errors.DAY_OUTSIDE),
    tags=["agreements"],
)
async def end_agreement(call: ReviewerCall, agreement_id: Id, body: StepBody) -> Response:
    """End an agreement (解除) after a day."""
    return await _step(call, agreement_id, Step.END, body)


async def _step(call: Call[Designation], agreement_id: str, step: Step, body: StepBody | None) -> Response:
    changed = await use_cases.take_step(
        call.service,
        call.principal,
        agreement_id,
        step,
        day=body.day if body else None,
        reason=body.reason if body else None,
        now=call.now,
    )
    return respond(AgreementView.of(changed))


@router.endpoint(
    "GET",
    "/v1/agreements/{agreement_id}",
    view=AgreementView,
    refusals=(errors.AGREEMENT_UNKNOWN,),
    tags=["agreements"],
)
async def get_agreement(call: ReaderCall, agreement_id: Id) -> Response:
    """One agreement."""
    async with call.service.database.read() as reader:
        facts = await store.agreement(reader, agreement_id)
    if facts is None:
        raise Refused(errors.AGREEMENT_UNKNOWN())
    return respond(AgreementView.of(facts))


@router.endpoint(
    "GET",
    "/v1/facilities/{code}/agreements",
    view=PageView[AgreementView],
    refusals=(CURSOR_INVALID,),
    tags=["agreements"],
)
async def list_agreements(call: ReaderCall, code: Code, query: PageQuery) -> Response:
    """A facility's agreements."""
    async with call.service.database.read() as reader:
        rows = await store.agreements_of(reader, code, query.after, query.limit + 1)
    return respond(page(rows, query, lambda a: a.agreement_id, AgreementView.of))
