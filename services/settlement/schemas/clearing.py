"""Cycles, net positions with their proofs, and prepayments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from services.settlement.rules.ledger import MOVED_MAX_FEN
from services.settlement.rules.prepayments import use_percent
from services.settlement.schemas.cases import CASE_ID, HASH, SuspensionView
from services.settlement.store.clearing import Cycle, Position
from services.settlement.store.cycles import CycleCase, CycleSums, ProofLine
from services.settlement.store.dues import Suspension
from services.settlement.store.prepayments import Movement, Prepayment
from shared.http.paging import PageQuery
from shared.http.types import Body, Code, RegionCode, View

CYCLE_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P6S"
POSITION_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P6T"
MOVEMENT_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P6V"

PositionState = Literal["open", "ordered", "settled", "carried", "brought", "replaced"]

_CYCLE: dict[str, JsonValue] = {
    "cycle_id": CYCLE_ID,
    "clearing_region": "411600",
    "cycle_no": 11,
    "netting": "multilateral",
    "month": "2026-11",
    "cut_by": "finance-1",
    "cut_at": "2026-11-21T02:00:00Z",
    "netting_hash": HASH,
}
_SUMS: dict[str, JsonValue] = {
    "cases": 3,
    "cases_left": 0,
    "obligations_fen": 540000,
    "positions": 5,
    "positions_fen": 380000,
    "settled": 0,
    "settled_fen": 0,
}
_POSITION: dict[str, JsonValue] = {
    "position_id": POSITION_ID,
    "cycle_id": CYCLE_ID,
    "payer": "411681",
    "payee": "411600",
    "facility_code": None,
    "amount_fen": 50000,
    "brought_position_id": None,
    "brought_fen": 0,
    "withheld_fen": 0,
    "state": "open",
    "made_at": "2026-11-21T02:00:00Z",
    "due_on": "2026-12-04",
    "suspended_on": None,
    "settled_at": None,
    "settled_by": None,
    "waits_for": [],
}
_PROOF: dict[str, JsonValue] = {
    "case_id": CASE_ID,
    "hop_no": 1,
    "adds_fen": 90000,
    "kind": "remittance",
    "payer": "411681",
    "payee": "411600",
    "hop_fen": 90000,
    "state": "in_position",
    "facility_code": "H41160300001",
    "period": "2026-10",
    "care_region": "411603",
    "home_region": "411681",
    "bill_count": 2,
    "numbers_hash": HASH,
    "carried_in": 0,
    "carried_out": 0,
}
_CYCLE_CASE: dict[str, JsonValue] = {
    "cycle_id": CYCLE_ID,
    "case_id": CASE_ID,
    "facility_code": "H41160300001",
    "period": "2026-10",
    "care_region": "411603",
    "home_region": "411681",
    "chain": ["411603", "411600", "411681"],
    "state": "confirmed",
    "payable_fen": 90000,
    "confirmed_at": "2026-11-20T02:00:00Z",
    "left_at": None,
    "left_because_of": None,
    "waits_for": ["411600", "411603", "411681"],
}
_PREPAYMENT: dict[str, JsonValue] = {
    "lender": "411681",
    "holder": "411600",
    "level_fen": 20000000,
    "level_year": 2026,
    "held_fen": 18000000,
    "month": "2026-11",
    "cleared_fen": 15000000,
    "use": "yellow",
    "use_percent": 75,
}
_MOVEMENT: dict[str, JsonValue] = {
    "movement_id": MOVEMENT_ID,
    "lender": "411681",
    "holder": "411600",
    "kind": "top_up",
    "amount_fen": 2000000,
    "payer": "411681",
    "payee": "411600",
    "position_id": None,
    "state": "open",
    "made_by": "finance-1",
    "made_at": "2026-11-21T02:00:00Z",
    "due_on": "2026-11-27",
    "settled_at": None,
    "asked_by": "411681",
    "ended_by": None,
    "ended_at": None,
}


class CycleQuery(PageQuery):
    """Which cycles are wanted."""

    clearing_region: RegionCode | None = None


class PositionQuery(PageQuery):
    """Which positions are wanted."""

    state: PositionState | None = None


class UnpaidBody(Body):
    """How much of the position the payer can pay, where its terms say that it pays in part. In fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"available_fen": 80000}]})

    available_fen: Annotated[int, Field(strict=True, ge=0, le=MOVED_MAX_FEN)] | None = None


class LevelBody(Body):
    """Whose prepayment is set anew, for which year."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"lender": "411681", "year": 2026}]})

    lender: RegionCode
    year: Annotated[int, Field(ge=2000, le=2199)]


class TopUpBody(Body):
    """What the caller adds to its prepayment with an agency, in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"holder": "411600", "amount_fen": 2000000}]})

    holder: RegionCode
    amount_fen: Annotated[int, Field(strict=True, gt=0, le=MOVED_MAX_FEN)]


class CycleView(View):
    """A cycle (清算批次) as it was cut."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CYCLE]})

    cycle_id: str
    clearing_region: str
    cycle_no: int
    netting: str
    """gross (逐笔), bilateral (双边轧差), multilateral (多边轧差)."""
    month: str
    cut_by: str | None
    """None when the calendar cut it."""
    cut_at: datetime
    netting_hash: str
    """SHA-256 of the positions with their proofs: who nets the same cases again gets the same."""

    @classmethod
    def of(cls, cycle: Cycle) -> CycleView:
        """The view of a cycle."""
        return cls.model_validate(cycle, from_attributes=True)


class CycleDetail(CycleView):
    """A cycle with what it comes to now, without the cases that left it. Amounts in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_CYCLE, **_SUMS}]})

    cases: int
    cases_left: int
    """Cases that left it because somebody did not pay."""
    obligations_fen: int
    """What the hops of its cases come to."""
    positions: int
    positions_fen: int
    """What is to be paid instead."""
    settled: int
    settled_fen: int

    @classmethod
    def of_all(cls, cycle: Cycle, sums: CycleSums) -> CycleDetail:
        """The view of a cycle with its sums."""
        return cls(
            **CycleView.of(cycle).model_dump(),
            cases=sums.cases,
            cases_left=sums.cases_left,
            obligations_fen=sums.obligations_fen,
            positions=sums.positions,
            positions_fen=sums.positions_fen,
            settled=sums.settled,
            settled_fen=sums.settled_fen,
        )


class PositionView(View):
    """A net position (净额头寸): one payment of a cycle between two parties. Amounts in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [_POSITION]})

    position_id: str
    cycle_id: str
    payer: str
    payee: str
    facility_code: str | None
    """The facility, where one of the two is one."""
    amount_fen: int
    brought_position_id: str | None
    """A facility's position that an earlier cycle carried."""
    brought_fen: int
    """What that adds to the amount."""
    withheld_fen: int
    """What is set off against it (扣留), by `…/set-offs`; negative where something is given back with it."""
    state: str
    """open, ordered (an order is under way), settled, carried (to the facility's next cycle), brought (into it),
    replaced (cases left the cycle)."""
    made_at: datetime
    due_on: date | None
    """None while it waits for money on its way to the payer."""
    suspended_on: date | None
    """Since when its clock stands still."""
    settled_at: datetime | None
    settled_by: str | None
    """payment, prepayment, nothing_owed, later_position."""
    waits_for: list[str]
    """Whose money must reach the payer first."""

    @classmethod
    def of(cls, position: Position, waits_for: Sequence[str]) -> PositionView:
        """The view of a position."""
        fields = {name: getattr(position, name) for name in Position.__slots__}
        return cls(**fields, waits_for=list(waits_for))


class PositionDetail(PositionView):
    """A net position, and when its clock stood still."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_POSITION, "suspensions": []}]})

    suspensions: list[SuspensionView]

    @classmethod
    def of_all(cls, position: Position, waits_for: Sequence[str], suspensions: Sequence[Suspension]) -> PositionDetail:
        """The view of a position with the times its clock stood still."""
        shown = [SuspensionView.of(suspension) for suspension in suspensions]
        return cls(**PositionView.of(position, waits_for).model_dump(), suspensions=shown)


class ProofLineView(View):
    """What one hop of a case adds to a position; the bills are those of the case. Amounts in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PROOF]})

    case_id: str
    hop_no: int
    adds_fen: int
    """Positive is owed by the position's payer; zero passes through."""
    kind: str
    payer: str
    payee: str
    hop_fen: int
    state: str
    facility_code: str
    period: str
    care_region: str
    home_region: str
    bill_count: int
    numbers_hash: str
    """What all parties confirmed."""
    carried_in: int
    """How many of the bills were booked in an earlier month: `/v1/cases/{case_id}/carried-bills` names them."""
    carried_out: int
    """How many bills of the case are cleared with a later month."""

    @classmethod
    def of(cls, line: ProofLine) -> ProofLineView:
        """The view of a line of the proof."""
        return cls.model_validate(line, from_attributes=True)


class CycleCaseView(View):
    """A case of a cycle, and why it waits. Amount in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CYCLE_CASE]})

    cycle_id: str
    case_id: str
    facility_code: str
    period: str
    care_region: str
    home_region: str
    chain: list[str]
    state: str
    payable_fen: int
    confirmed_at: datetime
    """When the last party confirmed: whoever confirmed first is paid first."""
    left_at: datetime | None
    left_because_of: str | None
    """Who did not pay, so that it left the cycle and waits for the next."""
    waits_for: list[str]
    """Whose positions with this case are not settled."""

    @classmethod
    def of(cls, case: CycleCase) -> CycleCaseView:
        """The view of a case of a cycle."""
        return cls.model_validate(case, from_attributes=True)


class CaseClearingView(View):
    """How a case is cleared: the cycles that took it, and its live positions, those that the caller sees."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cycles": [_CYCLE_CASE], "positions": [_POSITION]}]})

    cycles: list[CycleCaseView]
    positions: list[PositionView]


class PrepaymentView(View):
    """A prepayment (预付金) as it stands, and how far the month has used it up. Amounts in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PREPAYMENT]})

    lender: Code
    holder: Code
    level_fen: int
    """What is to be held in the year."""
    level_year: int
    held_fen: int
    month: str
    cleared_fen: int
    """What the lender owed the holder in the cycles of the month."""
    use: str
    """low, yellow (黄色预警), red (红色预警)."""
    use_percent: int | None
    """None without a deposit."""

    @classmethod
    def of(cls, found: Prepayment, month: str, cleared: tuple[int, int]) -> PrepaymentView:
        """The view of a prepayment with what a month cleared, and paid out of it."""
        cleared_fen, drawn_fen = cleared
        return cls(
            lender=found.lender,
            holder=found.holder,
            level_fen=found.level_fen,
            level_year=found.level_year,
            held_fen=found.held_fen,
            month=month,
            cleared_fen=cleared_fen,
            use=found.use if found.use_month == month else "low",
            use_percent=use_percent(cleared_fen, found.held_fen + drawn_fen),
        )


class MovementView(View):
    """What moves, or is to move, a prepayment. Amount in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [_MOVEMENT]})

    movement_id: str
    lender: str
    holder: str
    kind: str
    """top_up (追加), give_back (退回), draw (抵付)."""
    amount_fen: int
    payer: str
    payee: str
    position_id: str | None
    """The position that was paid out of it."""
    state: str
    """open, ordered (an order is under way), settled; withdrawn by the lender, declined by the holder."""
    made_by: str | None
    made_at: datetime
    due_on: date | None
    settled_at: datetime | None
    asked_by: str | None
    """The lender, where it asked for this itself; null when the level of a year did."""
    ended_by: str | None
    """Who withdrew or declined it."""
    ended_at: datetime | None

    @classmethod
    def of(cls, movement: Movement) -> MovementView:
        """The view of a movement."""
        return cls.model_validate(movement, from_attributes=True)


class UnpaidView(View):
    """Which cases left the cycle because the position was not paid."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"position_id": POSITION_ID, "left": [CASE_ID], "proposed": False}]}
    )

    position_id: str
    left: list[str]
    proposed: bool
    """Whether nothing was done yet: the prepayment pays it once another person approves."""
