"""Objections to bills of a case."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from services.settlement.rules.objections import Objection
from services.settlement.schemas.cases import CASE_ID, HASH, Hash
from shared.http.types import Body, Id, Text, View

ObjectionNo = Annotated[int, Field(ge=1, lt=2**63)]
"""The number of an objection."""

_BILL = "01KAJ5T1D4GQ7X8Z2V3N4M5P6R"
_OBJECTION: dict[str, JsonValue] = {
    "objection_no": 1,
    "case_id": CASE_ID,
    "party": "411681",
    "numbers_hash": HASH,
    "settlement_ids": [_BILL],
    "reason": "该参保人当月已参军，待遇应由部队保障",
    "state": "open",
    "deciding_party": "411603",
    "due_on": "2026-11-27",
    "provisional": False,
    "raised_by": "finance-1",
    "raised_at": "2026-11-20T01:00:00Z",
    "decided_party": None,
    "decided_by": None,
    "decided_at": None,
    "decision_reason": None,
}


def _distinct(settlement_ids: list[str]) -> list[str]:
    if len(set(settlement_ids)) < len(settlement_ids):
        raise ValueError("a bill must not be named twice")
    return settlement_ids


class ObjectionBody(Body):
    """Bills a party does not accept, of the numbers it saw."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"numbers_hash": HASH, "settlement_ids": [_BILL], "reason": "该参保人当月已参军"}]
        }
    )

    numbers_hash: Hash
    settlement_ids: Annotated[list[Id], Field(min_length=1, max_length=500), AfterValidator(_distinct)]
    reason: Text


class DecisionBody(Body):
    """Why an objection is accepted or rejected."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "已核实，下月冲销后重结"}]})

    reason: Text


class ObjectionView(View):
    """An objection with its bills."""

    model_config = ConfigDict(json_schema_extra={"examples": [_OBJECTION]})

    objection_no: int
    case_id: str
    party: str
    """Who objects."""
    numbers_hash: str
    """The numbers it saw."""
    settlement_ids: list[str]
    reason: str
    state: str
    """open, withdrawn, accepted, rejected."""
    deciding_party: str
    due_on: date
    """By when it is to be decided."""
    provisional: bool
    raised_by: str
    raised_at: datetime
    decided_party: str | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None

    @classmethod
    def of(cls, objection: Objection) -> ObjectionView:
        """The view of an objection."""
        return cls.model_validate(objection, from_attributes=True)


class ObjectionsView(View):
    """All objections to a case, in their order."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_OBJECTION]}]})

    items: list[ObjectionView]
