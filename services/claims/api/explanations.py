"""Routes that tell why a settlement came to what it did, and which settlements would come to something else today."""

from __future__ import annotations

from typing import Annotated

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from services.claims import errors
from services.claims.api.service import ClaimsService
from services.claims.schemas import ExplanationQuery, ExplanationView, ItemsQuery, ItemView, ReasonBody
from services.claims.store import rechecks
from services.claims.use_cases import explaining, rechecking
from shared.auth import NOT_YOUR_AREA, Role
from shared.http.call import Allow, Call
from shared.http.paging import CURSOR_INVALID, PageView, page
from shared.http.routing import ServiceRouter, respond
from shared.http.types import Id

router = ServiceRouter()

ReaderCall = Annotated[Call[ClaimsService], Allow(Role.FACILITY, Role.OFFICER, Role.REVIEWER)]
OfficerCall = Annotated[Call[ClaimsService], Allow(Role.OFFICER, Role.REVIEWER)]


@router.endpoint(
    "GET",
    "/v1/settlements/{settlement_id}/explanation",
    view=ExplanationView,
    refusals=(errors.SETTLEMENT_UNKNOWN, errors.WORKING_UNKNOWN),
    tags=["explanations"],
    html="also",
)
async def explain_settlement(
    call: ReaderCall, request: Request, settlement_id: Id, query: ExplanationQuery
) -> Response:
    """Why a settlement came to what it did (待遇计算说明): the record of its calculation, for a patient, an officer or
    a machine. With `Accept: text/html` it is a page to print.
    """
    claims = call.service.claims
    found = await explaining.find(claims, call.principal, settlement_id)
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(explaining.page(found, query.reader, call.language))
    told = explaining.tell(found, query.reader, call.language)
    return respond(
        ExplanationView(
            settlement_id=settlement_id,
            policy=found.row.policy,
            reader=query.reader,
            language=call.language,
            lines=told.lines,
            steps=told.steps,
            clauses=told.clauses,
        )
    )


@router.endpoint(
    "GET",
    "/v1/resettlements",
    view=PageView[ItemView],
    refusals=(CURSOR_INVALID,),
    tags=["explanations"],
)
async def list_resettlements(call: OfficerCall, query: ItemsQuery) -> Response:
    """Settled bills of the agency's insured that would come to something else today (重算事项)."""
    claims = call.service.claims
    regions = claims.regions.below(call.principal.party)
    async with claims.database.read() as reader:
        rows = await rechecks.page(reader, regions, query.state, query.after, query.limit + 1)
    return respond(page(rows, query, lambda row: row.item_id, ItemView.of))


@router.endpoint(
    "POST",
    "/v1/resettlements/{item_id}/closure",
    view=ItemView,
    refusals=(errors.ITEM_UNKNOWN, errors.ITEM_CLOSED, NOT_YOUR_AREA),
    tags=["explanations"],
)
async def close_resettlement(call: OfficerCall, item_id: Id, body: ReasonBody) -> Response:
    """Close a work item with a reason: the settlement stays as it is."""
    closed = await rechecking.close_item(call.service.claims, call.principal, item_id, body.reason, call.now)
    return respond(ItemView.of(closed))
