"""Work items: what is listed, what is known of one, what is done about it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from services.settlement.rules.items import Action, ActionKind, Item, ItemState
from services.settlement.rules.statements import DifferenceClass
from services.settlement.schemas.statements import DIFFERENCE_EXAMPLE, DifferenceView
from services.settlement.store.items import ItemTotal
from services.settlement.use_cases.items import Dossier
from shared.http.paging import PageQuery
from shared.http.types import Body, Code, Month, Text, View

ItemNo = Annotated[int, Field(ge=1, lt=2**63)]
"""The number of a work item."""

_ITEM: dict[str, JsonValue] = {
    "item_no": 1,
    "facility_code": "H41160300001",
    "care_region": "411603",
    "period": "2026-10",
    "difference_class": "amount_differs",
    "state": "open",
    "acting_party": "H41160300001",
    "due_on": "2026-11-09",
    "provisional": False,
    "amount_fen": 10000,
    "found_at": "2026-11-02T01:00:00Z",
    "reopened_count": 0,
    "closed_at": None,
    "closed_as": None,
    "statement_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
    "party": "H41160300001",
    "home_region": None,
}
_ACTION: dict[str, JsonValue] = {
    "kind": "drop",
    "reason": "医院漏退一笔，已核对原始单据",
    "party": "H41160300001",
    "subject": "his-1",
    "at": "2026-11-03T01:00:00Z",
    "approval_needed": True,
    "approved_by": None,
    "approved_at": None,
    "stands": True,
    "amount_fen": 10000,
    "sum_fen": 104000,
    "bulk_no": None,
}


class ItemQuery(PageQuery):
    """Which items are wanted."""

    period: Month | None = None
    facility_code: Code | None = None
    party: Code | None = None
    """Who stated: a facility, or an agency."""
    state: ItemState | None = None
    difference_class: DifferenceClass | None = None
    mine: bool = False
    """Only those on which the caller's party must act."""


class ItemView(View):
    """One work item: a difference that somebody must deal with."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ITEM]})

    item_no: int
    facility_code: str | None
    """The facility that stated; null for an agency."""
    care_region: str
    period: str
    difference_class: str
    state: str
    """open, closed."""
    acting_party: str
    """Who must act: who stated, or the care agency."""
    due_on: date
    provisional: bool
    """The day lies beyond the published calendar."""
    amount_fen: int
    """What is at stake: the largest of the three sums' differences."""
    found_at: datetime
    reopened_count: int
    closed_at: datetime | None
    closed_as: str | None
    """agreed, decided, books_stand."""
    statement_id: str
    """The version of the statement in which it was first found as it stands."""
    party: str
    """Who stated: a facility, or an agency."""
    home_region: str | None
    """The other end of the chain, where an agency stated."""

    @classmethod
    def of(cls, item: Item) -> ItemView:
        """The view of an item."""
        return cls.model_validate(item, from_attributes=True)


class ItemTotalView(View):
    """How many items are alike in who stated, month, class, state and who must act."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "party": "H41160300001",
                    "care_region": "411603",
                    "home_region": None,
                    "period": "2026-10",
                    "difference_class": "missing_in_books",
                    "state": "open",
                    "acting_party": "411603",
                    "item_count": 1000000,
                    "amount_fen": 525000000,
                }
            ]
        }
    )

    party: str
    """Who stated: a facility, or an agency."""
    care_region: str
    home_region: str | None
    """The other end of the chain, where an agency stated."""
    period: str
    difference_class: str
    state: str
    """open, closed."""
    acting_party: str
    item_count: int
    amount_fen: int
    """What is at stake in all of them."""

    @classmethod
    def of(cls, total: ItemTotal) -> ItemTotalView:
        """The view of a total."""
        return cls.model_validate(total, from_attributes=True)


class ActionView(View):
    """What somebody said or did about an item."""

    kind: str
    reason: str
    party: str
    subject: str
    at: datetime
    approval_needed: bool
    approved_by: str | None
    approved_at: datetime | None
    stands: bool
    """Whether the item's figures are still those it was taken on."""
    amount_fen: int
    """What was at stake."""
    sum_fen: int
    """This, and what had been decided alone before: above the limit another person must approve it."""
    bulk_no: int | None
    """The action for a whole class that it is part of."""

    @classmethod
    def of(cls, action: Action) -> ActionView:
        """The view of an action."""
        return cls.model_validate(action, from_attributes=True)


class ItemDetail(ItemView):
    """One work item with its evidence and its history."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_ITEM,
                    "difference": DIFFERENCE_EXAMPLE,
                    "candidates": [],
                    "booked_at": "2026-10-12T03:04:05Z",
                    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
                    "actions": [_ACTION],
                }
            ]
        }
    )

    difference: DifferenceView
    """Both rows as they were last found."""
    candidates: list[DifferenceView]
    """What stands alone on the other side and could be meant; nothing is merged by itself."""
    booked_at: datetime | None
    """When the bill of the books was booked."""
    trace_id: str | None
    """Of the bill's trace: the events that booked it are found under it."""
    actions: list[ActionView]

    @classmethod
    def of_all(cls, found: Dossier) -> ItemDetail:
        """The view of a dossier."""
        traceparent = found.trace.traceparent if found.trace else None
        return cls(
            **ItemView.of(found.item).model_dump(),
            difference=DifferenceView.of(found.difference),
            candidates=[DifferenceView.of(candidate) for candidate in found.candidates],
            booked_at=found.trace.booked_at if found.trace else None,
            trace_id=traceparent.split("-")[1] if traceparent else None,
            actions=[ActionView.of(action) for action in found.actions],
        )


class ActionBody(Body):
    """What is done about an item, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "drop", "reason": "医院漏退一笔，已核对原始单据"}]}
    )

    kind: Literal["correct", "dispute", "drop", "next_period"]
    """correct 更正, dispute 异议, drop 以账面为准, next_period 转下期."""
    reason: Text

    @property
    def action(self) -> ActionKind:
        """The action as the rules see it."""
        return ActionKind(self.kind)
