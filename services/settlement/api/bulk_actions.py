"""Actions for all open items of a class in a statement."""

from __future__ import annotations

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, ApprovingCall, ReaderCall, number_after, router
from services.settlement.api.items import TAGS, ActingCall
from services.settlement.api.statements import visible
from services.settlement.schemas.bulk_actions import BulkActionBody, BulkActionView, BulkNo, OpenItemsView
from services.settlement.store import bulk_actions as store
from services.settlement.use_cases import bulk_actions as use_cases
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import respond
from shared.http.types import Id


@router.endpoint(
    "GET",
    "/v1/statements/{statement_id}/open-items",
    view=OpenItemsView,
    refusals=(*AREA, errors.STATEMENT_UNKNOWN),
    tags=TAGS,
)
async def get_open_items(call: ReaderCall, statement_id: Id) -> Response:
    """How many items of each class are open, what is at stake in them, and the name of what is seen."""
    async with call.service.database.transaction() as tx:
        found = await use_cases.open_items(tx, await visible(tx, call, statement_id))
    return respond(OpenItemsView.of(found))


@router.endpoint(
    "POST",
    "/v1/statements/{statement_id}/bulk-actions",
    status=201,
    view=BulkActionView,
    refusals=(
        *AREA,
        errors.STATEMENT_UNKNOWN,
        errors.STATEMENT_REPLACED,
        errors.ITEMS_CHANGED,
        errors.ACTION_NOT_YOURS,
        errors.ITEM_BOOKED,
    ),
    tags=TAGS,
)
async def act_on_class(call: ActingCall, statement_id: Id, body: BulkActionBody) -> Response:
    """Do the same about every open item of a class, and about none but those that were seen (批量处理)."""
    what = (body.difference_class, body.action, body.reason, body.seen)
    done = await use_cases.act_on_class(call.service, call.principal, statement_id, *what, call.now)
    return respond(BulkActionView.of(done), 201)


@router.endpoint(
    "GET",
    "/v1/statements/{statement_id}/bulk-actions",
    view=PageView[BulkActionView],
    refusals=(*AREA, errors.STATEMENT_UNKNOWN, CURSOR_INVALID),
    tags=TAGS,
)
async def list_bulk_actions(call: ReaderCall, statement_id: Id, query: PageQuery) -> Response:
    """What was done about whole classes of a statement, with what waits for approval."""
    after = number_after(query)
    async with call.service.database.read() as reader:
        statement = await visible(reader, call, statement_id)
        rows = await store.bulk_actions(reader, statement.statement_id, after, query.limit + 1)
    return respond(page(rows, query, lambda bulk: str(bulk.bulk_no), BulkActionView.of))


@router.endpoint(
    "POST",
    "/v1/bulk-actions/{bulk_no}/approval",
    view=BulkActionView,
    refusals=(*AREA, errors.BULK_UNKNOWN, errors.NOTHING_TO_APPROVE, errors.SAME_PERSON),
    tags=TAGS,
)
async def approve_bulk_action(call: ApprovingCall, bulk_no: BulkNo) -> Response:
    """Another person of the care agency approves what was done about a class, for all its items (四眼)."""
    return respond(BulkActionView.of(await use_cases.approve(call.service, call.principal, bulk_no, call.now)))
