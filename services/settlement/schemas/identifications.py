"""Identifying unknown movements of the bank: what somebody says one was, and what came of it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import ConfigDict

from services.settlement.rules.identifications import Nature
from services.settlement.rules.orders import Purpose
from services.settlement.schemas.items import ItemNo
from services.settlement.store.identifications import IdentificationRow
from services.settlement.use_cases.identifications import Said
from shared.http.paging import PageQuery
from shared.http.types import Body, Id, Text, View

IDENTIFICATION_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P8A"
ENTRY_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P8B"
ORDER_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P7A"


class DebtBody(Body):
    """What was owed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"purpose": "position", "reference": "01KAJ5T1D4GQ7X8Z2V3N4M5P6T"}]}
    )

    purpose: Literal["hop", "position", "prepayment"]
    reference: Id
    """The case of a hop, a net position, or a prepayment's movement."""


class IdentificationBody(Body):
    """What an unknown movement was: exactly one of the four."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"order_id": ORDER_ID, "reason": "银行未回传支付指令编号，已核对回单"}]}
    )

    order_id: Id | None = None
    """A payment order of the account's party, or to it."""
    debt: DebtBody | None = None
    """What a party owed without an order that goes to the bank from here."""
    counter_item_no: ItemNo | None = None
    """The item of the movement that took this one back."""
    nature: Nature | None = None
    """What money was that belongs to no order or debt (款项性质): 利息, 财政专户拨入或缴回, 银行手续费, 其他."""
    reason: Text

    @property
    def said(self) -> Said:
        """As the use case takes it."""
        debt = None if self.debt is None else (Purpose(self.debt.purpose), self.debt.reference)
        return Said(self.order_id, debt, self.counter_item_no, self.reason, self.nature)


class IdentificationQuery(PageQuery):
    """Which identifications are wanted."""

    state: Literal["proposed", "approved", "declined"] | None = None


class IdentificationView(View):
    """What an unknown movement was (查实). Amount in fen."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "identification_id": IDENTIFICATION_ID,
                    "item_no": 1,
                    "entry_id": ENTRY_ID,
                    "party": "411681",
                    "keeper": "411681",
                    "debit": True,
                    "amount_fen": 320000,
                    "booked_on": "2026-11-06",
                    "entry_ref": "R20261106001",
                    "target": "order",
                    "order_id": ORDER_ID,
                    "purpose": None,
                    "reference": None,
                    "counter_entry_id": None,
                    "nature": None,
                    "reason": "银行未回传支付指令编号，已核对回单",
                    "state": "proposed",
                    "outcome": None,
                    "proposed_by": "finance-1",
                    "proposed_at": "2026-11-09T02:00:00Z",
                    "decided_by": None,
                    "decided_at": None,
                }
            ]
        }
    )

    identification_id: str
    """Also the id of the ledger transaction that books it."""
    item_no: int
    entry_id: str
    """The movement; also the id of the transaction that put it on suspense."""
    party: str
    keeper: str
    """The agency whose people say what it was: that which keeps the account."""
    debit: bool
    amount_fen: int
    booked_on: date
    entry_ref: str
    target: str
    """order, receivable, counter_entry, or other_income."""
    order_id: str | None
    purpose: str | None
    reference: str | None
    counter_entry_id: str | None
    nature: str | None
    """Of other income: interest, treasury, charges, other."""
    reason: str
    state: str
    """proposed, approved, declined."""
    outcome: str | None
    """paid, returned, mirrored, settled, cancelled, booked."""
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None

    @classmethod
    def of(cls, row: IdentificationRow) -> IdentificationView:
        """The view of an identification."""
        return cls.model_validate(row, from_attributes=True)
