"""One event of each kind notification hears, among made-up parties of Zhoukou and Nanyang."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from shared.events import Envelope, Event, new_id
from shared.events.claims import DischargeSettled, FundShare, SettlementReversed
from shared.events.designation import (
    AgreementEnded,
    AgreementRestored,
    AgreementSigned,
    AgreementSuspended,
    FacilityChanged,
    Suspension,
)
from shared.events.enrollment import FilingApproved, FilingCancelled
from shared.events.settlement import (
    CaseClosed,
    CasePostponed,
    ConsentDeemed,
    DifferenceFound,
    Disbursed,
    DisbursementDue,
    DueEscalated,
    DueResumed,
    DueSuspended,
    ItemsDue,
    ItemsEscalated,
    ObjectionDecided,
    ObjectionDue,
    ObjectionEscalated,
    ObjectionRaised,
    OrderFailed,
    PayoutPaid,
    PayoutRefused,
    PositionDue,
    PositionEscalated,
    PositionResumed,
    PositionSettled,
    PositionSuspended,
    PrepaymentLow,
    Reconciled,
    ReconciliationDue,
    RemittanceDue,
    Remitted,
    WithholdingApproved,
)

AT = datetime(2026, 11, 2, 1, 30, tzinfo=UTC)
FACILITY, FACILITY_NAME = "H41160300001", "淮阳区人民医院"
CARE, HOME, CITY, PROVINCE = "411603", "411602", "411600", "410000"
FOREIGN_CITY, FOREIGN_COUNTY = "411300", "411381"
PERSON = "01KAJ0P3R5S0N1D2E3N4T5F6Y7"


def bill(**changed: Any) -> DischargeSettled:
    """A stay of somebody of Chuanhui in a hospital of Huaiyang."""
    return DischargeSettled(**{**_BILL, **changed})


def reversal(**changed: Any) -> SettlementReversed:
    """The same bill, taken back."""
    negative = {name: -value for name, value in _BILL.items() if name.endswith("_fen")}
    about = {"shares": (FundShare(fund_pay_type="390100", amount_fen=-843_210),), "settlement_id": new_id()}
    return SettlementReversed(
        **{**_BILL, **negative, **about, "reverses_settlement_id": _BILL["settlement_id"], **changed}
    )


_BILL: dict[str, Any] = {
    "settlement_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
    "visit_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6R",
    "person_id": PERSON,
    "facility_code": FACILITY,
    "facility_settlement_no": "20261102-000123",
    "care_region": CARE,
    "home_region": HOME,
    "insutype": "390",
    "psn_type": "15",
    "med_type": "21",
    "clr_type": "21",
    "began_on": date(2026, 10, 26),
    "ended_on": date(2026, 11, 2),
    "settled_at": AT,
    "total_fen": 1_234_505,
    "fund_fen": 843_210,
    "account_fen": 0,
    "cash_fen": 391_295,
    "hospital_fen": 0,
    "shares": (FundShare(fund_pay_type="390100", amount_fen=843_210),),
}
_AGREEMENT: dict[str, Any] = {
    "agreement_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6S",
    "facility_code": FACILITY,
    "valid_from": date(2026, 1, 1),
    "valid_to": date(2026, 12, 31),
    "suspensions": (Suspension(since=date(2026, 11, 1)),),
    "revision": 2,
}
_CASE: dict[str, Any] = {
    "case_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6T",
    "facility_code": FACILITY,
    "period": "2026-10",
    "care_region": CARE,
    "home_region": HOME,
}
_DUE: dict[str, Any] = {
    **_CASE,
    "party": HOME,
    "due_on": date(2026, 11, 20),
    "provisional": False,
    "working_days_left": 2,
}
_HOP: dict[str, Any] = {
    **_CASE,
    "payment_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6V",
    "payer": CITY,
    "payee": CARE,
    "amount_fen": 843_210,
    "paid_at": AT,
}

_POSITION_CLOCK: dict[str, Any] = {
    "cycle_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6S",
    "position_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6T",
    "kind": "remittance",
    "payer": HOME,
    "payee": CITY,
    "amount_fen": 843_210,
}
_POSITION: dict[str, Any] = {**_POSITION_CLOCK, "due_on": date(2026, 12, 4)}

FACILITY_CHANGED = FacilityChanged(
    facility_code=FACILITY, name=FACILITY_NAME, kind="hospital", level="2", region=CARE, revision=1
)

EXAMPLES: tuple[Event, ...] = (
    ItemsDue(
        facility_code=FACILITY,
        period="2026-10",
        party=FACILITY,
        due_on=date(2026, 11, 9),
        item_count=3,
        amount_fen=4_000,
        working_days_left=2,
    ),
    DueEscalated(
        **_CASE,
        kind="reconciliation",
        party=HOME,
        region=CITY,
        level_no=1,
        due_on=date(2026, 11, 20),
        working_days_left=-5,
    ),
    ItemsEscalated(
        facility_code=FACILITY,
        period="2026-10",
        party=FACILITY,
        region=CARE,
        level_no=1,
        due_on=date(2026, 11, 9),
        item_count=3,
        amount_fen=4_000,
        working_days_left=-5,
    ),
    ObjectionDue(
        **_CASE,
        objection_no=1,
        party=HOME,
        deciding_party=CARE,
        due_on=date(2026, 11, 27),
        provisional=False,
        working_days_left=2,
    ),
    ObjectionEscalated(
        **_CASE,
        objection_no=1,
        party=HOME,
        deciding_party=CARE,
        region=CITY,
        level_no=1,
        due_on=date(2026, 11, 27),
        working_days_left=-5,
    ),
    PositionDue(**_POSITION, clearing_region=CITY, provisional=False, working_days_left=2),
    PositionEscalated(**_POSITION, region=CITY, level_no=1, working_days_left=-5),
    PositionSuspended(**_POSITION_CLOCK, suspended_on=date(2026, 11, 20), days_left=4),
    PositionResumed(**_POSITION_CLOCK, due_on=date(2026, 12, 4), provisional=True),
    DueSuspended(**_CASE, kind="remittance", party=HOME, suspended_on=date(2026, 11, 20), days_left=4),
    DueResumed(**_CASE, kind="disbursement", party=CARE, due_on=date(2026, 11, 20), provisional=True),
    ObjectionRaised(
        **_CASE,
        objection_no=1,
        party=HOME,
        deciding_party=CARE,
        bill_count=2,
        payable_fen=70_000,
        due_on=date(2026, 11, 27),
    ),
    ObjectionDecided(**_CASE, objection_no=1, party=HOME, decision="accepted", numbers_hash=None),
    ConsentDeemed(**_CASE, party=HOME, numbers_hash="f" * 64),
    bill(),
    reversal(),
    FilingApproved(
        filing_id="01KAJ5T1D4GQ7X8Z2V3N4M5P6W",
        person_id=PERSON,
        kind="referral",
        care_region=CARE,
        valid_from=date(2026, 11, 1),
        valid_to=None,
        revision=1,
    ),
    FilingCancelled(filing_id="01KAJ5T1D4GQ7X8Z2V3N4M5P6W", person_id=PERSON, revision=2),
    AgreementSigned(**_AGREEMENT),
    AgreementSuspended(**_AGREEMENT),
    AgreementRestored(**_AGREEMENT),
    AgreementEnded(**_AGREEMENT),
    DifferenceFound(
        statement_id="01KAJ5T1D4GQ7X8Z2V3N4M5P6X",
        facility_code=FACILITY,
        period="2026-10",
        difference_class="missing_in_statement",
        facility_settlement_no="20261102-000123",
        books_fund_fen=843_210,
        statement_fund_fen=None,
    ),
    ReconciliationDue(**_DUE),
    RemittanceDue(**_DUE),
    DisbursementDue(**{**_DUE, "party": CARE, "provisional": True}),
    Reconciled(**_CASE, fund_fen=843_210, bill_count=1, numbers_hash="0" * 64),
    Remitted(**{**_HOP, "payer": HOME, "payee": CITY}),
    Disbursed(**{**_HOP, "payer": CARE, "payee": FACILITY}),
    CasePostponed(**_CASE, cycle_id="01KAJ5T1D4GQ7X8Z2V3N4M5P6S", debtor=HOME),
    PositionSettled(
        cycle_id="01KAJ5T1D4GQ7X8Z2V3N4M5P6S",
        position_id="01KAJ5T1D4GQ7X8Z2V3N4M5P6T",
        payer=HOME,
        payee=CITY,
        amount_fen=843_210,
        settled_by="payment",
        settled_at=AT,
    ),
    PrepaymentLow(
        lender=HOME,
        holder=CITY,
        use="red",
        month="2026-11",
        cleared_fen=950_000,
        deposit_fen=1_000_000,
        level_fen=1_200_000,
    ),
    PayoutPaid(payout_id=PERSON, region=HOME, person_id=PERSON, amount_fen=320_000, paid_at=AT),
    PayoutRefused(payout_id=PERSON, region=HOME, person_id=PERSON, amount_fen=320_000, reason_code="AC04"),
    OrderFailed(
        order_id="01KAJ5T1D4GQ7X8Z2V3N4M5P7A",
        purpose="payout",
        reference=PERSON,
        party=HOME,
        amount_fen=320_000,
        state="returned",
    ),
    WithholdingApproved(
        withholding_id="01KAJ5T1D4GQ7X8Z2V3N4M5P9A",
        region=CARE,
        facility_code=FACILITY,
        kind="retention_release",
        amount_fen=81_000,
        kept_fen=9_000,
    ),
    CaseClosed(**_CASE, fund_fen=843_210),
)


def example(kind: type[Event]) -> Event:
    """The example of one kind."""
    return next(event for event in EXAMPLES if type(event) is kind)


def envelope(event: Event, traceparent: str | None = None) -> Envelope[Event]:
    """An occurrence of an event."""
    return Envelope(event, AT, traceparent=traceparent)
