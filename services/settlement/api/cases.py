"""Cases: lists, details, bills, confirmations, and what is due."""

from __future__ import annotations

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, ConfirmingCall, ReaderCall, router, sight
from services.settlement.rules.cases import Case
from services.settlement.schemas.books import BillView
from services.settlement.schemas.cases import (
    CaseDetail,
    CaseQuery,
    CaseView,
    ConfirmationBody,
    ConfirmationsBody,
    ConfirmationsView,
    ConfirmationView,
    DueOfCaseView,
    DueView,
)
from services.settlement.store import books, drilling, dues, payments
from services.settlement.store import cases as store
from services.settlement.use_cases.archive_bounds import refuse_archived_case
from services.settlement.use_cases.confirmations import confirm_cases
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA
from shared.database import Connection
from shared.http.call import Call
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import respond
from shared.http.types import Id
from shared.refusals import Refused
from shared.workdays import shanghai_day

CONFIRMING = (errors.CASE_UNKNOWN, errors.NOT_IN_CHAIN, errors.CASE_NOT_MATCHED, errors.NUMBERS_CHANGED)


@router.endpoint("GET", "/v1/cases", view=PageView[CaseView], refusals=(CURSOR_INVALID,), tags=["cases"])
async def list_cases(call: ReaderCall, query: CaseQuery) -> Response:
    """Cases of the caller, of its area, or with the caller in their chain, by id."""
    seen = sight(call)
    async with call.service.database.read() as reader:
        rows = await store.cases_now(
            reader,
            seen.facility_code,
            seen.areas,
            period=query.period,
            of_facility=query.facility_code,
            home_region=query.home_region,
            state=query.state,
            after=query.after,
            limit=query.limit + 1,
        )
    return respond(page(rows, query, lambda c: c.case_id, CaseView.of))


@router.endpoint("GET", "/v1/cases/{case_id}", view=CaseDetail, refusals=(*AREA, errors.CASE_UNKNOWN), tags=["cases"])
async def get_case(call: ReaderCall, case_id: Id) -> Response:
    """One case: its chain with each party's confirmation, the hops of its money, what is due, its history."""
    today = shanghai_day(call.now)
    async with call.service.database.read() as reader:
        case = await visible_case(reader, call, case_id)
        hop = case.next_hop
        detail = CaseDetail.of_all(
            case,
            None if hop is None else await payments.hop_order(reader, case_id, hop.hop_no),
            await store.confirmations(reader, case_id),
            await payments.payments_of(reader, case_id),
            [DueView.of(d, call.service.calendar, today) for d in await dues.dues_of_case(reader, case_id)],
            await store.steps_of(reader, case_id),
            await dues.suspensions(reader, case_id),
            await store.carried_confirmations(reader, case_id),
            await drilling.hops_paid(reader, case_id),
            await drilling.carried_counts(reader, case_id),
        )
    return respond(detail)


@router.endpoint(
    "GET",
    "/v1/cases/{case_id}/bills",
    view=PageView[BillView],
    refusals=(*AREA, errors.CASE_UNKNOWN, errors.BOOKS_ARCHIVED, CURSOR_INVALID),
    tags=["cases"],
)
async def list_bills_of_case(call: ReaderCall, case_id: Id, query: PageQuery) -> Response:
    """The bills of a case, by id: what its hash is made of, and what a party looks at before it confirms."""
    async with call.service.database.read() as reader:
        await visible_case(reader, call, case_id)
        rows = await books.bills_of_case(reader, case_id, query.after, query.limit + 1)
        await refuse_archived_case(reader, case_id)
    return respond(page(rows, query, lambda b: b.settlement_id, BillView.of))


@router.endpoint(
    "POST", "/v1/cases/{case_id}/confirmations", view=ConfirmationView, refusals=CONFIRMING, tags=["cases"]
)
async def confirm_case(call: ConfirmingCall, case_id: Id, body: ConfirmationBody) -> Response:
    """Confirm a case for the caller's party by the hash of the numbers it saw; again is the same (对账确认)."""
    outcomes = await confirm_cases(call.service, call.principal, {case_id: body.numbers_hash}, call.now)
    outcome = outcomes[case_id]
    if isinstance(outcome, list):
        raise Refused(*outcome)
    return respond(ConfirmationView.of(case_id, outcome, call.language))


@router.endpoint("POST", "/v1/confirmations", view=ConfirmationsView, tags=["cases"])
async def confirm_many_cases(call: ConfirmingCall, body: ConfirmationsBody) -> Response:
    """Confirm many cases at once; each has its own result, and one that is refused does not stop the others."""
    hashes = {item.case_id: item.numbers_hash for item in body.items}
    outcomes = await confirm_cases(call.service, call.principal, hashes, call.now)
    items = [ConfirmationView.of(case_id, outcome, call.language) for case_id, outcome in outcomes.items()]
    return respond(ConfirmationsView(items=items))


@router.endpoint("GET", "/v1/due", view=PageView[DueOfCaseView], refusals=(CURSOR_INVALID,), tags=["cases"])
async def list_due(call: ReaderCall, query: PageQuery) -> Response:
    """What is due of cases for the caller's party, the nearest day first; of one in a cycle its positions are due."""
    calendar, today = call.service.calendar, shanghai_day(call.now)
    async with call.service.database.read() as reader:
        rows = await dues.dues_of_party(reader, call.principal.party, query.after, query.limit + 1)
    return respond(
        page(rows, query, lambda d: f"{d.due_on}{d.case_id}{d.kind}", lambda d: DueOfCaseView.of(d, calendar, today))
    )


async def visible_case(reader: Connection, call: Call[Settlement], case_id: str) -> Case:
    """A case the caller may see. Raises Refused."""
    found = await store.case_now(reader, case_id)
    if found is None:
        raise Refused(errors.CASE_UNKNOWN())
    if not sight(call).sees(found.facility_code, found.chain):
        raise Refused(NOT_YOUR_AREA(party=found.facility_code))
    return found
