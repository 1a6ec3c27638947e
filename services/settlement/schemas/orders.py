"""Payment orders, bank accounts, and what the bank's answers left open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, SecretStr

from services.settlement.rules.banking import BankItemKind, Creditor
from services.settlement.rules.orders import OrderState, Purpose
from services.settlement.schemas.cases import RefusalView
from services.settlement.store.banking import ItemRow
from services.settlement.store.orders import EntryRow, OrderRow
from services.settlement.use_cases.bank_accounts import MaskedAccount
from shared.http.paging import PageQuery
from shared.http.types import Body, Day, Fen, Id, Text, View
from shared.refusals import Refusal

ORDER_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P7A"
REFERENCE = "01KAJ5T1D4GQ7X8Z2V3N4M5P7B"
_ORDER: dict[str, JsonValue] = {
    "order_id": ORDER_ID,
    "purpose": "payout",
    "reference": REFERENCE,
    "payer": "411681",
    "payee": None,
    "amount_fen": 320000,
    "debt_fen": 320000,
    "withheld_fen": 0,
    "state": "proposed",
    "by_bank": True,
    "card_no": 1,
    "review_needed": False,
    "proposed_by": "finance-1",
    "proposed_at": "2026-11-05T02:00:00Z",
    "reviewed_by": None,
    "reviewed_at": None,
    "approved_by": None,
    "approved_at": None,
    "batch_id": None,
    "bank_status": None,
    "bank_reason": None,
    "declined_reason": None,
    "paid_fen": 0,
    "debt_settled_at": None,
    "repeats_order_id": None,
    "repeated_by": None,
}


def _distinct(ids: list[str]) -> list[str]:
    if len(set(ids)) < len(ids):
        raise ValueError("an id must not be named twice")
    return ids


Ids = Annotated[list[Id], Field(min_length=1, max_length=500), AfterValidator(_distinct)]

AccountNo = Annotated[SecretStr, Field(min_length=1, max_length=40)]
"""An account's or card's number. It is never repeated in an answer, log or trace."""

HolderName = Annotated[SecretStr, Field(min_length=1, max_length=140)]
"""户名, as the bank has it."""


class OrdersBody(Body):
    """What is to be paid. Hops are proposed as payments."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"purpose": "payout", "references": [REFERENCE]}]})

    purpose: Literal["payout", "position", "prepayment"]
    references: Ids

    @property
    def kind(self) -> Purpose:
        """The purpose as the rules see it."""
        return Purpose(self.purpose)


class OrderIdsBody(Body):
    """Orders, each of which has its own result."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"order_ids": [ORDER_ID]}]})

    order_ids: Ids


class DeclineBody(Body):
    """Why something is not to be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "收款账户有误，退回重提"}]})

    reason: Text


class OrderOutcome(View):
    """What came of one reference or order: the order, or what spoke against it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reference": REFERENCE, "order_id": ORDER_ID, "errors": []}]}
    )

    reference: str
    order_id: str | None
    errors: list[RefusalView]

    @classmethod
    def of(cls, reference: str, outcome: str | list[Refusal], language: str) -> OrderOutcome:
        """The view of an outcome."""
        if isinstance(outcome, str):
            return cls(reference=reference, order_id=outcome, errors=[])
        return cls(reference=reference, order_id=None, errors=[RefusalView.of(r, language) for r in outcome])


class OrderOutcomes(View):
    """What came of each."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [{"reference": REFERENCE, "order_id": ORDER_ID, "errors": []}]}]}
    )

    items: list[OrderOutcome]


class OrderQuery(PageQuery):
    """Which orders are wanted."""

    state: OrderState | None = None
    purpose: Purpose | None = None
    reference: Id | None = None


class OrderView(View):
    """One payment order (支付指令). Amounts in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ORDER]})

    order_id: str
    """Also its end-to-end id at the bank."""
    purpose: str
    """hop, position, prepayment, payout."""
    reference: str
    payer: str
    payee: str | None
    """None when it is a person."""
    amount_fen: int
    debt_fen: int
    """What its whole debt comes to: more than the amount where an order before it was paid in part."""
    withheld_fen: int
    """What was taken off that debt before it was ordered (扣留), of a position or a hop to a facility."""
    state: str
    """proposed, reviewed, approved, sending, sent; settled, partly_paid, rejected, returned, declined."""
    by_bank: bool
    card_no: int | None
    """Of a payout: which of its cards it pays to. Who approves it approves that card."""
    review_needed: bool
    proposed_by: str
    proposed_at: datetime
    reviewed_by: str | None
    reviewed_at: datetime | None
    approved_by: str | None
    approved_at: datetime | None
    batch_id: str | None
    """The payment file it is in: `<batch_id>.pain.001.xml`."""
    bank_status: str | None
    bank_reason: str | None
    declined_reason: str | None
    paid_fen: int
    """What the bank debited for it, less what came back."""
    debt_settled_at: datetime | None
    repeats_order_id: str | None
    repeated_by: str | None

    @classmethod
    def of(cls, row: OrderRow) -> OrderView:
        """The view of an order."""
        return cls.model_validate(row, from_attributes=True)


class EntryView(View):
    """One movement of a bank account, as the bank reported it."""

    party: str
    entry_id: str
    """The movement: `/v1/bank-entries/{entry_id}`."""
    entry_ref: str
    debit: bool
    amount_fen: int
    booked_on: date
    reason: str | None
    outcome: str
    """paid, returned, or mirrored: the same money at the payee's bank."""
    received_at: datetime


class OrderDetail(OrderView):
    """One order with what the bank moved for it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_ORDER, "entries": []}]})

    entries: list[EntryView]

    @classmethod
    def of_all(cls, row: OrderRow, entries: Sequence[EntryRow]) -> OrderDetail:
        """The view of an order with its movements."""
        shown = [EntryView.model_validate(entry, from_attributes=True) for entry in entries]
        return cls(**OrderView.of(row).model_dump(), entries=shown)


class AccountBody(Body):
    """The bank account of an agency or facility."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "holder": "项城市医疗保障服务中心",
                    "account_no": "410101600000012345",
                    "bank_code": "102508000017",
                    "opening_on": "2026-10-31",
                    "opening_fen": 0,
                }
            ]
        }
    )

    holder: HolderName
    account_no: AccountNo
    bank_code: Annotated[str, Field(max_length=20)]
    """银行行号, twelve digits."""
    opening_on: Day
    opening_fen: Fen
    """What the account held at the end of that day: the bank's statements are compared with it and the books."""

    @property
    def creditor(self) -> Creditor:
        """The account as the rules see it."""
        return Creditor(self.holder.get_secret_value(), self.account_no.get_secret_value(), self.bank_code)


class AccountDecisionBody(Body):
    """Which version was looked at; when another one waits by now, nothing is decided."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version_no": 1}]})

    version_no: Annotated[int, Field(strict=True, gt=0, lt=2**31)]


class AccountView(View):
    """One version of a party's bank account; its number is masked."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "party": "411681",
                    "version_no": 1,
                    "region": "411681",
                    "holder": "项城市医疗保障服务中心",
                    "account_no": "**************2345",
                    "bank_code": "102508000017",
                    "opening_on": "2026-10-31",
                    "opening_fen": 0,
                    "state": "proposed",
                    "current": False,
                    "proposed_by": "finance-1",
                    "decided_by": None,
                }
            ]
        }
    )

    party: str
    version_no: int
    region: str
    """The agency that keeps it."""
    holder: str
    account_no: str
    bank_code: str
    opening_on: date
    opening_fen: int
    state: str
    """proposed, approved, declined."""
    current: bool
    proposed_by: str
    decided_by: str | None

    @classmethod
    def of(cls, masked: MaskedAccount) -> AccountView:
        """The view of an account."""
        row = masked.row
        return cls(
            party=row.party,
            version_no=row.version_no,
            region=row.region,
            holder=masked.holder,
            account_no=masked.account,
            bank_code=row.bank_code,
            opening_on=row.opening_on,
            opening_fen=row.opening_fen,
            state=row.state,
            current=row.current,
            proposed_by=row.proposed_by,
            decided_by=row.decided_by,
        )


class AccountVersions(View):
    """All versions of a party's account, the newest last."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": []}]})

    items: list[AccountView]


class BankItemQuery(PageQuery):
    """Which items are wanted."""

    open: bool | None = None
    kind: BankItemKind | None = None


class BankItemView(View):
    """Something about the bank that somebody has to look into (银行待办). Amount in fen."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "item_no": 1,
                    "kind": "returned",
                    "party": "411681",
                    "order_id": ORDER_ID,
                    "amount_fen": 320000,
                    "detail": "AC04",
                    "found_at": "2026-11-06T02:00:00Z",
                    "due_on": "2026-11-11",
                    "closed_at": None,
                    "closed_as": None,
                    "closed_by": None,
                    "note": None,
                }
            ]
        }
    )

    item_no: int
    kind: str
    party: str
    """The agency that must act; "" where operations staff must."""
    order_id: str | None
    amount_fen: int | None
    detail: str
    """The bank's code or reference."""
    found_at: datetime
    due_on: date
    closed_at: datetime | None
    closed_as: str | None
    """explained by a person; answered by the bank; repeated by a new order; agreed by a later statement."""
    closed_by: str | None
    note: str | None

    @classmethod
    def of(cls, row: ItemRow) -> BankItemView:
        """The view of an item."""
        return cls.model_validate(row, from_attributes=True)


class ExplanationBody(Body):
    """What an item was, in the words of whoever looked into it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "财政专户拨入，已核对凭证"}]})

    note: Text
