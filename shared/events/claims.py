"""What claims announces: bills settled and reversed."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from shared.events.base import Event


class FundShare(BaseModel):
    """What one fund pays of a bill."""

    model_config = ConfigDict(frozen=True)

    fund_pay_type: str
    """基金支付类型, e.g. 310100 employees' pool, 390100 residents' fund."""
    amount_fen: int


class Bill(Event):
    """Common body of both events: one settlement row (结算), whole. All amounts in fen; a reversal's are negative.

    Identity: total = fund + person + hospital, person = account + cash, fund = Σ shares.
    """

    announcer: ClassVar[str] = "claims"
    settlement_id: str
    visit_id: str
    person_id: str
    facility_code: str
    facility_settlement_no: str
    """The facility's own number of the bill (医药机构结算ID): how it appears in its statement."""
    care_region: str
    home_region: str
    insutype: str
    psn_type: str
    med_type: str
    clr_type: str
    """清算类别: 11 outpatient, 21 inpatient, 41 pharmacy."""
    began_on: date
    ended_on: date
    settled_at: datetime
    total_fen: int
    fund_fen: int
    account_fen: int
    """Paid from the personal account (个人账户支出)."""
    cash_fen: int
    """Paid by the patient in cash (个人现金支出)."""
    hospital_fen: int
    """Borne by the facility (医院负担金额)."""
    shares: tuple[FundShare, ...]

    @property
    def key(self) -> str:
        return self.visit_id


class DischargeSettled(Bill):
    """A stay, an outpatient visit or a pharmacy purchase was settled at the facility. Key: the visit."""


class SettlementReversed(Bill):
    """A settlement was cancelled by a new, negative one (退费结算) that names it. Key: the visit."""

    reverses_settlement_id: str
    reason: str = ""


class PolicyPutInForce(Event):
    """A version of a policy pack (待遇政策) is in force: bills whose deciding day lies in its time are decided by it.
    Key: the pack."""

    announcer: ClassVar[str] = "claims"
    pack: str
    pack_version: str
    area: str
    """The pooling area (统筹区) it holds for, with all below it."""
    valid_from: date
    valid_to: date | None
    digest: str
    """SHA-256 of its files."""

    @property
    def key(self) -> str:
        return self.pack
