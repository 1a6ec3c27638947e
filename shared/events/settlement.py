"""What settlement announces: the way of a month's money among the parties of the chain."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar

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

    @property
    def key(self) -> str:
        return f"{self.facility_code}:{self.period}"


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


class PartyConfirmed(CaseEvent):
    """One party of the chain confirmed the numbers it saw. Key: the case."""

    party: str
    numbers_hash: str


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
