"""Routes for policy packs (待遇政策): check, propose, put in force, read, compare, run a case."""

from __future__ import annotations

import asyncio
from typing import Annotated

from starlette.responses import HTMLResponse, Response

from services.claims import errors
from services.claims.api.service import ClaimsService
from services.claims.schemas import (
    ApprovalBody,
    CaseBody,
    CheckedView,
    DifferenceQuery,
    DifferenceView,
    DocumentView,
    PolicyBody,
    PolicyView,
    ReasonBody,
    ReplayBody,
    ReplayView,
    RunView,
)
from services.claims.store import policies as rows
from services.claims.use_cases import policies, replaying, trying
from shared.auth import NOT_YOUR_AREA, Role, check_area
from shared.http.call import Allow, Call
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import ServiceRouter, respond
from shared.http.types import Id

router = ServiceRouter()

ProposerCall = Annotated[Call[ClaimsService], Allow(Role.OFFICER)]
ApproverCall = Annotated[Call[ClaimsService], Allow(Role.REVIEWER)]
ReaderCall = Annotated[
    Call[ClaimsService], Allow(Role.FACILITY, Role.OFFICER, Role.REVIEWER, Role.FINANCE, Role.PARTNER)
]

AgencyCall = Annotated[Call[ClaimsService], Allow(Role.OFFICER, Role.REVIEWER)]

FAULTS = (errors.POLICY_FAULT, errors.POLICY_EXAMPLE_FAILED)
PLACES = (errors.POLICY_AREA_TAKEN, errors.POLICY_NAME_TAKEN)
DECIDING = (errors.POLICY_UNKNOWN, errors.POLICY_DECIDED, errors.POLICY_SAME_PERSON, NOT_YOUR_AREA)


@router.endpoint("POST", "/v1/policies/check", view=CheckedView, refusals=(*FAULTS, NOT_YOUR_AREA), tags=["policies"])
async def check_policy(call: ProposerCall, body: PolicyBody) -> Response:
    """Check a pack and run its examples; nothing is kept. Everything wrong is told with file, line and column."""
    document, digest = await asyncio.to_thread(policies.check, body.files)
    check_area(call.service.claims.regions, call.principal, document.area)
    return respond(
        CheckedView(pack=document.pack, version=document.version, digest=digest, examples=len(document.examples))
    )


@router.endpoint(
    "POST",
    "/v1/policies",
    status=201,
    view=PolicyView,
    refusals=(*FAULTS, *PLACES, errors.POLICY_VERSION_TAKEN, NOT_YOUR_AREA),
    tags=["policies"],
)
async def propose_policy(call: ProposerCall, body: PolicyBody) -> Response:
    """Propose a version of a pack (政策提交); it is checked first, and another person puts it in force."""
    row = await policies.propose(call.service.claims, call.principal, body.files, call.now)
    return respond(PolicyView.of(row), 201)


@router.endpoint(
    "POST",
    "/v1/policies/{proposal_id}/approval",
    view=PolicyView,
    refusals=(*DECIDING, *FAULTS, *PLACES, errors.POLICY_DIGEST_DIFFERS),
    tags=["policies"],
)
async def approve_policy(call: ApproverCall, proposal_id: Id, body: ApprovalBody) -> Response:
    """Put a proposed version in force (政策生效), naming the digest of what was read."""
    row = await policies.approve(call.service.claims, call.principal, proposal_id, body.digest, call.now)
    return respond(PolicyView.of(row))


@router.endpoint("POST", "/v1/policies/{proposal_id}/rejection", view=PolicyView, refusals=DECIDING, tags=["policies"])
async def reject_policy(call: ApproverCall, proposal_id: Id, body: ReasonBody) -> Response:
    """Turn a proposed version down; its number may be used again."""
    row = await policies.reject(call.service.claims, call.principal, proposal_id, body.reason, call.now)
    return respond(PolicyView.of(row))


@router.endpoint("GET", "/v1/policies", view=PageView[PolicyView], refusals=(CURSOR_INVALID,), tags=["policies"])
async def list_policies(call: ReaderCall, query: PageQuery) -> Response:
    """The versions that were proposed, whatever became of them; policies are public."""
    async with call.service.claims.database.read() as reader:
        found = await rows.page(reader, query.after, query.limit + 1)
    return respond(page(found, query, lambda row: row.proposal_id, PolicyView.of))


@router.endpoint(
    "GET", "/v1/policies/{proposal_id}", view=DocumentView, refusals=(errors.POLICY_UNKNOWN,), tags=["policies"]
)
async def get_policy(call: ReaderCall, proposal_id: Id) -> Response:
    """One version with its files."""
    row = await policies.get(call.service.claims.database, proposal_id)
    return respond(DocumentView(policy=PolicyView.of(row), files=dict(row.files)))


@router.endpoint(
    "GET", "/v1/policies/{proposal_id}/page", refusals=(errors.POLICY_UNKNOWN,), tags=["policies"], html="only"
)
async def show_policy(call: ReaderCall, proposal_id: Id) -> Response:
    """One version as a readable page (HTML)."""
    row = await policies.get(call.service.claims.database, proposal_id)
    return HTMLResponse(await asyncio.to_thread(trying.shown, row.files, call.language))


@router.endpoint(
    "GET",
    "/v1/policies/{proposal_id}/difference",
    view=DifferenceView,
    refusals=(errors.POLICY_UNKNOWN,),
    tags=["policies"],
)
async def compare_policy(call: ReaderCall, proposal_id: Id, query: DifferenceQuery) -> Response:
    """What changes for whom against another version, in words and numbers."""
    new = await policies.get(call.service.claims.database, proposal_id)
    old = await trying.old_document(call.service.claims, new, query.against)
    return respond(DifferenceView(**await asyncio.to_thread(trying.compared, old, new.files, call.language)))


@router.endpoint(
    "POST",
    "/v1/policies/{proposal_id}/runs",
    view=RunView,
    refusals=(errors.POLICY_UNKNOWN, errors.POLICY_FAULT),
    tags=["policies"],
)
async def run_case(call: ReaderCall, proposal_id: Id, body: CaseBody) -> Response:
    """Run a case file by a version: the decisions, with every step."""
    row = await policies.get(call.service.claims.database, proposal_id)
    return respond(RunView(cases=await asyncio.to_thread(trying.run, row.files, body.case)))


@router.endpoint(
    "POST",
    "/v1/policies/{proposal_id}/replays",
    status=202,
    view=ReplayView,
    refusals=(errors.POLICY_UNKNOWN, errors.ENDS_BEFORE_IT_BEGAN, NOT_YOUR_AREA),
    tags=["policies"],
)
async def ask_replay(call: AgencyCall, proposal_id: Id, body: ReplayBody) -> Response:
    """Ask what a version would have cost on the bills settled (政策测算); it is done beside the settlement."""
    days = (body.since, body.until)
    return respond(
        ReplayView.of(await replaying.ask(call.service.claims, call.principal, proposal_id, days, call.now)), 202
    )


@router.endpoint(
    "GET",
    "/v1/replays/{replay_id}",
    view=ReplayView,
    refusals=(errors.REPLAY_UNKNOWN, NOT_YOUR_AREA),
    tags=["policies"],
)
async def get_replay(call: AgencyCall, replay_id: Id) -> Response:
    """How far a replay is, or what it found."""
    return respond(ReplayView.of(await replaying.get(call.service.claims, call.principal, replay_id)))
