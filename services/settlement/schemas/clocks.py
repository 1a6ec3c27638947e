"""Clocks that stand still, and the list of what is due."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue

from services.settlement.rules.dues import Due
from services.settlement.schemas.cases import CASE_ID
from services.settlement.store.agenda import Task
from shared.http.paging import PageQuery
from shared.http.types import Body, Text, View
from shared.workdays import WorkCalendar

_TASK: dict[str, JsonValue] = {
    "ref": f"case {CASE_ID} reconciliation",
    "kind": "reconciliation",
    "due_on": "2026-11-23",
    "provisional": False,
    "working_days_left": 9,
    "suspended_on": None,
    "case_id": CASE_ID,
    "number": None,
    "reference": None,
    "stated_by": "H41160300001",
    "period": "2026-10",
    "amount_fen": 780000,
    "concerns": "411603",
    "assigned_to": None,
}


class SuspensionBody(Body):
    """Why a clock stands still, and which papers are waited for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "等待参保地补充材料", "papers": ["转诊备案表", "费用清单"]}]}
    )

    reason: Text
    papers: Annotated[list[Text], Field(min_length=1, max_length=20)]


class ClockView(View):
    """A party's clock after it was stopped or went on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "case_id": CASE_ID,
                    "kind": "reconciliation",
                    "party": "411681",
                    "due_on": "2026-11-23",
                    "provisional": False,
                    "suspended_on": "2026-11-12",
                    "working_days": 7,
                }
            ]
        }
    )

    case_id: str
    kind: str
    party: str
    due_on: date
    """While it stands still the day it had before."""
    provisional: bool
    suspended_on: date | None
    working_days: int
    """That are left while it stands still; that it had from the last start on while it runs."""

    @classmethod
    def of(cls, due: Due) -> ClockView:
        """The view of a clock."""
        return cls.model_validate(due, from_attributes=True)


class AgendaQuery(PageQuery):
    """Whose tasks are wanted."""

    mine: bool = False
    """Only those of the calling person: assigned to it, or to nobody and of a kind its role does."""


class TaskView(View):
    """One thing that is due for the caller's party."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TASK]})

    ref: str
    """Names it in this list."""
    kind: str
    """reconciliation: confirm; remittance, disbursement: pay, a hop or a net position; payment_approval,
    order_review, order_approval: what others proposed to pay; order_repeat: what the bank did not pay; bank_item:
    what else the bank did; payout_approval, card_approval, cancellation_approval, payout_order: payouts to persons;
    prepayment_order: what is to be added or given back; prepayment_yellow, prepayment_red: a prepayment that runs low;
    withholding_approval: what another person wants to withhold from a facility, or to give back;
    item, objection: to deal with, to decide; escalation: somebody below is late."""
    due_on: date
    provisional: bool
    working_days_left: int
    """Negative once it is overdue."""
    suspended_on: date | None
    """Since when its clock stands still."""
    case_id: str | None
    number: int | None
    """Of the work item, objection, item of the bank or card; of an escalation its level."""
    reference: str | None
    """The position, order, payment, payout or movement it is about."""
    stated_by: str | None
    """Whose month it is about; null where it is about none."""
    period: str | None
    amount_fen: int | None
    concerns: str
    """Who objects, is late, stated, or is to be paid; the party itself in its own dues."""
    assigned_to: str | None

    @classmethod
    def of(cls, task: Task, calendar: WorkCalendar, today: date) -> TaskView:
        """The view of a task today."""
        left = calendar.between(today, task.due_on)
        return cls(working_days_left=left, **{name: getattr(task, name) for name in Task.__slots__})


class AssignmentBody(Body):
    """Which person of the party has a task."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ref": f"case {CASE_ID} reconciliation", "subject": "finance-2"}]}
    )

    ref: Text
    subject: Text | None = None
    """Nobody when it is left away."""


class AssignmentView(View):
    """Who has a task now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"ref": f"case {CASE_ID} reconciliation", "party": "411603", "assigned_to": "finance-2"}]
        }
    )

    ref: str
    party: str
    assigned_to: str | None
