"""Terms of regions: proposed, decided about, read."""

from __future__ import annotations

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, ApprovingCall, OfficerCall, ReaderCall, number_after, router
from services.settlement.rules.terms import resolve
from services.settlement.schemas.terms import InForceQuery, ProposalView, TermsBody, TermsNo, TermsQuery, TermsView
from services.settlement.store import terms as store
from services.settlement.use_cases import terms as use_cases
from shared.http.paging import CURSOR_INVALID, PageView, page
from shared.http.routing import respond
from shared.http.types import RegionCode
from shared.refusals import Refused
from shared.workdays import shanghai_day

TAGS = ["terms"]
CHOOSING = (errors.TERMS_BACKDATED, errors.TERMS_EMPTY, errors.TERMS_WARNINGS, errors.TERMS_GIVEN_UP)
APPROVING = (
    *AREA,
    errors.TERMS_UNKNOWN,
    errors.TERMS_DECIDED,
    errors.SAME_PERSON,
    errors.TERMS_OUTDATED,
    *CHOOSING,
)
DECIDING = (*AREA, errors.TERMS_UNKNOWN, errors.TERMS_DECIDED, errors.SAME_PERSON)


@router.endpoint("POST", "/v1/terms", status=201, view=ProposalView, refusals=(*AREA, *CHOOSING), tags=TAGS)
async def propose_terms(call: OfficerCall, body: TermsBody) -> Response:
    """Propose terms for the caller's own region (区域约定); another person of it puts them in force.

    What it does not name stays as the region chose it before. The answer shows all terms that will hold, and which
    change.
    """
    made = await use_cases.propose(call.service, call.principal, body.choice(), body.reason, call.now)
    return respond(ProposalView.of(made), 201)


@router.endpoint("POST", "/v1/terms/{terms_no}/approval", view=ProposalView, refusals=APPROVING, tags=TAGS)
async def approve_terms(call: ApprovingCall, terms_no: TermsNo) -> Response:
    """Another person of the region puts terms in force (四眼): clocks that start from their day on follow them.

    What holds is what the proposal shows: when something else has changed since, it is proposed again.
    """
    made = await use_cases.decide(call.service, call.principal, terms_no, call.now, approved=True)
    return respond(ProposalView.of(made))


@router.endpoint("POST", "/v1/terms/{terms_no}/rejection", view=ProposalView, refusals=DECIDING, tags=TAGS)
async def reject_terms(call: ApprovingCall, terms_no: TermsNo) -> Response:
    """Another person of the region turns terms down."""
    made = await use_cases.decide(call.service, call.principal, terms_no, call.now, approved=False)
    return respond(ProposalView.of(made))


@router.endpoint("GET", "/v1/terms", view=PageView[ProposalView], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_terms(call: ReaderCall, query: TermsQuery) -> Response:
    """What regions proposed, whatever became of it, in its order. Terms are public: they bind the other side."""
    async with call.service.database.read() as reader:
        rows = await store.proposals(reader, query.region, number_after(query), query.limit + 1)
    return respond(page(rows, query, lambda proposal: str(proposal.terms_no), ProposalView.of))


@router.endpoint("GET", "/v1/regions/{region}/terms", view=TermsView, refusals=(errors.REGION_UNKNOWN,), tags=TAGS)
async def get_terms(call: ReaderCall, region: RegionCode, query: InForceQuery) -> Response:
    """The terms that hold for a region on a day, its own and those it inherits."""
    on, service = query.on or shanghai_day(call.now), call.service
    if region not in service.regions:
        raise Refused(errors.REGION_UNKNOWN(region=region))
    async with service.database.read() as reader:
        choices = (await store.choices_in_force(reader, service.regions, [region], on))[region]
    return respond(TermsView.of(resolve(service.default_terms, region, choices), on, choices))
