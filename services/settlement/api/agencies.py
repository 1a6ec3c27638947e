"""Statements of agencies; once submitted, files, match, differences and items are those of every statement."""

from __future__ import annotations

from typing import Annotated

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, router
from services.settlement.schemas.statements import AgencyStatementBody, StatementView
from services.settlement.use_cases import agencies as use_cases
from services.settlement.use_cases.agencies import AgencySubmission
from services.settlement.use_cases.parts import Settlement
from shared.auth import Role
from shared.http.call import Allow, Call
from shared.http.routing import respond

AgencyCall = Annotated[Call[Settlement], Allow(Role.OFFICER, Role.PARTNER)]


@router.endpoint(
    "POST",
    "/v1/agency-statements",
    status=201,
    view=StatementView,
    refusals=(
        *AREA,
        errors.MONTH_NOT_BEGUN,
        errors.MONTH_NOT_OVER,
        errors.TOTAL_REPEATED,
        errors.REGION_UNKNOWN,
        errors.BOOKS_ARCHIVED,
    ),
    tags=["statements"],
)
async def submit_agency_statement(call: AgencyCall, body: AgencyStatementBody) -> Response:
    """An agency of a chain states a month of it from its own books (机构间对账), or a new version: compared by totals.

    Its lines come as a file of `/v1/statements/{statement_id}/files`, and are matched as a facility's are.
    """
    totals = [total.group(body.home_region) for total in body.totals]
    submission = AgencySubmission(body.period, body.care_region, body.home_region, totals)
    return respond(StatementView.of(await use_cases.submit(call.service, call.principal, submission, call.now)), 201)
