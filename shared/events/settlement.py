"""What settlement announces: the way of a month's money among the parties of the chain."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from shared.events.base import Event


class StatementSubmitted(Event):
    """A facility submitted or replaced its monthly statement (汇总表). Key: facility and period."""

    announcer: ClassVar[str] = "settlement"
    statement_id: str
    facility_code: str
    period: str
    """The month, YYYY-MM."""
    version_no: int
    total_fen: int
    fund_fen: int
    bill_count: int

    @property
    def key(self) -> str:
        return f"{self.facility_code}:{self.period}"


class DifferenceFound(Event):
    """Statement and books do not agree on one bill (对账不平). Key: facility and period."""

    announcer: ClassVar[str] = "settlement"
    statement_id: str
    facility_code: str
    period: str
    difference_class: str
    """missing_in_statement, missing_in_books, amount_differs, key_differs, period_differs, duplicate,
    reversed_on_one_side, within_tolerance."""
    facility_settlement_no: str
    books_fund_fen: int | None
    statement_fund_fen: int | None
    day: date | None = None
    """The day that was stated; None where it was the month."""

    @property
    def key(self) -> str:
        return f"{self.facility_code}:{self.period}"


class DifferenceCount(BaseModel):
    """How many bills one match put into one class."""

    model_config = ConfigDict(frozen=True)

    difference_class: str
    books_bill_count: int
    stated_bill_count: int


class AgencyBooksDiffer(Event):
    """An agency's own books and the shared ones do not agree on a month of a chain (机构间对账不平).

    Key: agency, period and the two ends of the chain. Each bill is a work item.
    """

    announcer: ClassVar[str] = "settlement"
    statement_id: str
    party: str
    """The agency that stated its books."""
    period: str
    care_region: str
    home_region: str
    match_no: int
    classes: tuple[DifferenceCount, ...]

    @property
    def key(self) -> str:
        return f"{self.party}:{self.period}:{self.care_region}:{self.home_region}"


class CaseEvent(Event):
    """Common body of what happens to a case: one facility, one month, one home region, its chain of parties."""

    announcer: ClassVar[str] = "settlement"
    case_id: str
    facility_code: str
    period: str
    care_region: str
    home_region: str

    @property
    def key(self) -> str:
        return self.case_id


class DueEvent(CaseEvent):
    """Common body of the reminders: announced once for each distance from the due day."""

    party: str
    """Who must act: a facility code or an agency's region code."""
    due_on: date
    provisional: bool
    """True when the due day lies beyond the known calendar and may still move."""
    working_days_left: int
    """Negative once it is overdue."""


class ReconciliationDue(DueEvent):
    """A party's confirmation (对账) is due: 15 working days. Key: the case."""


class RemittanceDue(DueEvent):
    """A party's remittance up the chain (上解) is due: 10 working days. Key: the case."""


class DisbursementDue(DueEvent):
    """A party's disbursement down the chain (拨付) is due: 10 working days. Key: the case."""


class DueEscalated(CaseEvent):
    """A party let its day pass, and the agency above it is told (催办). Key: the case."""

    kind: str
    """reconciliation, remittance, disbursement."""
    party: str
    """Who is late."""
    region: str
    """The agency that is told."""
    level_no: int
    due_on: date
    working_days_left: int
    """Negative: it is overdue."""


class DueSuspended(CaseEvent):
    """A party's clock stands still, waiting for papers (中止). Key: the case."""

    kind: str
    party: str
    suspended_on: date
    days_left: int
    """Working days that continue when it is resumed."""


class DueResumed(CaseEvent):
    """A party's clock runs again. Key: the case."""

    kind: str
    party: str
    due_on: date
    provisional: bool


class ItemsDue(Event):
    """Work items of a month are due for a party (待办提醒), once for each distance. Key: facility and period."""

    announcer: ClassVar[str] = "settlement"
    facility_code: str
    """Who stated the month."""
    period: str
    party: str
    """Who must act."""
    due_on: date
    item_count: int
    amount_fen: int
    working_days_left: int

    @property
    def key(self) -> str:
        return f"{self.facility_code}:{self.period}"


class ItemsEscalated(Event):
    """Nobody dealt with work items of a month by their day, and the agency above is told. Key: facility and period."""

    announcer: ClassVar[str] = "settlement"
    facility_code: str
    """Who stated the month."""
    period: str
    party: str
    """Who is late."""
    region: str
    """The agency that is told."""
    level_no: int
    due_on: date
    item_count: int
    amount_fen: int
    working_days_left: int
    """Negative: they are overdue."""

    @property
    def key(self) -> str:
        return f"{self.facility_code}:{self.period}"


class ObjectionRaised(CaseEvent):
    """A party objects to some bills of a case (对账异议). Key: the case."""

    objection_no: int
    party: str
    deciding_party: str
    bill_count: int
    payable_fen: int
    """What the bills come to."""
    due_on: date


class ObjectionDue(CaseEvent):
    """An objection is to be decided (异议处理提醒): told once for each distance from its day. Key: the case."""

    objection_no: int
    party: str
    """Who objects."""
    deciding_party: str
    """Who must decide."""
    due_on: date
    provisional: bool
    """True when the due day lies beyond the known calendar and may still move."""
    working_days_left: int
    """Negative once it is overdue."""


class ObjectionEscalated(CaseEvent):
    """Nobody decided an objection by its day, and the agency above is told. Key: the case."""

    objection_no: int
    party: str
    """Who objects."""
    deciding_party: str
    """Who is late."""
    region: str
    """The agency that is told."""
    level_no: int
    due_on: date
    working_days_left: int
    """Negative: it is overdue."""


class ObjectionDecided(CaseEvent):
    """An objection ended. Key: the case."""

    objection_no: int
    party: str
    """Who had objected."""
    decision: str
    """accepted: the bills go to the next month; rejected; withdrawn."""
    numbers_hash: str | None
    """Of the case's numbers after it."""


class ConsentDeemed(CaseEvent):
    """A party's silence is taken for its agreement (逾期视为确认), by the terms of its region. Key: the case."""

    party: str
    numbers_hash: str
    """What it is taken to agree to."""


class PartyConfirmed(CaseEvent):
    """One party of the chain confirmed the numbers it saw. Key: the case."""

    party: str
    numbers_hash: str
    deemed: bool = False
    """By its silence, where the terms of its region say so."""


class Reconciled(CaseEvent):
    """All parties of the chain confirmed the same numbers. Key: the case."""

    fund_fen: int
    bill_count: int
    numbers_hash: str


class MoneyMoved(CaseEvent):
    """Common body of one hop of money."""

    payment_id: str
    payer: str
    payee: str
    amount_fen: int
    paid_at: datetime


class Remitted(MoneyMoved):
    """A hop up the chain was paid (上解). Key: the case."""


class Disbursed(MoneyMoved):
    """A hop down the chain was paid (拨付). Key: the case."""


class CaseClosed(CaseEvent):
    """Every hop of the chain is paid; the case is closed. Key: the case."""

    fund_fen: int


class CasePostponed(CaseEvent):
    """A case left a clearing cycle because a party did not pay; a later cycle takes it. Key: the case."""

    cycle_id: str
    debtor: str
    """The party that did not pay."""


class CycleCut(Event):
    """A clearing agency cut a cycle: confirmed cases became net positions (清算批次). Key: the cycle."""

    announcer: ClassVar[str] = "settlement"
    cycle_id: str
    clearing_region: str
    cycle_no: int
    netting: str
    """gross, bilateral, multilateral."""
    month: str
    cases: int
    positions: int
    obligations_fen: int
    """What the hops of its cases come to."""
    positions_fen: int
    """What is to be paid after netting."""
    netting_hash: str

    @property
    def key(self) -> str:
        return self.cycle_id


class PositionDue(Event):
    """A net position is due (上解、拨付): told once for each distance from its day. Key: the cycle.

    While a case is in a cycle this takes the place of RemittanceDue and DisbursementDue.
    """

    announcer: ClassVar[str] = "settlement"
    cycle_id: str
    position_id: str
    clearing_region: str
    kind: str
    """remittance: towards the clearing agency; disbursement: away from it."""
    payer: str
    """Who must pay."""
    payee: str
    amount_fen: int
    due_on: date
    provisional: bool
    """True when the due day lies beyond the known calendar and may still move."""
    working_days_left: int
    """Negative once it is overdue."""

    @property
    def key(self) -> str:
        return self.cycle_id


class PositionSuspended(Event):
    """The clock of a net position stands still, waiting for papers (中止). Key: the cycle."""

    announcer: ClassVar[str] = "settlement"
    cycle_id: str
    position_id: str
    kind: str
    payer: str
    """Whose clock it is."""
    payee: str
    amount_fen: int
    suspended_on: date
    days_left: int
    """Working days that continue when it is resumed."""

    @property
    def key(self) -> str:
        return self.cycle_id


class PositionResumed(Event):
    """The clock of a net position runs again. Key: the cycle."""

    announcer: ClassVar[str] = "settlement"
    cycle_id: str
    position_id: str
    kind: str
    payer: str
    """Whose clock it is."""
    payee: str
    amount_fen: int
    due_on: date
    provisional: bool

    @property
    def key(self) -> str:
        return self.cycle_id


class PositionEscalated(Event):
    """A net position is not paid by its day, and the agency above the payer is told (催办). Key: the cycle."""

    announcer: ClassVar[str] = "settlement"
    cycle_id: str
    position_id: str
    kind: str
    payer: str
    """Who is late."""
    payee: str
    amount_fen: int
    region: str
    """The agency that is told."""
    level_no: int
    due_on: date
    working_days_left: int
    """Negative: it is overdue."""

    @property
    def key(self) -> str:
        return self.cycle_id


class PositionSettled(Event):
    """A net position is paid, or nothing was to be paid. Key: the cycle."""

    announcer: ClassVar[str] = "settlement"
    cycle_id: str
    position_id: str
    payer: str
    payee: str
    amount_fen: int
    settled_by: str
    """payment, prepayment, nothing_owed, later_position."""
    settled_at: datetime

    @property
    def key(self) -> str:
        return self.cycle_id


class PrepaymentLow(Event):
    """A month has used up a prepayment beyond a warning (预付金预警); told once for each. Key: lender and holder."""

    announcer: ClassVar[str] = "settlement"
    lender: str
    holder: str
    use: str
    """yellow or red."""
    month: str
    cleared_fen: int
    """What the lender owed the holder in the cycles of the month."""
    deposit_fen: int
    """What the month began with."""
    level_fen: int

    @property
    def key(self) -> str:
        return f"{self.lender}:{self.holder}"


class PayoutEvent(Event):
    """Common body of what becomes of a payout to a person (待遇支付); never a card or a name."""

    announcer: ClassVar[str] = "settlement"
    payout_id: str
    region: str
    """The agency that pays."""
    person_id: str
    amount_fen: int

    @property
    def key(self) -> str:
        return self.payout_id


class PayoutPaid(PayoutEvent):
    """The bank paid a payout in full. Key: the payout."""

    paid_at: datetime


class PayoutRefused(PayoutEvent):
    """The bank refused a payout, or gave it back: the person is to bring another card. Key: the payout."""

    reason_code: str
    """The bank's code (ISO 20022), e.g. AC04: account closed."""


class OrderFailed(Event):
    """The bank did not pay an order, gave it back, or paid another amount: somebody must act. Key: the order."""

    announcer: ClassVar[str] = "settlement"
    order_id: str
    purpose: str
    """hop, position, prepayment, payout."""
    reference: str
    party: str
    """The payer, who must act."""
    amount_fen: int
    state: str
    """rejected, returned, partly_paid; settled where too much was paid."""

    @property
    def key(self) -> str:
        return self.order_id


class WithholdingApproved(Event):
    """Two people of an agency agreed to a deduction of a facility, or to give something back. Key: the withholding."""

    announcer: ClassVar[str] = "settlement"
    withholding_id: str
    region: str
    """The agency that pays the facility."""
    facility_code: str
    kind: str
    """deduction, deduction_return, retention_release."""
    amount_fen: int
    """What the next net positions are smaller by, or, given back, larger."""
    kept_fen: int
    """What of a retention is not given back."""

    @property
    def key(self) -> str:
        return self.withholding_id
