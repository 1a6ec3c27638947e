"""Cycles: cut, positions with their proofs, and what is done about who does not pay."""

from __future__ import annotations

from typing import Annotated

from starlette.responses import Response

from services.settlement import errors
from services.settlement.api.calls import AREA, ReaderCall, once_only, router, sight
from services.settlement.api.cases import visible_case
from services.settlement.schemas.clearing import (
    CaseClearingView,
    CycleCaseView,
    CycleDetail,
    CycleQuery,
    CycleView,
    PositionDetail,
    PositionQuery,
    PositionView,
    ProofLineView,
    UnpaidBody,
    UnpaidView,
)
from services.settlement.store import clearing as store
from services.settlement.store import cycles as reading
from services.settlement.store import position_dues
from services.settlement.store.clearing import Cycle, Position
from services.settlement.store.cycles import ProofLine
from services.settlement.use_cases import clearing as use_cases
from services.settlement.use_cases.parts import Settlement, Sight
from services.settlement.use_cases.unpaid import approve_draw, deal
from shared.auth import NOT_YOUR_AREA, Role
from shared.database import Connection
from shared.http.call import Allow, Call
from shared.http.idempotency import Answer
from shared.http.paging import CURSOR_INVALID, PageQuery, PageView, page
from shared.http.routing import answer_of, respond
from shared.http.types import Id
from shared.refusals import Refused

TAGS = ["clearing"]

ClearingCall = Annotated[Call[Settlement], Allow(Role.FINANCE, idempotent=True)]


@router.endpoint(
    "POST",
    "/v1/clearing-cycles",
    status=201,
    view=CycleDetail,
    refusals=(errors.NOT_A_CLEARING_AGENCY, errors.NOTHING_TO_CLEAR),
    tags=TAGS,
)
async def cut_cycle(call: ClearingCall) -> Response:
    """Cut a cycle of every case the caller clears, that all parties confirmed and nobody began to pay (清算批次)."""

    async def work(tx: Connection) -> Answer:
        cycle = await use_cases.cut(call.service, tx, call.principal.party, call.principal.subject, call.now)
        return answer_of(CycleDetail.of_all(cycle, await reading.cycle_sums(tx, cycle.cycle_id)), 201)

    return await once_only(call, work)


@router.endpoint("GET", "/v1/clearing-cycles", view=PageView[CycleView], refusals=(CURSOR_INVALID,), tags=TAGS)
async def list_cycles(call: ReaderCall, query: CycleQuery) -> Response:
    """Cycles of the caller's area, and those it has a position in, by id."""
    seen = sight(call)
    async with call.service.database.read() as reader:
        rows = await reading.cycles(
            reader,
            seen.facility_code,
            seen.areas,
            region=query.clearing_region,
            after=query.after,
            limit=query.limit + 1,
        )
    return respond(page(rows, query, lambda c: c.cycle_id, CycleView.of))


@router.endpoint(
    "GET",
    "/v1/clearing-cycles/{cycle_id}",
    view=CycleDetail,
    refusals=(*AREA, errors.CYCLE_UNKNOWN),
    tags=TAGS,
)
async def get_cycle(call: ReaderCall, cycle_id: Id) -> Response:
    """One cycle with what it comes to and how much of it is settled."""
    async with call.service.database.read() as reader:
        cycle, _ = await _visible(reader, call, cycle_id)
        detail = CycleDetail.of_all(cycle, await reading.cycle_sums(reader, cycle_id))
    return respond(detail)


async def _visible(reader: Connection, call: Call[Settlement], cycle_id: str) -> tuple[Cycle, Sight]:
    """A cycle the caller may see, and what it sees of it. Raises Refused."""
    seen = sight(call)
    cycle = await store.cycle(reader, cycle_id)
    if cycle is None:
        raise Refused(errors.CYCLE_UNKNOWN())
    if not await reading.cycle_seen(reader, cycle_id, seen.facility_code, seen.areas):
        raise Refused(NOT_YOUR_AREA(party=cycle.clearing_region))
    return cycle, seen


@router.endpoint(
    "GET",
    "/v1/clearing-cycles/{cycle_id}/positions",
    view=PageView[PositionView],
    refusals=(*AREA, errors.CYCLE_UNKNOWN, CURSOR_INVALID),
    tags=TAGS,
)
async def list_positions(call: ReaderCall, cycle_id: Id, query: PositionQuery) -> Response:
    """The positions of a cycle the caller sees, by id: all in its own area, else those it is a party to."""
    async with call.service.database.read() as reader:
        cycle, seen = await _visible(reader, call, cycle_id)
        rows = await reading.positions_of_cycle(
            reader, cycle_id, _parties(seen, cycle), state=query.state, after=query.after, limit=query.limit + 1
        )
        waits = await store.waiting(reader, cycle_id, [row.position_id for row in rows])
    return respond(
        page(rows, query, lambda p: p.position_id, lambda p: PositionView.of(p, waits.get(p.position_id, [])))
    )


def _parties(seen: Sight, cycle: Cycle) -> list[str] | None:
    """Whose positions of a cycle a caller sees; None for all."""
    if cycle.clearing_region in seen.areas:
        return None
    return [*seen.areas, *([seen.facility_code] if seen.facility_code else [])]


@router.endpoint(
    "GET",
    "/v1/clearing-cycles/{cycle_id}/cases",
    view=PageView[CycleCaseView],
    refusals=(*AREA, errors.CYCLE_UNKNOWN, CURSOR_INVALID),
    tags=TAGS,
)
async def list_cases_of_cycle(call: ReaderCall, cycle_id: Id, query: PageQuery) -> Response:
    """The cases of a cycle the caller sees, by id, and whom each waits for; those that left it too, with the reason."""
    async with call.service.database.read() as reader:
        _, seen = await _visible(reader, call, cycle_id)
        areas = None if seen.facility_code else seen.areas
        rows = await reading.cases_of_cycle(reader, cycle_id, seen.facility_code, areas, query.after, query.limit + 1)
    return respond(page(rows, query, lambda c: c.case_id, CycleCaseView.of))


@router.endpoint(
    "GET",
    "/v1/clearing-positions/{position_id}",
    view=PositionDetail,
    refusals=(*AREA, errors.POSITION_UNKNOWN),
    tags=TAGS,
)
async def get_position(call: ReaderCall, position_id: Id) -> Response:
    """One position, whose money it waits for, and when its clock stood still."""
    return await position_detail(call, position_id)


async def position_detail(call: Call[Settlement], position_id: str) -> Response:
    """A position the caller may see. Raises Refused."""
    async with call.service.database.read() as reader:
        position = await visible_position(reader, call, position_id)
        waits = await store.waiting(reader, position.cycle_id, [position_id])
        stood = await position_dues.suspensions(reader, position_id)
    return respond(PositionDetail.of_all(position, waits.get(position_id, []), stood))


async def visible_position(reader: Connection, call: Call[Settlement], position_id: str) -> Position:
    """A position the caller may see. Raises Refused."""
    found = (await store.positions(reader, [position_id])).get(position_id)
    if found is None:
        raise Refused(errors.POSITION_UNKNOWN())
    if not await _is_visible(reader, call, found):
        raise Refused(NOT_YOUR_AREA(party=found.payer))
    return found


@router.endpoint(
    "GET",
    "/v1/clearing-positions/{position_id}/proof",
    view=PageView[ProofLineView],
    refusals=(*AREA, errors.POSITION_UNKNOWN, CURSOR_INVALID),
    tags=TAGS,
)
async def get_proof_of_position(call: ReaderCall, position_id: Id, query: PageQuery) -> Response:
    """What makes up a position: each hop of each case. The bills of a case are in `/v1/cases/{case_id}/bills`."""
    async with call.service.database.read() as reader:
        await visible_position(reader, call, position_id)
        rows = await reading.proof(reader, position_id, _after(query.after), query.limit + 1)
    return respond(page(rows, query, _cursor, ProofLineView.of))


@router.endpoint(
    "POST",
    "/v1/clearing-positions/{position_id}/collection",
    view=PositionView,
    refusals=(*AREA, errors.POSITION_UNKNOWN, errors.POSITION_NOT_OPEN),
    tags=TAGS,
)
async def collect_position(call: ClearingCall, position_id: Id) -> Response:
    """Collect what a facility owes and a cycle carried (收回), such as when no bills of it will come any more."""

    async def work(tx: Connection) -> Answer:
        found = await use_cases.collect(call.service, tx, call.principal, position_id, call.now)
        waits = await store.waiting(tx, found.cycle_id, [position_id])
        return answer_of(PositionView.of(found, waits.get(position_id, [])))

    return await once_only(call, work)


@router.endpoint(
    "GET",
    "/v1/cases/{case_id}/clearing",
    view=CaseClearingView,
    refusals=(*AREA, errors.CASE_UNKNOWN),
    tags=TAGS,
)
async def get_clearing_of_case(call: ReaderCall, case_id: Id) -> Response:
    """How a case is cleared: up from its bills to the positions that pay them, and whom it waits for."""
    async with call.service.database.read() as reader:
        await visible_case(reader, call, case_id)
        cycles = await reading.cycles_of_case(reader, case_id)
        shown = []
        for position in await reading.positions_of_case(reader, case_id):
            if await _is_visible(reader, call, position):
                waits = await store.waiting(reader, position.cycle_id, [position.position_id])
                shown.append(PositionView.of(position, waits.get(position.position_id, [])))
    return respond(CaseClearingView(cycles=[CycleCaseView.of(cycle) for cycle in cycles], positions=shown))


async def _is_visible(reader: Connection, call: Call[Settlement], position: Position) -> bool:
    cycle = await store.cycle(reader, position.cycle_id)
    parties = [] if cycle is None else _parties(sight(call), cycle)
    return parties is None or not {position.payer, position.payee}.isdisjoint(parties)


def _cursor(line: ProofLine) -> str:
    return f"{line.case_id} {line.hop_no}"


def _after(cursor: str) -> tuple[str, int]:
    """Where the page begins: case and hop. Raises Refused."""
    if not cursor:
        return "", 0
    case_id, _, hop = cursor.partition(" ")
    if not (hop.isascii() and hop.isdecimal() and len(hop) < 4):
        raise Refused(CURSOR_INVALID(pointer="/query/cursor"))
    return case_id, int(hop)


@router.endpoint(
    "POST",
    "/v1/clearing-positions/{position_id}/unpaid",
    view=UnpaidView,
    refusals=(
        *AREA,
        errors.POSITION_UNKNOWN,
        errors.POSITION_OF_FACILITY,
        errors.POSITION_NOT_OPEN,
        errors.POSITION_NOT_OVERDUE,
        errors.AVAILABLE_MISSING,
        errors.AVAILABLE_IN_FULL,
        errors.CASES_RELIED_ON,
    ),
    tags=TAGS,
)
async def apply_unpaid_rule(call: ClearingCall, position_id: Id, body: UnpaidBody) -> Response:
    """An overdue position is dealt with by its payer's terms: postponing, paying in part (未上解处理).

    Paying it out of the prepayment is only proposed by this: another person approves it.
    """

    async def work(tx: Connection) -> Answer:
        left = await deal(call.service, tx, call.principal, position_id, body.available_fen, call.now)
        return answer_of(UnpaidView(position_id=position_id, left=left or [], proposed=left is None))

    return await once_only(call, work, body.model_dump_json())


@router.endpoint(
    "POST",
    "/v1/clearing-positions/{position_id}/unpaid/approval",
    view=UnpaidView,
    refusals=(
        *AREA,
        errors.POSITION_UNKNOWN,
        errors.POSITION_OF_FACILITY,
        errors.POSITION_NOT_OPEN,
        errors.POSITION_NOT_OVERDUE,
        errors.DRAW_MISSING,
        errors.SAME_PERSON,
        errors.CASES_RELIED_ON,
    ),
    tags=TAGS,
)
async def approve_prepayment_draw(call: ClearingCall, position_id: Id) -> Response:
    """Another person of the clearing agency agrees that the payer's prepayment pays the position (预付金抵付)."""

    async def work(tx: Connection) -> Answer:
        left = await approve_draw(call.service, tx, call.principal, position_id, call.now)
        return answer_of(UnpaidView(position_id=position_id, left=left, proposed=False))

    return await once_only(call, work)
