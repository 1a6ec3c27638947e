"""Prepayments between agencies: levels, movements, use."""

from __future__ import annotations

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, ReaderCall, once_only, router, sight
from services.settlement.api.clearing import ClearingCall
from services.settlement.schemas.clearing import LevelBody, MovementView, PrepaymentView, TopUpBody
from services.settlement.store import prepayments as store
from services.settlement.store.prepayments import Prepayment
from services.settlement.use_cases import prepayments as use_cases
from services.settlement.use_cases.parts import Settlement
from shared.auth import NOT_YOUR_AREA
from shared.database import Connection
from shared.http.call import Call
from shared.http.idempotency import Answer
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import answer_of, respond
from shared.http.types import Id, RegionCode
from shared.refusals import Refused
from shared.workdays import month_of, shanghai_day

TAGS = ["prepayments"]


@router.endpoint("GET", "/v1/prepayments", view=PageView[PrepaymentView], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_prepayments(call: ReaderCall, query: PageQuery) -> Response:
    """Prepayments that agencies of the caller's area lend or hold."""
    month = month_of(shanghai_day(call.now))
    async with call.service.database.read() as reader:
        rows = await store.prepayments_seen(reader, sight(call).areas, query.after, query.limit + 1)
        views = {(row.lender, row.holder): await _view(reader, row, month) for row in rows}
    return respond(page(rows, query, lambda p: f"{p.lender}:{p.holder}", lambda p: views[p.lender, p.holder]))


async def _view(tx: Connection, found: Prepayment, month: str) -> PrepaymentView:
    return PrepaymentView.of(found, month, await store.cleared(tx, found.lender, found.holder, month))


@router.endpoint(
    "GET",
    "/v1/prepayments/{lender}/{holder}",
    view=PrepaymentView,
    refusals=(*AREA, errors.PREPAYMENT_UNKNOWN),
    tags=TAGS,
)
async def get_prepayment(call: ReaderCall, lender: RegionCode, holder: RegionCode) -> Response:
    """One prepayment: what is held, and how far the month has used it up."""
    async with call.service.database.read() as reader:
        found = await _visible(reader, call, lender, holder)
        view = await _view(reader, found, month_of(shanghai_day(call.now)))
    return respond(view)


async def _visible(reader: Connection, call: Call[Settlement], lender: str, holder: str) -> Prepayment:
    """A prepayment the caller may see. Raises Refused."""
    if {lender, holder}.isdisjoint(sight(call).areas):
        raise Refused(NOT_YOUR_AREA(party=lender))
    found = (await store.prepayments(reader, [(lender, holder)])).get((lender, holder))
    if found is None:
        raise Refused(errors.PREPAYMENT_UNKNOWN())
    return found


@router.endpoint(
    "GET",
    "/v1/prepayments/{lender}/{holder}/movements",
    view=PageView[MovementView],
    refusals=(*AREA, errors.PREPAYMENT_UNKNOWN, CURSOR_INVALID),
    tags=TAGS,
)
async def list_movements(call: ReaderCall, lender: RegionCode, holder: RegionCode, query: PageQuery) -> Response:
    """What moved a prepayment, and what is to, by id."""
    async with call.service.database.read() as reader:
        await _visible(reader, call, lender, holder)
        rows = await store.movements_of(reader, lender, holder, query.after, query.limit + 1)
    return respond(page(rows, query, lambda m: m.movement_id, MovementView.of))


@router.endpoint(
    "POST",
    "/v1/prepayment-levels",
    view=PrepaymentView,
    refusals=(errors.PREPAYMENT_SELF, errors.PREPAYMENT_YEAR, errors.PREPAYMENT_PENDING),
    tags=TAGS,
)
async def set_prepayment_level(call: ClearingCall, body: LevelBody) -> Response:
    """The caller, who holds it, sets the level of a year by the months of the year before (年度核定)."""

    async def work(tx: Connection) -> Answer:
        found = await use_cases.set_level(call.service, tx, call.principal, body.lender, body.year, call.now)
        return answer_of(await _view(tx, found, month_of(shanghai_day(call.now))))

    return await once_only(call, work, body.model_dump_json())


@router.endpoint(
    "POST",
    "/v1/prepayment-top-ups",
    status=201,
    view=MovementView,
    refusals=(errors.PREPAYMENT_SELF, errors.PREPAYMENT_PENDING),
    tags=TAGS,
)
async def top_up_prepayment(call: ClearingCall, body: TopUpBody) -> Response:
    """The caller, who lends it, adds to a prepayment (追加): to be paid by an order for the movement."""

    async def work(tx: Connection) -> Answer:
        made = await use_cases.top_up(call.service, tx, call.principal, body.holder, body.amount_fen, call.now)
        return answer_of(MovementView.of(made), 201)

    return await once_only(call, work, body.model_dump_json())


ENDING = (
    errors.MOVEMENT_UNKNOWN,
    errors.TOP_UP_NOT_YOURS,
    errors.TOP_UP_BY_LEVEL,
    errors.POSITION_NOT_OPEN,
)


@router.endpoint(
    "POST", "/v1/prepayment-movements/{movement_id}/withdrawal", view=MovementView, refusals=ENDING, tags=TAGS
)
async def withdraw_top_up(call: ClearingCall, movement_id: Id) -> Response:
    """The lender takes back a top-up it asked for (撤回), as long as no order of it is under way."""
    return await _end(call, movement_id, withdrawn=True)


@router.endpoint(
    "POST", "/v1/prepayment-movements/{movement_id}/refusal", view=MovementView, refusals=ENDING, tags=TAGS
)
async def decline_top_up(call: ClearingCall, movement_id: Id) -> Response:
    """The holder declines a top-up that the lender asked for (退回), as long as no order of it is under way."""
    return await _end(call, movement_id, withdrawn=False)


async def _end(call: Call[Settlement], movement_id: str, *, withdrawn: bool) -> Response:
    async def work(tx: Connection) -> Answer:
        ended = await use_cases.end_top_up(tx, call.principal, movement_id, call.now, withdrawn=withdrawn)
        return answer_of(MovementView.of(ended))

    return await once_only(call, work)
