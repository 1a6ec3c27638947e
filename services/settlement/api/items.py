"""Work items: listed, looked into, acted upon."""

from __future__ import annotations

from typing import Annotated

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, ApprovingCall, ReaderCall, number_after, router, sight
from services.settlement.rules.items import Item
from services.settlement.schemas.items import ActionBody, ItemDetail, ItemNo, ItemQuery, ItemTotalView, ItemView
from services.settlement.store import items as store
from services.settlement.store.items import Wanted
from services.settlement.use_cases import items as use_cases
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA, Role
from shared.database import Connection
from shared.http.call import Allow, Call
from shared.http.paging import CURSOR_INVALID, PageView, page
from shared.http.routing import respond
from shared.refusals import Refused

TAGS = ["work items"]

ActingCall = Annotated[Call[Settlement], Allow(Role.FACILITY, Role.OFFICER, Role.PARTNER)]


@router.endpoint("GET", "/v1/items", view=PageView[ItemView], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_items(call: ReaderCall, query: ItemQuery) -> Response:
    """Work items of the caller or its area; `mine` are those on which it must act."""
    after = number_after(query)
    seen = sight(call)
    async with call.service.database.read() as reader:
        wanted = _wanted(call, query)
        rows = await store.items(reader, seen.facility_code, seen.areas, wanted, after=after, limit=query.limit + 1)
    return respond(page(rows, query, lambda item: str(item.item_no), ItemView.of))


@router.endpoint("GET", "/v1/item-totals", view=PageView[ItemTotalView], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_item_totals(call: ReaderCall, query: ItemQuery) -> Response:
    """How many of these items there are and what is at stake, by who stated, month, class, state and who must act."""
    seen = sight(call)
    async with call.service.database.read() as reader:
        wanted = _wanted(call, query)
        rows = await store.item_totals(
            reader, seen.facility_code, seen.areas, wanted, after=query.after, limit=query.limit + 1
        )
    return respond(page(rows, query, lambda total: total.ref, ItemTotalView.of))


def _wanted(call: Call[Settlement], query: ItemQuery) -> Wanted:
    acting_party = call.principal.party if query.mine else None
    of_party = query.facility_code or query.party
    return Wanted(query.period, of_party, query.state, acting_party, query.difference_class)


@router.endpoint("GET", "/v1/items/{item_no}", view=ItemDetail, refusals=(*AREA, errors.ITEM_UNKNOWN), tags=TAGS)
async def get_item(call: ReaderCall, item_no: ItemNo) -> Response:
    """One work item: both rows, what could be meant, how the bill came into the books, what was done."""
    async with call.service.database.read() as reader:
        found = await use_cases.dossier(reader, await _visible(reader, call, item_no))
    return respond(ItemDetail.of_all(found))


async def _visible(reader: Connection, call: Call[Settlement], item_no: int) -> Item:
    """An item the caller may see. Raises Refused."""
    item = await store.item(reader, item_no)
    if item is None:
        raise Refused(errors.ITEM_UNKNOWN())
    if not sight(call).sees(item.party, (item.care_region, item.party)):
        raise Refused(NOT_YOUR_AREA(party=item.party))
    return item


@router.endpoint(
    "POST",
    "/v1/items/{item_no}/actions",
    status=201,
    view=ItemDetail,
    refusals=(*AREA, errors.ITEM_UNKNOWN, errors.ITEM_CLOSED, errors.ACTION_NOT_YOURS, errors.ITEM_BOOKED),
    tags=TAGS,
)
async def act_on_item(call: ActingCall, item_no: ItemNo, body: ActionBody) -> Response:
    """Who stated, or the care agency, acts; drop and next_period close the item in the next match."""
    found = await use_cases.act(call.service, call.principal, item_no, body.action, body.reason, call.now)
    return respond(ItemDetail.of_all(found), 201)


@router.endpoint(
    "POST",
    "/v1/items/{item_no}/approval",
    view=ItemDetail,
    refusals=(
        *AREA,
        errors.ITEM_UNKNOWN,
        errors.ITEM_CLOSED,
        errors.NOTHING_TO_APPROVE,
        errors.ITEM_CHANGED,
        errors.SAME_PERSON,
    ),
    tags=TAGS,
)
async def approve_item_action(call: ApprovingCall, item_no: ItemNo) -> Response:
    """Another person of the care agency approves what was decided last (四眼): needed above an amount."""
    return respond(ItemDetail.of_all(await use_cases.approve(call.service, call.principal, item_no, call.now)))
