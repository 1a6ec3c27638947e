"""Down from a balance: the bills of another month in a case, and the movements of bank accounts."""

from __future__ import annotations

from typing import Annotated

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, ReaderCall, router, sight
from services.settlement.api.cases import visible_case
from services.settlement.schemas.drilling import BankEntryView, CarriedBillView
from services.settlement.store import drilling as store
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA, Role
from shared.http.call import Allow, Call
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import respond
from shared.http.types import Id
from shared.refusals import Refused

LookingCall = Annotated[Call[Settlement], Allow(Role.OFFICER, Role.REVIEWER, Role.FINANCE)]


@router.endpoint(
    "GET",
    "/v1/cases/{case_id}/carried-bills",
    view=PageView[CarriedBillView],
    refusals=(*AREA, errors.CASE_UNKNOWN, CURSOR_INVALID),
    tags=["cases"],
)
async def list_carried_bills(call: ReaderCall, case_id: Id, query: PageQuery) -> Response:
    """Bills that are cleared with another month than they were booked in: those that came to a case, and left it."""
    async with call.service.database.read() as reader:
        await visible_case(reader, call, case_id)
        rows = await store.carried_bills(reader, case_id, _after(query.after), query.limit + 1)
    return respond(page(rows, query, lambda row: f"{row.settlement_id} {row.objection_no}", CarriedBillView.of))


def _after(cursor: str) -> tuple[str, int]:
    """Where the page begins: bill and objection. Raises Refused."""
    if not cursor:
        return "", 0
    settlement_id, _, number = cursor.partition(" ")
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        raise Refused(CURSOR_INVALID(pointer="/query/cursor"))
    return settlement_id, int(number)


@router.endpoint(
    "GET",
    "/v1/bank-entries/{entry_id}",
    view=BankEntryView,
    refusals=(*AREA, errors.ENTRY_UNKNOWN),
    tags=["bank"],
)
async def get_bank_entry(call: LookingCall, entry_id: Id) -> Response:
    """One movement of a bank account: its order, or the item that tells of it and what it was identified as."""
    async with call.service.database.read() as reader:
        found = await store.bank_entry(reader, entry_id)
    if found is None:
        raise Refused(errors.ENTRY_UNKNOWN())
    if found.keeper not in sight(call).areas:
        raise Refused(NOT_YOUR_AREA(party=found.party))
    return respond(BankEntryView.of(found))
