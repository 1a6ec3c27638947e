"""Statements: submit, lines, match, differences, the decision that the books stand."""

from __future__ import annotations

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import (
    AREA,
    ApprovingCall,
    FacilityCall,
    MatchingCall,
    OfficerCall,
    ReaderCall,
    SubmittingCall,
    once_only,
    router,
    sight,
)
from services.settlement.rules.statements import Statement
from services.settlement.schemas.statements import (
    DifferenceView,
    LinesBody,
    LinesView,
    ResolutionBody,
    StatementBody,
    StatementHead,
    StatementQuery,
    StatementView,
)
from services.settlement.store import statements as store
from services.settlement.use_cases import statements as use_cases
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.statements import Submission
from shared.auth import NOT_YOUR_AREA
from shared.database import Connection
from shared.http.call import Call
from shared.http.idempotency import Answer
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import answer_of, respond
from shared.http.types import Id
from shared.refusals import Refused

TAGS = ["statements"]


@router.endpoint(
    "POST",
    "/v1/statements",
    status=201,
    view=StatementView,
    refusals=(
        errors.FACILITY_UNKNOWN,
        errors.MONTH_NOT_BEGUN,
        errors.MONTH_NOT_OVER,
        errors.MONTH_CONFIRMED,
        errors.DAY_ELSEWHERE,
        errors.DAY_NOT_OVER,
        errors.MONTH_STATED,
        errors.TOTAL_REPEATED,
        errors.REGION_UNKNOWN,
        errors.BOOKS_ARCHIVED,
    ),
    tags=TAGS,
    interface="3201",
)
async def submit_statement(call: SubmittingCall, body: StatementBody) -> Response:
    """State a month (汇总表) or one day of it, or a new version: compared with the books by totals at once (对总账)."""
    submission = Submission(body.period, body.day, [total.group() for total in body.totals])

    async def work(tx: Connection) -> Answer:
        report = await use_cases.submit(call.service, tx, call.principal, submission, call.now)
        return answer_of(StatementView.of(report), 201)

    return await once_only(call, work, body.model_dump_json())


@router.endpoint(
    "POST",
    "/v1/statements/{statement_id}/lines",
    view=LinesView,
    refusals=(
        *AREA,
        errors.STATEMENT_UNKNOWN,
        errors.STATEMENT_REPLACED,
        errors.STATEMENT_MATCHED,
        errors.LINE_DIFFERS,
        errors.LINES_EXIST,
    ),
    tags=TAGS,
    interface="3202",
)
async def add_statement_lines(call: FacilityCall, statement_id: Id, body: LinesBody) -> Response:
    """Send the lines of a statement whose totals differ, in batches of any order; a line sent twice counts once."""
    lines = [line.line() for line in body.lines]
    return respond(LinesView(lines=await use_cases.add_lines(call.service, call.principal, statement_id, lines)))


@router.endpoint(
    "POST",
    "/v1/statements/{statement_id}/match",
    view=StatementView,
    refusals=(
        *AREA,
        errors.STATEMENT_UNKNOWN,
        errors.STATEMENT_REPLACED,
        errors.MATCH_RUNNING,
        errors.LINES_MISSING,
        errors.LINES_DO_NOT_ADD_UP,
        errors.BOOKS_ARCHIVED,
    ),
    tags=TAGS,
    interface="3202",
)
async def match_statement(call: MatchingCall, statement_id: Id) -> Response:
    """Match a statement with the books bill by bill (对明细账); each bill ends in exactly one class."""
    report = await use_cases.match(call.service, call.principal, statement_id, call.now)
    return respond(StatementView.of(report))


@router.endpoint(
    "POST",
    "/v1/statements/{statement_id}/resolution",
    status=201,
    view=StatementView,
    refusals=(
        *AREA,
        errors.STATEMENT_UNKNOWN,
        errors.STATEMENT_REPLACED,
        errors.NOTHING_TO_RESOLVE,
        errors.RESOLUTION_EXISTS,
        errors.NUMBERS_CHANGED,
    ),
    tags=TAGS,
)
async def propose_resolution(call: OfficerCall, statement_id: Id, body: ResolutionBody) -> Response:
    """The care agency's officer proposes that the books stand in spite of the differences (以账面为准)."""
    what = (body.reason, call.now, body.match_no)
    report = await use_cases.propose_resolution(call.service, call.principal, statement_id, *what)
    return respond(StatementView.of(report), 201)


@router.endpoint(
    "POST",
    "/v1/statements/{statement_id}/resolution/approval",
    view=StatementView,
    refusals=(
        *AREA,
        errors.STATEMENT_UNKNOWN,
        errors.STATEMENT_REPLACED,
        errors.NOTHING_TO_RESOLVE,
        errors.RESOLUTION_MISSING,
        errors.SAME_PERSON,
    ),
    tags=TAGS,
)
async def approve_resolution(call: ApprovingCall, statement_id: Id) -> Response:
    """Another person of the care agency approves it: the numbers of the books stand and can be confirmed."""
    report = await use_cases.approve_resolution(call.service, call.principal, statement_id, call.now)
    return respond(StatementView.of(report))


@router.endpoint(
    "GET",
    "/v1/statements/{statement_id}",
    view=StatementView,
    refusals=(*AREA, errors.STATEMENT_UNKNOWN),
    tags=TAGS,
)
async def get_statement(call: ReaderCall, statement_id: Id) -> Response:
    """One version of a statement with the outcome of its comparison."""
    async with call.service.database.read() as reader:
        report = await use_cases.report(reader, await visible(reader, call, statement_id))
    return respond(StatementView.of(report))


@router.endpoint("GET", "/v1/statements", view=PageView[StatementHead], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_statements(call: ReaderCall, query: StatementQuery) -> Response:
    """Statements of the caller or its area, every version, by id."""
    seen = sight(call)
    async with call.service.database.read() as reader:
        rows = await store.statements(
            reader,
            seen.facility_code,
            seen.areas,
            period=query.period,
            of_party=query.facility_code or query.party,
            day=query.day,
            after=query.after,
            limit=query.limit + 1,
        )
    return respond(page(rows, query, lambda s: s.statement_id, StatementHead.of))


@router.endpoint(
    "GET",
    "/v1/statements/{statement_id}/differences",
    view=PageView[DifferenceView],
    refusals=(*AREA, errors.STATEMENT_UNKNOWN, CURSOR_INVALID),
    tags=TAGS,
    interface="3202",
)
async def list_differences(call: ReaderCall, statement_id: Id, query: PageQuery) -> Response:
    """The differences the last match found."""
    after = query.after or "0"
    if not (after.isascii() and after.isdecimal() and len(after) < 10):
        raise Refused(CURSOR_INVALID(pointer="/query/cursor"))
    async with call.service.database.read() as reader:
        statement = await visible(reader, call, statement_id)
        rows = await store.differences(reader, statement, int(after), query.limit + 1)
    return respond(page(rows, query, lambda d: str(d.position), DifferenceView.of))


async def visible(reader: Connection, call: Call[Settlement], statement_id: str) -> Statement:
    """A statement the caller may see. Raises Refused."""
    found = await store.statement(reader, statement_id)
    if found is None:
        raise Refused(errors.STATEMENT_UNKNOWN())
    agencies = (found.party, found.care_region, *((found.home_region,) if found.home_region else ()))
    if not sight(call).sees(found.party, agencies):
        raise Refused(NOT_YOUR_AREA(party=found.party))
    return found
