"""Actions for all open items of a class: what is open, what is done about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from services.settlement.rules.items import ActionKind, BulkAction, OpenClass
from services.settlement.rules.statements import DifferenceClass, Statement
from services.settlement.schemas.cases import HASH, Hash
from services.settlement.use_cases.bulk_actions import OpenItems
from shared.http.types import Body, Text, View

BulkNo = Annotated[int, Field(ge=1, lt=2**63)]
"""The number of an action for a class."""

_STATEMENT_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q"
_CLASS: dict[str, JsonValue] = {
    "difference_class": "missing_in_books",
    "acting_parties": ["411603"],
    "item_count": 1000000,
    "amount_fen": 525000000,
    "seen": HASH,
}


class OpenClassView(View):
    """The open items of one class."""

    difference_class: str
    acting_parties: list[str]
    """Who must act on them: who stated, the care agency, or each on some."""
    item_count: int
    amount_fen: int
    """What is at stake in all of them."""
    seen: str
    """Names these very items as they are: who acts on the class sends it back."""

    @classmethod
    def of(cls, found: OpenClass, statement: Statement) -> OpenClassView:
        """The view of a class."""
        return cls(
            difference_class=found.difference_class,
            acting_parties=list(found.acting_parties),
            item_count=found.item_count,
            amount_fen=found.amount_fen,
            seen=found.seen(statement.statement_id, statement.match_no),
        )


class OpenItemsView(View):
    """What is open of a statement, by class, as its last match found it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "statement_id": _STATEMENT_ID,
                    "match_no": 2,
                    "item_count": 1000000,
                    "amount_fen": 525000000,
                    "classes": [_CLASS],
                }
            ]
        }
    )

    statement_id: str
    match_no: int
    item_count: int
    amount_fen: int
    classes: list[OpenClassView]

    @classmethod
    def of(cls, found: OpenItems) -> OpenItemsView:
        """The view of what is open."""
        return cls(
            statement_id=found.statement.statement_id,
            match_no=found.statement.match_no,
            item_count=sum(c.item_count for c in found.classes),
            amount_fen=sum(c.amount_fen for c in found.classes),
            classes=[OpenClassView.of(c, found.statement) for c in found.classes],
        )


class BulkActionBody(Body):
    """What is done about all open items of a class, why, and which items were seen."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "difference_class": "missing_in_books",
                    "kind": "drop",
                    "reason": "医院系统重复导出，已与医院核对",
                    "seen": HASH,
                }
            ]
        }
    )

    difference_class: DifferenceClass
    kind: Literal["correct", "dispute", "drop", "next_period"]
    """correct 更正, dispute 异议, drop 以账面为准, next_period 转下期."""
    reason: Text
    seen: Hash
    """The name under which the class was shown."""

    @property
    def action(self) -> ActionKind:
        """The action as the rules see it."""
        return ActionKind(self.kind)


class BulkActionView(View):
    """One action for a whole class."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "bulk_no": 1,
                    "statement_id": _STATEMENT_ID,
                    "match_no": 2,
                    "difference_class": "missing_in_books",
                    "kind": "drop",
                    "reason": "医院系统重复导出，已与医院核对",
                    "party": "411603",
                    "subject": "officer-1",
                    "at": "2026-11-03T01:00:00Z",
                    "item_count": 1000000,
                    "amount_fen": 525000000,
                    "sum_fen": 525060000,
                    "approval_needed": True,
                    "approved_by": None,
                    "approved_at": None,
                }
            ]
        }
    )

    bulk_no: int
    statement_id: str
    match_no: int
    difference_class: str
    kind: str
    reason: str
    party: str
    subject: str
    at: datetime
    item_count: int
    amount_fen: int
    """What is at stake in all its items."""
    sum_fen: int
    """This, and what had been decided alone before: above the limit another person must approve it."""
    approval_needed: bool
    approved_by: str | None
    approved_at: datetime | None

    @classmethod
    def of(cls, bulk: BulkAction) -> BulkActionView:
        """The view of an action for a class."""
        return cls.model_validate(bulk, from_attributes=True)
