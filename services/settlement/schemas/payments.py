"""Payments, one by one and many at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, JsonValue

from services.settlement.rules.cases import Hop, Payment
from services.settlement.schemas.cases import CASE_ID, RefusalView
from services.settlement.store.payments import PaymentRow
from services.settlement.use_cases.payments import Approved
from shared.http.types import Body, Id, View
from shared.refusals import Refusal

PAYMENT_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P6R"
_PAYMENT: dict[str, JsonValue] = {
    "payment_id": PAYMENT_ID,
    "case_id": CASE_ID,
    "hop_no": 1,
    "payer": "411681",
    "payee": "411600",
    "amount_fen": 780000,
    "withheld_fen": 0,
    "state": "proposed",
    "proposed_by": "finance-1",
    "proposed_at": "2026-11-05T02:00:00Z",
    "approved_by": None,
    "paid_at": None,
    "order_id": None,
}


def _distinct(ids: list[str]) -> list[str]:
    if len(set(ids)) < len(ids):
        raise ValueError("an id must not be named twice")
    return ids


class PaymentBody(Body):
    """The case of which the caller's hop is to be paid."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"case_id": CASE_ID}]})

    case_id: Id


class PaymentBatchBody(Body):
    """The cases of which the caller's hops are to be paid; each has its own result."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"case_ids": [CASE_ID]}]})

    case_ids: Annotated[list[Id], Field(min_length=1, max_length=500), AfterValidator(_distinct)]


class ApprovalBatchBody(Body):
    """The payments to be approved; each has its own result."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"payment_ids": [PAYMENT_ID]}]})

    payment_ids: Annotated[list[Id], Field(min_length=1, max_length=500), AfterValidator(_distinct)]


class PaymentView(View):
    """One payment (付款单). Amount in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PAYMENT]})

    payment_id: str
    case_id: str
    hop_no: int
    payer: str
    payee: str
    amount_fen: int
    withheld_fen: int
    """By how much it is smaller than its hop (扣留), by `…/set-offs`; negative where more is given back with it."""
    state: str
    """proposed or paid."""
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None
    paid_at: datetime | None
    order_id: str | None
    """The newest order that is to pay it, where the payer pays by bank."""

    @classmethod
    def of(cls, row: PaymentRow, hops: Sequence[Hop]) -> PaymentView:
        """The view of a payment, of one of the hops of its case."""
        return cls(
            payment_id=row.payment_id,
            case_id=row.case_id,
            hop_no=row.hop_no,
            payer=row.payer,
            payee=row.payee,
            amount_fen=row.amount_fen,
            withheld_fen=hops[row.hop_no - 1].amount_fen - row.amount_fen,
            state="proposed" if row.paid_at is None else "paid",
            proposed_by=row.proposed_by,
            proposed_at=row.proposed_at,
            approved_by=row.approved_by,
            paid_at=row.paid_at,
            order_id=row.order_id,
        )


class ProposalView(View):
    """The payment proposed for a case, or why it was refused."""

    case_id: str
    payment_id: str | None
    amount_fen: int | None
    errors: list[RefusalView]

    @classmethod
    def of(cls, case_id: str, outcome: Payment | list[Refusal], language: str) -> ProposalView:
        """The view of one outcome."""
        if isinstance(outcome, Payment):
            return cls(case_id=case_id, payment_id=outcome.payment_id, amount_fen=outcome.amount_fen, errors=[])
        errors = [RefusalView.of(refusal, language) for refusal in outcome]
        return cls(case_id=case_id, payment_id=None, amount_fen=None, errors=errors)


class ProposalsView(View):
    """The results, in the order of the cases."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"items": [{"case_id": CASE_ID, "payment_id": PAYMENT_ID, "amount_fen": 780000, "errors": []}]}
            ]
        }
    )

    items: list[ProposalView]


class ApprovalView(View):
    """The case after a payment, or why the payment was refused."""

    payment_id: str
    case_id: str | None
    case_state: str | None
    order_id: str | None
    """The order that was approved, where the payer pays by bank: the case moves when the bank has paid."""
    errors: list[RefusalView]

    @classmethod
    def of(cls, payment_id: str, outcome: Approved | str | list[Refusal], language: str) -> ApprovalView:
        """The view of one outcome."""
        if isinstance(outcome, str):
            return cls(payment_id=payment_id, case_id=None, case_state=None, order_id=outcome, errors=[])
        if isinstance(outcome, tuple):
            _, case = outcome
            return cls(payment_id=payment_id, case_id=case.case_id, case_state=case.state, order_id=None, errors=[])
        errors = [RefusalView.of(refusal, language) for refusal in outcome]
        return cls(payment_id=payment_id, case_id=None, case_state=None, order_id=None, errors=errors)


class ApprovalsView(View):
    """The results, in the order of the payments."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {
                            "payment_id": PAYMENT_ID,
                            "case_id": CASE_ID,
                            "case_state": "disbursing",
                            "order_id": None,
                            "errors": [],
                        }
                    ]
                }
            ]
        }
    )

    items: list[ApprovalView]
