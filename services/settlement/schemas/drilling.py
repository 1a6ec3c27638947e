"""Bills that went to another month, and movements of bank accounts: what a balance leads down to."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import ConfigDict

from services.settlement.schemas.cases import CASE_ID
from services.settlement.store.drilling import BankEntryRow, CarriedBill
from shared.http.types import View


class CarriedBillView(View):
    """A bill that an objection took out of its month: it is cleared with a later one (转下期清算)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "settlement_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6S",
                    "from_case_id": CASE_ID,
                    "from_period": "2026-10",
                    "to_case_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P9C",
                    "to_period": "2026-11",
                    "objection_no": 7,
                    "carried_at": "2026-11-12T02:00:00Z",
                }
            ]
        }
    )

    settlement_id: str
    from_case_id: str
    from_period: str
    to_case_id: str
    to_period: str
    objection_no: int
    carried_at: datetime

    @classmethod
    def of(cls, row: CarriedBill) -> CarriedBillView:
        """The view of a carried bill."""
        return cls.model_validate(row, from_attributes=True)


class BankEntryView(View):
    """A movement of a bank account (银行流水), and what it led to. Amount in fen."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "entry_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P8B",
                    "party": "411681",
                    "entry_ref": "R20261106001",
                    "end_to_end_id": "",
                    "debit": True,
                    "amount_fen": 320000,
                    "booked_on": "2026-11-06",
                    "reason": None,
                    "outcome": "unknown",
                    "order_id": None,
                    "received_at": "2026-11-06T02:00:00Z",
                    "item_no": 1,
                    "identification_id": None,
                    "identification_state": None,
                    "identified_as": None,
                    "keeper": "411681",
                    "told_by": ["camt.053", "camt.054"],
                }
            ]
        }
    )

    entry_id: str
    """Also the id of the ledger transaction it made, where it made one of its own."""
    party: str
    entry_ref: str
    end_to_end_id: str
    debit: bool
    amount_fen: int
    booked_on: date
    reason: str | None
    outcome: str
    """paid, returned, mirrored; unknown stands, or stood, on suspense."""
    order_id: str | None
    received_at: datetime
    item_no: int | None
    identification_id: str | None
    identification_state: str | None
    identified_as: str | None
    keeper: str
    """The agency that keeps the account."""
    told_by: list[str]
    """The kinds of reports in which the bank told of it."""

    @classmethod
    def of(cls, row: BankEntryRow) -> BankEntryView:
        """The view of a movement."""
        return cls.model_validate(row, from_attributes=True)
