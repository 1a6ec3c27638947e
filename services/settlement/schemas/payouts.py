"""Payouts to persons and their cards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue, SecretStr

from services.settlement.rules.banking import Creditor
from services.settlement.rules.ledger import MOVED_MAX_FEN
from services.settlement.rules.payouts import Document, Origin, Payout, PayoutState, Recipient, Timing
from services.settlement.schemas.orders import AccountNo, HolderName
from services.settlement.store.payouts import CancellationRow
from services.settlement.use_cases.payouts import Card, Claim, MaskedCard
from shared.http.paging import PageQuery
from shared.http.types import Body, Code, Id, Text, View

PAYOUT_ID = "01KAJ5T1D4GQ7X8Z2V3N4M5P7B"
_CARD: dict[str, JsonValue] = {
    "recipient": "own_card",
    "papers": ["identity_card", "bank_card"],
    "holder": "张三",
    "account_no": "6222020200112233446",
    "bank_code": "102508000017",
    "agent_name": None,
}
_PAYOUT: dict[str, JsonValue] = {
    "payout_id": PAYOUT_ID,
    "region": "411681",
    "person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P7C",
    "amount_fen": 320000,
    "fund_pay_type": "390100",
    "origin": "manual_claim",
    "reference": "SGBX-2026-000123",
    "reason": "市外急诊住院手工报销",
    "timing": "batch",
    "reported_on": "2026-11-05",
    "release_on": "2026-12-25",
    "state": "proposed",
    "card_no": 1,
    "proposed_by": "officer-1",
    "proposed_at": "2026-11-05T02:00:00Z",
    "decided_by": None,
    "decided_at": None,
    "refusal": None,
    "paid_at": None,
}


class CardBody(Body):
    """The card the money goes to, who takes it, and the papers that were shown."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CARD]})

    recipient: Literal["own_card", "agent", "other_card"]
    """own_card 本人, agent 代领人 (the card is the person's own), other_card 他人银行卡."""
    papers: Annotated[
        list[Literal["identity_card", "bank_card", "agent_identity_card", "holder_identity_card", "authorisation"]],
        Field(min_length=1, max_length=5),
    ]
    """身份证, 银行卡, 代领人身份证, 持卡人身份证, 授权委托书."""
    holder: HolderName
    account_no: AccountNo
    bank_code: Annotated[str, Field(max_length=20)]
    agent_name: Annotated[SecretStr, Field(min_length=1, max_length=140)] | None = None
    """代领人, where there is one."""

    @property
    def handed_in(self) -> Card:
        """The card as the rules see it."""
        return Card(
            Recipient(self.recipient),
            frozenset(map(Document, self.papers)),
            Creditor(self.holder.get_secret_value(), self.account_no.get_secret_value(), self.bank_code),
            None if self.agent_name is None else self.agent_name.get_secret_value(),
        )


class PayoutBody(Body):
    """A payout: to whom, how much, for which document, and on which card."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "person_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P7C",
                    "person_name": "张三",
                    "amount_fen": 320000,
                    "fund_pay_type": "390100",
                    "origin": "manual_claim",
                    "reference": "SGBX-2026-000123",
                    "reason": "市外急诊住院手工报销",
                    "timing": "batch",
                    "card": _CARD,
                }
            ]
        }
    )

    person_id: Id
    person_name: HolderName
    """姓名. It is not kept: a card of the person's own must be in this name, also one that is entered later."""
    amount_fen: Annotated[int, Field(strict=True, gt=0, le=MOVED_MAX_FEN)]
    fund_pay_type: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    """基金支付类型."""
    origin: Literal["supplement", "manual_claim"]
    """supplement 补支付, manual_claim 手工报销."""
    reference: Code
    """The document it comes from; an agency pays it out once, in whatever case it is written."""
    reason: Text
    timing: Literal["at_once", "batch"]
    """at_once 即时, batch 按月批量."""
    card: CardBody

    @property
    def claim(self) -> Claim:
        """What is to be paid, as the rules see it."""
        return Claim(
            self.person_id,
            self.amount_fen,
            self.fund_pay_type,
            Origin(self.origin),
            self.reference,
            self.reason,
            Timing(self.timing),
            self.person_name.get_secret_value(),
        )


class CardApprovalBody(Body):
    """Which card was looked at; when a newer one waits by now, nothing is approved."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"card_no": 2}]})

    card_no: Annotated[int, Field(strict=True, gt=0, lt=2**31)]


class CancellationBody(Body):
    """Why a payout that was approved is not to be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "金额录入错误，应为 320.00 元"}]})

    reason: Text


class PayoutQuery(PageQuery):
    """Which payouts are wanted."""

    state: PayoutState | None = None
    released: bool = False
    """Only those that can be ordered today."""


class PayoutView(View):
    """One payout to a person (待遇支付). Amount in fen."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PAYOUT]})

    payout_id: str
    region: str
    """The agency that pays."""
    person_id: str
    amount_fen: int
    fund_pay_type: str
    origin: str
    reference: str
    reason: str
    timing: str
    reported_on: date
    release_on: date
    """From this day on it can be ordered."""
    state: str
    """proposed, approved, declined, refused (back in the queue), paid, cancelled."""
    card_no: int
    """Which of its cards holds."""
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    refusal: str | None
    """What the bank said when it refused it last."""
    paid_at: datetime | None

    @classmethod
    def of(cls, payout: Payout) -> PayoutView:
        """The view of a payout."""
        return cls.model_validate(payout, from_attributes=True)


class CardView(View):
    """A card, masked."""

    card_no: int
    recipient: str
    papers: list[str]
    holder: str
    account: str
    bank_code: str
    agent: str | None
    proposed_by: str
    approved_by: str | None


class CancellationView(View):
    """A cancellation of a payout (作废)."""

    cancellation_id: str
    """Also the id of the transaction that reverses the payout's booking, once it is approved."""
    reason: str
    state: str
    """proposed, approved, declined."""
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class PayoutDetail(PayoutView):
    """One payout with its cards and cancellations."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_PAYOUT, "cards": [], "cancellations": []}]})

    cards: list[CardView]
    cancellations: list[CancellationView]
    """The newest last."""

    @classmethod
    def of_all(
        cls, payout: Payout, cards: Sequence[MaskedCard], cancellations: Sequence[CancellationRow]
    ) -> PayoutDetail:
        """The view of a payout with its cards and cancellations."""
        shown = [CardView.model_validate(card, from_attributes=True) for card in cards]
        named = [CancellationView.model_validate(row, from_attributes=True) for row in cancellations]
        return cls(**PayoutView.of(payout).model_dump(), cards=shown, cancellations=named)
