"""Routes about remote-care filings (异地就医备案)."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from starlette.responses import Response

from services.enrollment import errors
from services.enrollment.rules.filings import Step
from services.enrollment.schemas.filings import FilingBody, FilingView, ReasonBody
from services.enrollment.schemas.people import EndBody
from services.enrollment.use_cases import filings as use_cases
from services.enrollment.use_cases.filings import FilingFile
from services.enrollment.use_cases.parts import Enrollment
from shared import casework
from shared.auth import NOT_YOUR_AREA, Role
from shared.http.call import Allow, Call
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import ServiceRouter, respond
from shared.http.types import Id

router = ServiceRouter()

OfficerCall = Annotated[Call[Enrollment], Allow(Role.OFFICER)]
AgencyCall = Annotated[Call[Enrollment], Allow(Role.OFFICER, Role.REVIEWER)]
AskerCall = Annotated[Call[Enrollment], Allow(Role.OFFICER, Role.FACILITY)]
ReaderCall = Annotated[Call[Enrollment], Allow(Role.OFFICER, Role.REVIEWER, Role.FACILITY)]

FILING = (NOT_YOUR_AREA, errors.FILING_UNKNOWN)
REVIEW = (*FILING, casework.CASE_CLOSED, casework.OWN_CASE)


@router.endpoint(
    "POST",
    "/v1/filings",
    status=201,
    view=FilingView,
    refusals=(
        NOT_YOUR_AREA,
        errors.PERSON_UNKNOWN,
        errors.KIND_NOT_FOR_FACILITY,
        errors.NOT_INSURED,
        errors.REGION_UNKNOWN,
        errors.CARE_AT_HOME,
        errors.PERIOD_REVERSED,
        casework.PAPER_UNKNOWN,
        casework.PAPER_MISSING,
        errors.FILING_OVERLAPS,
    ),
    tags=["filings"],
    interface="2501",
)
async def make_filing(call: AskerCall, body: FilingBody) -> Response:
    """Make a filing: an officer's holds at once, a facility's referral (转院备案) waits for the home agency."""
    return _shown(call, await use_cases.file(call.service, call.principal, body.value(), call.now), 201)


@router.endpoint("POST", "/v1/filings/{filing_id}/approval", view=FilingView, refusals=REVIEW, tags=["filings"])
async def approve_filing(call: OfficerCall, filing_id: Id) -> Response:
    """Approve what a facility applied for."""
    return await _step(call, filing_id, Step.APPROVE)


@router.endpoint("POST", "/v1/filings/{filing_id}/refusal", view=FilingView, refusals=REVIEW, tags=["filings"])
async def refuse_filing(call: OfficerCall, filing_id: Id, body: ReasonBody) -> Response:
    """Refuse what a facility applied for, with the reason."""
    return await _step(call, filing_id, Step.REFUSE, reason=body.reason)


@router.endpoint(
    "POST",
    "/v1/filings/{filing_id}/cancellation",
    view=FilingView,
    refusals=(*FILING, errors.STEP_NOT_ALLOWED),
    tags=["filings"],
    interface="2502",
)
async def cancel_filing(call: AskerCall, filing_id: Id, body: ReasonBody) -> Response:
    """Withdraw a filing (备案撤销): it never counts again. A facility withdraws what it applied for."""
    return await _step(call, filing_id, Step.CANCEL, reason=body.reason)


@router.endpoint(
    "POST",
    "/v1/filings/{filing_id}/end",
    view=FilingView,
    refusals=(*FILING, errors.STEP_NOT_ALLOWED, errors.DAY_OUTSIDE),
    tags=["filings"],
)
async def end_filing(call: OfficerCall, filing_id: Id, body: EndBody) -> Response:
    """End a filing after a day, when the person returns home."""
    return await _step(call, filing_id, Step.END, day=body.last_day)


@router.endpoint("GET", "/v1/filings/{filing_id}", view=FilingView, refusals=FILING, tags=["filings"])
async def get_filing(call: ReaderCall, filing_id: Id) -> Response:
    """One filing with who did what: for its home agency and the facility that applied."""
    return _shown(call, await use_cases.filing_file(call.service, call.principal, filing_id))


@router.endpoint(
    "GET",
    "/v1/persons/{person_id}/filings",
    view=PageView[FilingView],
    refusals=(NOT_YOUR_AREA, errors.PERSON_UNKNOWN, CURSOR_INVALID),
    tags=["filings"],
)
async def list_filings(call: AgencyCall, person_id: Id, query: PageQuery) -> Response:
    """A person's filings."""
    files = await use_cases.filings_page(
        call.service, call.principal, person_id, query.after, query.limit + 1, call.now
    )
    return respond(page(files, query, lambda f: f.filing.filing_id, lambda f: _view(call, f)))


async def _step(
    call: Call[Enrollment], filing_id: str, step: Step, *, day: date | None = None, reason: str | None = None
) -> Response:
    file = await use_cases.take_step(call.service, call.principal, filing_id, step, call.now, day=day, reason=reason)
    return _shown(call, file)


def _shown(call: Call[Enrollment], file: FilingFile, status: int = 200) -> Response:
    return respond(_view(call, file), status)


def _view(call: Call[Enrollment], file: FilingFile) -> FilingView:
    return FilingView.of(file, call.now, call.service.calendar)
