"""Routes about persons, their insurance and the look-up. Personal data travels in bodies only, never in addresses."""

from __future__ import annotations

from typing import Annotated

from starlette.responses import Response

from services.enrollment import errors
from services.enrollment.schemas.people import (
    ContactsBody,
    ContactsView,
    ContactView,
    EndBody,
    EnrolledView,
    InsuranceBody,
    LookupBody,
    LookupView,
    PersonBody,
    PersonChange,
    PersonView,
    SpanView,
)
from services.enrollment.use_cases import people as use_cases
from services.enrollment.use_cases.parts import Enrollment
from shared.auth import NOT_YOUR_AREA, Role
from shared.http.call import Allow, Call
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import ServiceRouter, respond
from shared.http.types import Id

router = ServiceRouter()

OfficerCall = Annotated[Call[Enrollment], Allow(Role.OFFICER)]
AgencyCall = Annotated[Call[Enrollment], Allow(Role.OFFICER, Role.REVIEWER)]
ReaderCall = Annotated[Call[Enrollment], Allow(Role.OFFICER, Role.REVIEWER, Role.FACILITY)]
LookupCall = Annotated[Call[Enrollment], Allow(Role.FACILITY, Role.OFFICER, Role.PARTNER, Role.SERVICE)]
ServiceCall = Annotated[Call[Enrollment], Allow(Role.SERVICE)]

PERSON = (NOT_YOUR_AREA, errors.PERSON_UNKNOWN)
INSURANCE = (errors.PERIOD_REVERSED, errors.REGION_UNKNOWN, errors.CODE_UNKNOWN, NOT_YOUR_AREA)


@router.endpoint(
    "POST",
    "/v1/persons",
    status=201,
    view=EnrolledView,
    refusals=(errors.IDENTITY_NUMBER_INVALID, errors.PERSON_DIFFERS, *INSURANCE),
    tags=["persons"],
    repeatable=True,
)
async def enroll_person(call: OfficerCall, body: PersonBody) -> Response:
    """Enrol a person (参保登记), insured from the start or not; the same again is answered 200 with the same person."""
    insurance = None if body.insurance is None else body.insurance.value()
    enrolled = await use_cases.enroll(call.service, call.principal, body.value(), insurance, call.now)
    return respond(EnrolledView.of_enrolment(enrolled), 201 if enrolled.fresh else 200)


@router.endpoint("GET", "/v1/persons/{person_id}", view=PersonView, refusals=PERSON, tags=["persons"])
async def get_person(call: ReaderCall, person_id: Id) -> Response:
    """One person, masked."""
    return respond(PersonView.of(await use_cases.person(call.service, call.principal, person_id, call.now)))


@router.endpoint("PUT", "/v1/persons/{person_id}", view=PersonView, refusals=PERSON, tags=["persons"])
async def change_person(call: OfficerCall, person_id: Id, body: PersonChange) -> Response:
    """Change a person's name, phone and bank account (信息变更)."""
    changed = await use_cases.change_person(
        call.service, call.principal, person_id, body.name, body.phone, body.bank_account, call.now
    )
    return respond(PersonView.of(changed))


@router.endpoint(
    "POST",
    "/v1/lookups",
    view=LookupView,
    refusals=(errors.PERSON_UNKNOWN, errors.IDENTITY_NUMBER_INVALID, errors.REGION_UNKNOWN),
    tags=["look-up"],
    interface="1101 2001",
)
async def look_up(call: LookupCall, body: LookupBody) -> Response:
    """Who is insured for what on a day, and where care may be sought (人员信息获取)."""
    looked_up = await use_cases.look_up(
        call.service,
        call.now,
        person_id=body.person_id,
        certificate_type=body.certificate_type,
        identity_number=body.identity_number,
        day=body.on,
        care_region=body.care_region,
    )
    return respond(LookupView.of(looked_up, body.on))


@router.endpoint(
    "POST",
    "/v1/persons/{person_id}/insurance-spans",
    status=201,
    view=SpanView,
    refusals=(*INSURANCE, errors.PERSON_UNKNOWN, errors.INSURANCE_OVERLAPS),
    tags=["insurance"],
)
async def add_insurance_span(call: OfficerCall, person_id: Id, body: InsuranceBody) -> Response:
    """Insure a person (参保)."""
    span = await use_cases.add_span(call.service, call.principal, person_id, body.value(), call.now)
    return respond(SpanView.of(span), 201)


@router.endpoint(
    "GET",
    "/v1/persons/{person_id}/insurance-spans",
    view=PageView[SpanView],
    refusals=(*PERSON, CURSOR_INVALID),
    tags=["insurance"],
)
async def list_insurance_spans(call: AgencyCall, person_id: Id, query: PageQuery) -> Response:
    """A person's insurance spans."""
    spans = await use_cases.spans_page(call.service, call.principal, person_id, query.after, query.limit + 1, call.now)
    return respond(page(spans, query, lambda span: span.span_id, SpanView.of))


@router.endpoint(
    "POST",
    "/v1/insurance-spans/{span_id}/end",
    view=SpanView,
    refusals=(NOT_YOUR_AREA, errors.SPAN_UNKNOWN, errors.DAY_OUTSIDE),
    tags=["insurance"],
)
async def end_insurance_span(call: OfficerCall, span_id: Id, body: EndBody) -> Response:
    """End an insurance after a day (停保)."""
    return respond(
        SpanView.of(await use_cases.end_span(call.service, call.principal, span_id, body.last_day, call.now))
    )


@router.endpoint("POST", "/v1/internal/contacts", view=ContactsView, tags=["internal"])
async def list_contacts(call: ServiceCall, body: ContactsBody) -> Response:
    """Names and phones of persons, for a service that is about to send them a message and does not keep them."""
    contacts = await use_cases.contacts(call.service, body.person_ids)
    return respond(ContactsView([ContactView.of(contact) for contact in contacts]))
