"""The books: bills, balances, entries, the month's summary, the proof."""

from __future__ import annotations

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, ProvingCall, ReaderCall, router, sight
from services.settlement.schemas.accounts import BalanceQuery
from services.settlement.schemas.books import (
    BillDetail,
    BookView,
    EntryQuery,
    EntryView,
    PartySummaryView,
    ProofView,
    SummaryView,
)
from services.settlement.store import accounts as account_store
from services.settlement.store import bills as bill_store
from services.settlement.store import books as store
from services.settlement.store import cases as case_store
from services.settlement.store import drilling
from services.settlement.store import payments as payment_store
from services.settlement.store.books import EntryRow
from services.settlement.use_cases.archive_bounds import (
    refuse_archived_bill,
    refuse_archived_entries,
    refuse_archived_moment,
    refuse_archived_period,
)
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.proof import prove
from shared.auth import NOT_YOUR_AREA
from shared.database import Connection
from shared.http.call import Call
from shared.http.paging import CURSOR_INVALID, PageView, page
from shared.http.routing import respond
from shared.http.types import Code, Id, Month
from shared.refusals import Refused

TAGS = ["books"]


@router.endpoint(
    "GET",
    "/v1/bills/{settlement_id}",
    view=BillDetail,
    refusals=(*AREA, errors.BILL_UNKNOWN, errors.BILL_ARCHIVED),
    tags=TAGS,
)
async def get_bill(call: ReaderCall, settlement_id: Id) -> Response:
    """One bill: its entries in all books the caller may see, the case it is cleared with, and what pays each hop."""
    seen = sight(call)
    async with call.service.database.read() as reader:
        bill = await store.bill(reader, settlement_id)
        if bill is None:
            await refuse_archived_bill(reader, settlement_id)
            raise Refused(errors.BILL_UNKNOWN())
        cleared_in = await drilling.cleared_in(reader, settlement_id)
        case = (await case_store.cases(reader, [cleared_in]))[cleared_in]
        if not seen.sees(case.facility_code, case.chain):
            raise Refused(NOT_YOUR_AREA(party=bill.facility_code))
        entries = await store.entries_of_transaction(reader, settlement_id)
        payments = await payment_store.payments_of(reader, cleared_in)
        paid = await drilling.hops_paid(reader, cleared_in)
    regions = {**{code: code for code in case.chain}, case.facility_code: case.care_region}
    shown = [entry for entry in entries if seen.sees_book(entry.book, regions.get(entry.book))]
    return respond(BillDetail.of_all(bill, shown, case, payments, paid))


@router.endpoint(
    "GET",
    "/v1/books/{party}/balances",
    view=BookView,
    refusals=(*AREA, errors.PARTY_UNKNOWN, errors.BOOKS_ARCHIVED),
    tags=TAGS,
)
async def get_balances(call: ReaderCall, party: Code, query: BalanceQuery) -> Response:
    """All balances of a party's book, now or as of any day and moment; they sum to zero."""
    async with call.service.database.read() as reader:
        await check_book(reader, call, party)
        if query.value_date_until is None and query.booked_until is None:
            rows = await store.balances(reader, party)
        else:
            rows = await account_store.balances_as_of(reader, party, query.value_date_until, query.booked_until)
            await refuse_archived_moment(
                reader, value_date_until=query.value_date_until, booked_until=query.booked_until
            )
    return respond(BookView.of(party, rows))


@router.endpoint(
    "GET",
    "/v1/books/{party}/entries",
    view=PageView[EntryView],
    refusals=(*AREA, errors.PARTY_UNKNOWN, errors.BOOKS_ARCHIVED, CURSOR_INVALID),
    tags=TAGS,
)
async def list_entries(call: ReaderCall, party: Code, query: EntryQuery) -> Response:
    """The lines of a party's book, by transaction: from a balance down to the bills and payments that make it."""
    async with call.service.database.read() as reader:
        await check_book(reader, call, party)
        rows = await store.entries_of_book(
            reader,
            party,
            _after(query),
            account_kind=query.account_kind,
            counterparty=query.counterparty,
            period=query.period,
            case_id=query.case_id,
            limit=query.limit + 1,
        )
        await refuse_archived_entries(reader, query.period, query.case_id)
    return respond(page(rows, query, _cursor, EntryView.of))


def _cursor(row: EntryRow) -> str:
    return f"{row.transaction_id} {row.line_no}"


def _after(query: EntryQuery) -> tuple[str, int]:
    """Where the page begins: transaction and line. Raises Refused."""
    if not query.after:
        return "", 0
    transaction_id, _, line = query.after.partition(" ")
    if not (line.isascii() and line.isdecimal() and len(line) < 10):
        raise Refused(CURSOR_INVALID(pointer="/query/cursor"))
    return transaction_id, int(line)


async def check_book(reader: Connection, call: Call[Settlement], party: str) -> None:
    """Raises Refused when there is no such party, or its book is not the caller's to see."""
    region = party if party in call.service.regions else await bill_store.facility_region(reader, party)
    if region is None:
        raise Refused(errors.PARTY_UNKNOWN(party=party))
    if not sight(call).sees_book(party, region):
        raise Refused(NOT_YOUR_AREA(party=party))


@router.endpoint("GET", "/v1/periods/{period}/summary", view=SummaryView, refusals=(errors.BOOKS_ARCHIVED,), tags=TAGS)
async def get_summary(call: ReaderCall, period: Month) -> Response:
    """What the cases of a month that the caller may see made each party owe, and what was paid and received since."""
    seen = sight(call)
    async with call.service.database.read() as reader:
        rows = await store.summary(reader, period, seen.facility_code, seen.areas)
        await refuse_archived_period(reader, period)
    return respond(SummaryView(period=period, parties=[PartySummaryView.of(row) for row in rows]))


@router.endpoint("GET", "/v1/proof", view=ProofView, tags=TAGS)
async def get_proof(call: ProvingCall) -> Response:
    """Add the books up: every book and the whole ledger sum to zero, and bills, cases and payments agree with them."""
    return respond(ProofView.of(await prove(call.service)))
