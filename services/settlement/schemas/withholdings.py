"""What an agency keeps back of what it pays a facility, and what is set off against its positions."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from services.settlement.rules.ledger import MOVED_MAX_FEN
from services.settlement.store.withholdings import SetOffRow, WithholdingRow
from services.settlement.use_cases.withholdings import Said
from shared.http.paging import PageQuery
from shared.http.types import Body, Code, Id, Text, View

WITHHOLDING_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P9A"
SET_OFF_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P9B"
POSITION_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P6T"
FACILITY = "H41160300001"

Kind = Literal["deduction", "deduction_return", "retention_release"]
_DEDUCTION: dict[str, JsonValue] = {
    "withholding_id": WITHHOLDING_ID,
    "agency": "411603",
    "facility_code": FACILITY,
    "kind": "deduction",
    "amount_fen": 120000,
    "kept_fen": 0,
    "year": None,
    "level_index": None,
    "returns_withholding_id": None,
    "reason": "2026年9月超标准收费，审核确认扣款",
    "state": "proposed",
    "set_off_fen": 0,
    "proposed_by": "officer-1",
    "proposed_at": "2026-11-20T02:00:00Z",
    "decided_by": None,
    "decided_at": None,
}


class WithholdingBody(Body):
    """What a facility is not paid, and why; or, naming the deduction, what of it is given back. In fen."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"facility_code": FACILITY, "amount_fen": 120000, "reason": "2026年9月超标准收费，审核确认扣款"}
            ]
        }
    )

    facility_code: Code
    amount_fen: Annotated[int, Field(strict=True, gt=0, le=MOVED_MAX_FEN)]
    returns_withholding_id: Id | None = None
    reason: Text

    @property
    def said(self) -> Said:
        """As the use case takes it."""
        return Said(self.facility_code, self.amount_fen, self.returns_withholding_id, self.reason)


class ReleaseBody(Body):
    """The result of a facility's yearly review (年度考核)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"facility_code": FACILITY, "year": 2026, "level_index": "0.9500", "reason": "2026年度考核"}]
        }
    )

    facility_code: Code
    year: Annotated[int, Field(ge=2000, le=2199)]
    """Of the cycles whose positions it was retained of."""
    level_index: Annotated[Decimal, Field(strict=False, ge=0, max_digits=8, decimal_places=4)]
    """水平指数: the facility's points over their average."""
    reason: Text


class WithholdingQuery(PageQuery):
    """Which withholdings are wanted."""

    facility_code: Code | None = None
    state: Literal["proposed", "approved", "refused"] | None = None


class WithholdingView(View):
    """What an agency keeps back of what it pays a facility, or gives back (扣留). Amounts in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [_DEDUCTION]})

    withholding_id: str
    agency: str
    facility_code: str
    kind: Kind
    amount_fen: int
    """What is set off against net positions: of a deduction to make them smaller, else to make them larger."""
    kept_fen: int
    """Of a release: what stays with the agency."""
    year: int | None
    level_index: Decimal | None
    returns_withholding_id: str | None
    """The deduction of which something is given back."""
    reason: str
    state: str
    """proposed, approved, refused."""
    set_off_fen: int
    """How much of the amount positions and payments have taken; the rest waits."""
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None

    @classmethod
    def of(cls, row: WithholdingRow) -> WithholdingView:
        """The view of a withholding."""
        return cls.model_validate(row, from_attributes=True)


class SetOffView(View):
    """One thing set off against a net position, or against the payment of a last hop. Amount in fen."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "set_off_id": SET_OFF_ID,
                    "position_id": POSITION_ID,
                    "payment_id": None,
                    "agency": "411603",
                    "facility_code": FACILITY,
                    "kind": "deduction",
                    "amount_fen": 120000,
                    "withholding_id": WITHHOLDING_ID,
                    "made_at": "2026-11-25T02:00:00Z",
                    "reversal_id": None,
                }
            ]
        }
    )

    set_off_id: str
    """Also the id of the ledger transaction that books it."""
    position_id: str | None
    payment_id: str | None
    """Where hops are paid one by one; booked when it is paid."""
    agency: str
    facility_code: str
    kind: Literal["retention", "retention_release", "deduction", "deduction_return"]
    amount_fen: int
    """retention and deduction make what is paid smaller, the others larger."""
    withholding_id: str | None
    """None where the terms retain it."""
    made_at: datetime
    reversal_id: str | None
    """The ledger transaction that took it back, because the position was netted anew."""

    @classmethod
    def of(cls, row: SetOffRow) -> SetOffView:
        """The view of something set off."""
        return cls.model_validate(row, from_attributes=True)
