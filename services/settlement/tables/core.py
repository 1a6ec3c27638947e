"""The rows settlement keeps. No behaviour: constraints and indexes only.

Bills and ledgers are written once and never changed: triggers refuse it, see the migration.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

METADATA = MetaData(schema="settlement")


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


def _by_year(key: str) -> dict[str, str]:
    """A table with a partition for each year of its ids, which are ULIDs and so begin with their moment."""
    return {"postgresql_partition_by": f"RANGE ({key})"}


class Table(SQLModel, registry=registry(metadata=METADATA)):
    """Base of this service's tables: a registry of its own, so that schemas never mix."""


class Facility(Table, table=True):
    """Copy of a designated facility (定点医药机构), kept by events."""

    __tablename__ = "facility"

    facility_code: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    level: str = Field(sa_type=Text)
    region: str = Field(sa_type=Text)
    revision: int


class Statement(Table, table=True):
    """One version of what a party states; every version is kept.

    A facility states a month or a day (汇总表), an agency the month of a chain as its own books have it (机构间对账单).
    """

    __tablename__ = "statement"
    __table_args__ = (
        Index(
            "statement_version",
            "party",
            "period",
            "day",
            "version_no",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("home_region IS NULL"),
        ),
        Index(
            "statement_version_agency",
            "period",
            "care_region",
            "home_region",
            "party",
            "version_no",
            unique=True,
            postgresql_where=text("home_region IS NOT NULL"),
        ),
        CheckConstraint("period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'", name="statement_period"),
        CheckConstraint("to_char(day, 'YYYY-MM') = period", name="statement_day"),
        CheckConstraint("day IS NULL OR home_region IS NULL", name="statement_of"),
        CheckConstraint(
            "state IN ('details_wanted', 'differences', 'matched', 'reopened', 'replaced')", name="statement_state"
        ),
        CheckConstraint("version_no > 0 AND match_no >= 0", name="statement_numbers"),
        Index("statement_reopened", "statement_id", postgresql_where=text("state = 'reopened'")),
    )

    statement_id: str = Field(primary_key=True, sa_type=Text)
    party: str = Field(sa_type=Text)
    """Who states: a facility, or an agency."""
    care_region: str = Field(sa_type=Text)
    period: str = Field(sa_type=Text)
    version_no: int
    state: str = Field(sa_type=Text)
    match_no: int
    """How often it was matched bill by bill; differences of every match are kept."""
    submitted_by: str = Field(sa_type=Text)
    submitted_at: datetime = _moment()
    submitted_on: date
    """The Asia/Shanghai day of it: the parties' clock starts here."""
    day: date | None = None
    """The one day a facility states; None for a month."""
    home_region: str | None = Field(default=None, sa_type=Text)
    """The other end of the chain an agency states; None for a facility."""


class StatementTouch(Table, table=True):
    """That bills were booked which a stated day, or an agency's statement, did not see: it is to be compared again.

    Booking only appends here, so that it waits for no match.
    """

    __tablename__ = "statement_touch"
    __table_args__ = (
        ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="statement_touch_of"),
    )

    touch_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    statement_id: str = Field(sa_type=Text)
    waits_for: int | None = Field(default=None, sa_type=BigInteger)
    """The number of a transaction that must have ended before, and all that are older: they may have booked without
    knowing of the statement.
    """


class FacilityMonth(Table, table=True):
    """A facility's month: its row is the lock between booking (shared) and submitting, matching, confirming (alone)."""

    __tablename__ = "facility_month"
    __table_args__ = (
        CheckConstraint("period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'", name="facility_month_period"),
        ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="facility_month_statement"),
    )

    facility_code: str = Field(primary_key=True, sa_type=Text)
    period: str = Field(primary_key=True, sa_type=Text)
    confirmed: bool
    """Somebody confirmed a case of this month: it takes no more bills and no new statement."""
    statement_id: str | None = Field(default=None, sa_type=Text)
    """The version that counts."""


class SettlementCase(Table, table=True):
    """A case (清算单). Its numbers are there from the match on."""

    __tablename__ = "settlement_case"
    __table_args__ = (
        UniqueConstraint("facility_code", "period", "home_region", "care_region", name="settlement_case_key"),
        ForeignKeyConstraint(
            ["facility_code", "period"],
            ["settlement.facility_month.facility_code", "settlement.facility_month.period"],
            name="settlement_case_month",
        ),
        CheckConstraint(
            "state IN ('open', 'submitted', 'differences', 'matched', 'confirmed', 'remitting', 'disbursing',"
            " 'closed')",
            name="settlement_case_state",
        ),
        CheckConstraint("chain[1] = care_region AND chain[cardinality(chain)] = home_region", name="chain_ends"),
        CheckConstraint("clearing_region = ANY (chain)", name="chain_clearing"),
        CheckConstraint(
            "(numbers_hash IS NULL) = (state IN ('open', 'submitted', 'differences'))", name="settlement_case_numbers"
        ),
        CheckConstraint(
            "num_nulls(bill_count, total_fen, fund_fen, account_fen, payable_fen, numbers_hash) IN (0, 6)",
            name="settlement_case_all_numbers",
        ),
        CheckConstraint("payable_fen = fund_fen + account_fen", name="settlement_case_payable"),
        Index("settlement_case_period", "period", "case_id"),
        Index("settlement_case_to_clear", "clearing_region", "case_id", postgresql_where=text("state = 'confirmed'")),
    )

    case_id: str = Field(primary_key=True, sa_type=Text)
    facility_code: str = Field(sa_type=Text)
    period: str = Field(sa_type=Text)
    care_region: str = Field(sa_type=Text)
    home_region: str = Field(sa_type=Text)
    clearing_region: str = Field(sa_type=Text)
    chain: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    """The agencies, care first and home last."""
    state: str = Field(sa_type=Text)
    bill_count: int | None = Field(default=None, sa_type=BigInteger)
    total_fen: int | None = Field(default=None, sa_type=BigInteger)
    fund_fen: int | None = Field(default=None, sa_type=BigInteger)
    account_fen: int | None = Field(default=None, sa_type=BigInteger)
    payable_fen: int | None = Field(default=None, sa_type=BigInteger)
    numbers_hash: str | None = Field(default=None, sa_type=Text)
    """SHA-256 over the bills in order with their amounts: what a confirmation names."""
    opened_at: datetime = _moment()


class CaseStep(Table, table=True):
    """Who did what to a case, when, and which version of its numbers stood; never changed."""

    __tablename__ = "case_step"
    __table_args__ = (
        ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="case_step_case"),
        Index("case_step_case", "case_id", "step_no"),
    )

    step_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    case_id: str = Field(sa_type=Text)
    step: str = Field(sa_type=Text)
    party: str = Field(sa_type=Text)
    """Who acted: a facility or agency, or `settlement` for what follows by itself."""
    subject: str | None = Field(default=None, sa_type=Text)
    numbers_hash: str | None = Field(default=None, sa_type=Text)
    at: datetime = _moment()


class Bill(Table, table=True):
    """A booked bill (结算): one row for a settlement and one for its reversal. Amounts in fen."""

    __tablename__ = "bill"
    __table_args__ = (
        CheckConstraint("total_fen = fund_fen + account_fen + cash_fen + hospital_fen", name="bill_total"),
        CheckConstraint("payable_fen = fund_fen + account_fen", name="bill_payable"),
        CheckConstraint("refund = (reverses_settlement_id IS NOT NULL)", name="bill_refund"),
        CheckConstraint("period >= settled_period", name="bill_period"),
        ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="bill_case"),
        Index("bill_case", "case_id", "settlement_id"),
        Index("bill_reverses", "reverses_settlement_id", postgresql_where=text("reverses_settlement_id IS NOT NULL")),
        _by_year("settlement_id"),
    )

    settlement_id: str = Field(primary_key=True, sa_type=Text)
    case_id: str = Field(sa_type=Text)
    visit_id: str = Field(sa_type=Text)
    person_id: str = Field(sa_type=Text)
    facility_code: str = Field(sa_type=Text)
    facility_settlement_no: str = Field(sa_type=Text)
    care_region: str = Field(sa_type=Text)
    home_region: str = Field(sa_type=Text)
    insutype: str = Field(sa_type=Text)
    med_type: str = Field(sa_type=Text)
    clr_type: str = Field(sa_type=Text)
    refund: bool
    reverses_settlement_id: str | None = Field(default=None, sa_type=Text)
    """The settlement it reverses; may arrive later than this row."""
    settled_at: datetime = _moment()
    settled_period: str = Field(sa_type=Text)
    """The month of `settled_at`."""
    period: str = Field(sa_type=Text)
    """The month it is booked in: a later one when its own was confirmed already."""
    total_fen: int = Field(sa_type=BigInteger)
    fund_fen: int = Field(sa_type=BigInteger)
    account_fen: int = Field(sa_type=BigInteger)
    cash_fen: int = Field(sa_type=BigInteger)
    hospital_fen: int = Field(sa_type=BigInteger)
    payable_fen: int = Field(sa_type=BigInteger)
    traceparent: str | None = Field(default=None, sa_type=Text)
    booked_at: datetime = _moment()


class LedgerTransaction(Table, table=True):
    """One event of money in the books of its parties. Its id is that of the settlement or payment it books."""

    __tablename__ = "ledger_transaction"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('bill', 'reversal', 'payment', 'clearing', 'clearing_reversal', 'prepayment', 'payout',"
            " 'payout_reversal', 'bank', 'identification', 'withholding', 'withholding_reversal')",
            name="ledger_transaction_kind",
        ),
        CheckConstraint(
            "(kind IN ('reversal', 'clearing_reversal', 'identification', 'payout_reversal', 'withholding_reversal'))"
            " = (reverses_transaction_id IS NOT NULL)",
            name="ledger_reversal",
        ),
        CheckConstraint(
            "case_id IS NOT NULL OR kind IN ('payment', 'prepayment', 'payout', 'payout_reversal', 'bank',"
            " 'identification', 'withholding', 'withholding_reversal')",
            name="ledger_transaction_of_case",
        ),
        CheckConstraint("value_date BETWEEN '1990-01-01' AND '2200-01-01'", name="ledger_transaction_value_date"),
        CheckConstraint("isfinite(booked_at)", name="ledger_transaction_booked_at"),
        ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="ledger_transaction_case"),
        Index("ledger_transaction_case", "case_id"),
        _by_year("transaction_id"),
    )

    transaction_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    case_id: str | None = Field(default=None, sa_type=Text)
    """None where it is of no single case: a position of a cycle, a prepayment."""
    period: str = Field(sa_type=Text)
    """The accounting month."""
    value_date: date
    """The day the money counts: of the settlement or the payment."""
    booked_at: datetime = _moment()
    reverses_transaction_id: str | None = Field(default=None, sa_type=Text)


class LedgerEntry(Table, table=True):
    """One line of one party's book: debit positive, credit negative, never zero. Amounts in fen.

    That its transaction exists is checked by the trigger that checks the balance: a foreign key asks row by row, which
    doubles the cost of booking, and protects against deletions, which are refused anyway.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (
        CheckConstraint("amount_fen <> 0", name="ledger_entry_amount"),
        CheckConstraint(
            "account_kind IN ('receivable', 'payable', 'fund_expenditure', 'personal_account', 'medical_income',"
            " 'bank', 'clearing', 'prepayment_lent', 'prepayment_held', 'suspense', 'benefits_payable',"
            " 'other_income', 'retention_held', 'retention_due', 'deductions')",
            name="ledger_entry_kind",
        ),
        CheckConstraint(
            "account_kind = 'suspense' OR (account_kind IN ('receivable', 'payable', 'clearing', 'prepayment_lent',"
            " 'prepayment_held', 'retention_held', 'retention_due', 'deductions')) = (counterparty <> '')",
            name="ledger_entry_counterparty",
        ),
        CheckConstraint("(account_kind = 'fund_expenditure') = (fund_pay_type <> '')", name="ledger_entry_fund"),
        Index("ledger_entry_book", "book", "transaction_id", "line_no"),
        _by_year("transaction_id"),
    )

    transaction_id: str = Field(primary_key=True, sa_type=Text)
    line_no: int = Field(primary_key=True)
    book: str = Field(sa_type=Text)
    """Whose book: a facility code or an agency's region code."""
    account_kind: str = Field(sa_type=Text)
    counterparty: str = Field(sa_type=Text)
    fund_pay_type: str = Field(sa_type=Text)
    amount_fen: int = Field(sa_type=BigInteger)


class StatementTotal(Table, table=True):
    """One group of a statement beside the books as they stood at the last comparison (3201)."""

    __tablename__ = "statement_total"
    __table_args__ = (
        CheckConstraint("bill_count >= 0", name="statement_total_count"),
        ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="statement_total_of"),
    )

    statement_id: str = Field(primary_key=True, sa_type=Text)
    home_region: str = Field(primary_key=True, sa_type=Text)
    insutype: str = Field(primary_key=True, sa_type=Text)
    clr_type: str = Field(primary_key=True, sa_type=Text)
    refund: bool = Field(primary_key=True)
    total_fen: int = Field(sa_type=BigInteger)
    fund_fen: int = Field(sa_type=BigInteger)
    account_fen: int = Field(sa_type=BigInteger)
    bill_count: int = Field(sa_type=BigInteger)
    books_total_fen: int = Field(sa_type=BigInteger)
    books_fund_fen: int = Field(sa_type=BigInteger)
    books_account_fen: int = Field(sa_type=BigInteger)
    books_bill_count: int = Field(sa_type=BigInteger)


class StatementLine(Table, table=True):
    """One bill as the facility states it (3202)."""

    __tablename__ = "statement_line"
    __table_args__ = (
        ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="statement_line_of"),
    )

    statement_id: str = Field(primary_key=True, sa_type=Text)
    facility_settlement_no: str = Field(primary_key=True, sa_type=Text)
    refund: bool = Field(primary_key=True)
    settlement_id: str | None = Field(default=None, sa_type=Text)
    total_fen: int = Field(sa_type=BigInteger)
    fund_fen: int = Field(sa_type=BigInteger)
    account_fen: int = Field(sa_type=BigInteger)


_CLASSES = (
    "'within_tolerance', 'amount_differs', 'key_differs', 'period_differs', 'duplicate', 'reversed_on_one_side',"
    " 'missing_in_statement', 'missing_in_books'"
)


class StatementClass(Table, table=True):
    """How many bills, and how much money of each side, one match put into one class."""

    __tablename__ = "statement_class"
    __table_args__ = (
        CheckConstraint(f"difference_class IN ('agreed', {_CLASSES})", name="statement_class_class"),
        ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="statement_class_of"),
    )

    statement_id: str = Field(primary_key=True, sa_type=Text)
    match_no: int = Field(primary_key=True)
    difference_class: str = Field(primary_key=True, sa_type=Text)
    books_bill_count: int = Field(sa_type=BigInteger)
    books_total_fen: int = Field(sa_type=BigInteger)
    books_fund_fen: int = Field(sa_type=BigInteger)
    books_account_fen: int = Field(sa_type=BigInteger)
    stated_bill_count: int = Field(sa_type=BigInteger)
    stated_total_fen: int = Field(sa_type=BigInteger)
    stated_fund_fen: int = Field(sa_type=BigInteger)
    stated_account_fen: int = Field(sa_type=BigInteger)


class Difference(Table, table=True):
    """One bill on which statement and books do not agree, as one match found it; the absent side is NULL."""

    __tablename__ = "difference"
    __table_args__ = (
        CheckConstraint(f"difference_class IN ({_CLASSES})", name="difference_class"),
        ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="difference_of"),
    )

    statement_id: str = Field(primary_key=True, sa_type=Text)
    match_no: int = Field(primary_key=True)
    position: int = Field(primary_key=True)
    difference_class: str = Field(sa_type=Text)
    facility_settlement_no: str = Field(sa_type=Text)
    refund: bool
    settlement_id: str | None = Field(default=None, sa_type=Text)
    home_region: str | None = Field(default=None, sa_type=Text)
    books_total_fen: int | None = Field(default=None, sa_type=BigInteger)
    books_fund_fen: int | None = Field(default=None, sa_type=BigInteger)
    books_account_fen: int | None = Field(default=None, sa_type=BigInteger)
    stated_total_fen: int | None = Field(default=None, sa_type=BigInteger)
    stated_fund_fen: int | None = Field(default=None, sa_type=BigInteger)
    stated_account_fen: int | None = Field(default=None, sa_type=BigInteger)
    line_no: int | None = None
    """The line of the statement's file."""
    stated_settlement_no: str | None = Field(default=None, sa_type=Text)
    stated_settlement_id: str | None = Field(default=None, sa_type=Text)
    """Number and id the line gives, where they are others than the bill's."""
    other_period: str | None = Field(default=None, sa_type=Text)
    item_key: str | None = Field(default=None, sa_type=Text)
    """What it is about, alike in every match of the month; absent in matches of before there were work items."""


class Resolution(Table, table=True):
    """The decision that the books stand (以账面为准) in spite of the differences of one match; four eyes."""

    __tablename__ = "resolution"
    __table_args__ = (
        CheckConstraint("approved_by IS NULL OR approved_by <> proposed_by", name="resolution_four_eyes"),
        CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="resolution_approved"),
        ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="resolution_of"),
    )

    statement_id: str = Field(primary_key=True, sa_type=Text)
    match_no: int = Field(primary_key=True)
    reason: str = Field(sa_type=Text)
    proposed_by: str = Field(sa_type=Text)
    proposed_at: datetime = _moment()
    approved_by: str | None = Field(default=None, sa_type=Text)
    approved_at: datetime | None = _moment(nullable=True)


class Confirmation(Table, table=True):
    """One party's word that it saw and accepts the numbers of a case (对账确认)."""

    __tablename__ = "confirmation"
    __table_args__ = (
        ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="confirmation_case"),
    )

    case_id: str = Field(primary_key=True, sa_type=Text)
    party: str = Field(primary_key=True, sa_type=Text)
    numbers_hash: str = Field(sa_type=Text)
    confirmed_by: str | None = Field(default=None, sa_type=Text)
    """The person; absent where silence is agreement (逾期视为确认)."""
    confirmed_at: datetime = _moment()


class Hop(Table, table=True):
    """One hop of a case's money between two parties; payer and payee are right for its (positive) amount."""

    __tablename__ = "hop"
    __table_args__ = (
        CheckConstraint("kind IN ('remittance', 'disbursement')", name="hop_kind"),
        CheckConstraint("state IN ('waiting', 'payable', 'proposed', 'in_position', 'paid')", name="hop_state"),
        CheckConstraint("amount_fen > 0 AND hop_no > 0 AND payer <> payee", name="hop_amount"),
        ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="hop_case"),
    )

    case_id: str = Field(primary_key=True, sa_type=Text)
    hop_no: int = Field(primary_key=True)
    kind: str = Field(sa_type=Text)
    payer: str = Field(sa_type=Text)
    payee: str = Field(sa_type=Text)
    amount_fen: int = Field(sa_type=BigInteger)
    state: str = Field(sa_type=Text)


class Payment(Table, table=True):
    """The document of one hop's payment (付款单): one person proposes, another approves, and it is paid."""

    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("case_id", "hop_no", name="payment_once"),
        CheckConstraint("approved_by IS NULL OR approved_by <> proposed_by", name="payment_four_eyes"),
        CheckConstraint("(approved_by IS NULL) = (paid_at IS NULL)", name="payment_paid"),
        ForeignKeyConstraint(
            ["case_id", "hop_no"], ["settlement.hop.case_id", "settlement.hop.hop_no"], name="payment_hop"
        ),
        Index("payment_to_approve", "payer", "payment_id", postgresql_where=text("approved_by IS NULL")),
    )

    payment_id: str = Field(primary_key=True, sa_type=Text)
    case_id: str = Field(sa_type=Text)
    hop_no: int
    payer: str = Field(sa_type=Text)
    payee: str = Field(sa_type=Text)
    amount_fen: int = Field(sa_type=BigInteger)
    proposed_by: str = Field(sa_type=Text)
    proposed_at: datetime = _moment()
    approved_by: str | None = Field(default=None, sa_type=Text)
    paid_at: datetime | None = _moment(nullable=True)


class Due(Table, table=True):
    """What one party must do for one case, and by when (期限)."""

    __tablename__ = "due"
    __table_args__ = (
        CheckConstraint("kind IN ('reconciliation', 'remittance', 'disbursement')", name="due_kind"),
        CheckConstraint("due_on >= since AND working_days >= 0 AND since >= started_on", name="due_days"),
        CheckConstraint("kind = 'reconciliation' OR NOT deemed_consent", name="due_deemed"),
        ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="due_case"),
        Index("due_waiting", "party", "due_on", "case_id", postgresql_where=text("done_at IS NULL")),
    )

    case_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(primary_key=True, sa_type=Text)
    party: str = Field(primary_key=True, sa_type=Text)
    since: date
    working_days: int
    due_on: date
    provisional: bool
    done_at: datetime | None = _moment(nullable=True)
    started_on: date
    """When its clock began; `since` is later after a suspension."""
    reminder_distances: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    escalation_distances: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    deemed_consent: bool
    suspended_on: date | None = None


class Reminder(Table, table=True):
    """That a due was dealt with at a distance from its day: its key is why no reminder goes out twice."""

    __tablename__ = "reminder"
    __table_args__ = (
        ForeignKeyConstraint(
            ["case_id", "kind", "party"],
            ["settlement.due.case_id", "settlement.due.kind", "settlement.due.party"],
            name="reminder_due",
        ),
    )

    case_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(primary_key=True, sa_type=Text)
    party: str = Field(primary_key=True, sa_type=Text)
    distance: int = Field(primary_key=True)
    recorded_at: datetime = _moment()
    announced: bool
    """False when a nearer distance had been reached too and was announced instead."""
