"""The rows claims keeps. No behaviour: constraints and indexes only. Amounts are whole fen."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

METADATA = MetaData(schema="claims")


class Table(SQLModel, registry=registry(metadata=METADATA)):
    """Base of this service's tables: a registry of its own, so that schemas never mix."""


def _fen() -> Any:
    return Field(sa_type=BigInteger)


def _text(**options: Any) -> Any:
    return Field(sa_type=Text, **options)


def _moment() -> Any:
    return Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class Person(Table, table=True):
    """Copy: a person's number and the keyed hash of the identity number."""

    __tablename__ = "person"

    person_id: str = _text(primary_key=True)
    identity_hash: str = _text(index=True)
    revision: int


class InsuranceSpan(Table, table=True):
    """Copy: who is insured for what."""

    __tablename__ = "insurance_span"

    span_id: str = _text(primary_key=True)
    person_id: str = _text(index=True)
    insutype: str = _text()
    psn_type: str = _text()
    region: str = _text()
    valid_from: date
    valid_to: date | None = None
    revision: int


class Filing(Table, table=True):
    """Copy: remote-care filings; a cancelled one keeps its row, so that a late event never revives it."""

    __tablename__ = "filing"

    filing_id: str = _text(primary_key=True)
    person_id: str = _text(index=True)
    kind: str | None = _text(default=None)
    care_region: str | None = _text(default=None)
    valid_from: date | None = None
    valid_to: date | None = None
    cancelled: bool
    revision: int


class Facility(Table, table=True):
    """Copy: facilities."""

    __tablename__ = "facility"

    code: str = _text(primary_key=True)
    kind: str = _text()
    level: str = _text()
    region: str = _text()
    revision: int


class Agreement(Table, table=True):
    """Copy: agreements with their suspensions, a list of [since, until or null]."""

    __tablename__ = "agreement"

    agreement_id: str = _text(primary_key=True)
    facility_code: str = _text(index=True)
    valid_from: date
    valid_to: date
    suspensions: list[list[str | None]] = Field(sa_column=Column(JSONB, nullable=False))
    revision: int


class Visit(Table, table=True):
    """A stay, an outpatient visit or a pharmacy purchase (就诊)."""

    __tablename__ = "visit"
    __table_args__ = (
        CheckConstraint("kind IN ('inpatient', 'outpatient', 'pharmacy')", name="visit_kind"),
        CheckConstraint("state IN ('open', 'settled', 'cancelled')", name="visit_state"),
        CheckConstraint("ended_at IS NULL OR began_at <= ended_at", name="visit_period"),
        UniqueConstraint("facility_code", "facility_visit_no", name="visit_number"),
    )

    visit_id: str = _text(primary_key=True)
    facility_code: str = _text()
    facility_visit_no: str = _text()
    person_id: str = _text(index=True)
    kind: str = _text()
    med_type: str = _text()
    insutype: str = _text()
    emergency: bool
    began_at: datetime = _moment()
    ended_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=True))
    state: str = _text()


class FeeLine(Table, table=True):
    """A fee line (费用明细); never changed, voided by a negative one."""

    __tablename__ = "fee_line"
    __table_args__ = (
        CheckConstraint("amount_fen >= 0 OR voids_line_no IS NOT NULL", name="fee_line_void"),
        CheckConstraint("amount_fen = round(quantity * unit_price * 100)", name="fee_line_amount"),
        ForeignKeyConstraint(["visit_id"], ["claims.visit.visit_id"], name="fee_line_visit"),
    )

    visit_id: str = _text(primary_key=True)
    line_no: str = _text(primary_key=True)
    item_code: str = _text()
    item_class: str = _text()
    occurred_at: datetime = _moment()
    quantity: Decimal = Field(sa_type=Numeric(16, 4))
    unit_price: Decimal = Field(sa_type=Numeric(16, 6))
    amount_fen: int = _fen()
    voids_line_no: str | None = _text(default=None)


class Settlement(Table, table=True):
    """A settlement (结算); never changed. A reversal is a negative one that names the one it reverses."""

    __tablename__ = "settlement"
    __table_args__ = (
        CheckConstraint("total_fen = fund_fen + person_fen + hospital_fen", name="settlement_total"),
        CheckConstraint("person_fen = account_fen + cash_fen", name="settlement_person"),
        CheckConstraint("total_fen = own_fen + over_ceiling_fen + prepay_fen + in_scope_fen", name="settlement_scope"),
        CheckConstraint(
            "in_scope_fen + relieved_fen = deductible_fen + fund_fen + hospital_fen + by_ratio_fen + over_cap_fen",
            name="settlement_layers",
        ),
        CheckConstraint(
            "CASE WHEN reverses_settlement_id IS NULL"
            " THEN least(total_fen, fund_fen, account_fen, cash_fen, hospital_fen, own_fen, over_ceiling_fen,"
            " prepay_fen, in_scope_fen, deductible_fen, by_ratio_fen, over_cap_fen, relieved_fen) >= 0"
            " ELSE greatest(total_fen, fund_fen, account_fen, cash_fen, hospital_fen, own_fen, over_ceiling_fen,"
            " prepay_fen, in_scope_fen, deductible_fen, by_ratio_fen, over_cap_fen, relieved_fen) <= 0 END",
            name="settlement_sign",
        ),
        CheckConstraint("fund_fen = claims.sum_of(shares)", name="settlement_shares"),
        UniqueConstraint("reverses_settlement_id", name="settlement_reversed_once"),
        UniqueConstraint("facility_code", "facility_settlement_no", name="settlement_number"),
        Index("settlement_of_facility", "facility_code", "settled_at"),
        Index("settlement_of_person", "person_id"),
        ForeignKeyConstraint(["visit_id"], ["claims.visit.visit_id"], name="settlement_visit"),
        ForeignKeyConstraint(
            ["reverses_settlement_id"], ["claims.settlement.settlement_id"], name="settlement_reverses"
        ),
    )

    settlement_id: str = _text(primary_key=True)
    visit_id: str = _text(index=True)
    person_id: str = _text()
    facility_code: str = _text()
    facility_settlement_no: str = _text()
    reverses_settlement_id: str | None = _text(default=None)
    reason: str | None = _text(default=None)
    kind: str = _text()
    care_region: str = _text()
    home_region: str = _text()
    insutype: str = _text()
    psn_type: str = _text()
    med_type: str = _text()
    clr_type: str = _text()
    pay_loc: str = _text()
    began_on: date
    ended_on: date
    settled_at: datetime = _moment()
    policy: str = _text()
    benefit: str = _text()
    shares: dict[str, int] = Field(sa_column=Column(JSONB, nullable=False))
    ratio: Decimal = Field(sa_type=Numeric(9, 6))
    total_fen: int = _fen()
    fund_fen: int = _fen()
    person_fen: int = _fen()
    account_fen: int = _fen()
    cash_fen: int = _fen()
    hospital_fen: int = _fen()
    own_fen: int = _fen()
    over_ceiling_fen: int = _fen()
    prepay_fen: int = _fen()
    in_scope_fen: int = _fen()
    deductible_fen: int = _fen()
    by_ratio_fen: int = _fen()
    over_cap_fen: int = _fen()
    relieved_fen: int = _fen()
    traceparent: str | None = _text(default=None)


class Working(Table, table=True):
    """How a settlement came about; never changed. `steps` is the compressed record of the calculation."""

    __tablename__ = "working"
    __table_args__ = (
        ForeignKeyConstraint(["settlement_id"], ["claims.settlement.settlement_id"], name="working_settlement"),
    )

    settlement_id: str = _text(primary_key=True)
    facts: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    changes: dict[str, int] = Field(sa_column=Column(JSONB, nullable=False))
    steps: bytes = Field(sa_type=LargeBinary)


class YearBook(Table, table=True):
    """What a person has used up (年度累计): counters of the benefit policies by name and period; one row a person."""

    __tablename__ = "year_book"
    __table_args__ = (
        CheckConstraint("NOT jsonb_path_exists(used, '$.* ? (@ < 0)')", name="year_book_positive"),
        CheckConstraint("jsonb_typeof(used) = 'object'", name="year_book_object"),
    )

    person_id: str = _text(primary_key=True)
    used: dict[str, int] = Field(sa_column=Column(JSONB, nullable=False))
    newest_on: date | None = None


class PolicyPack(Table, table=True):
    """A version of a policy pack (待遇政策): proposed by one officer, put in force by another, never changed then."""

    __tablename__ = "policy_pack"
    __table_args__ = (
        CheckConstraint("state IN ('proposed', 'in_force', 'rejected')", name="policy_pack_state"),
        CheckConstraint("decided_by IS NULL OR decided_by <> proposed_by", name="policy_pack_four_eyes"),
        CheckConstraint("(state = 'proposed') = (decided_by IS NULL)", name="policy_pack_decided"),
        Index("policy_pack_once", "pack", "version", unique=True, postgresql_where=text("state <> 'rejected'")),
    )

    proposal_id: str = _text(primary_key=True)
    pack: str = _text()
    version: str = _text()
    area: str = _text()
    valid_from: date
    valid_to: date | None = None
    digest: str = _text()
    """SHA-256 of the files, which the approver names: nobody approves something else than they saw."""
    files: dict[str, str] = Field(sa_column=Column(JSONB, nullable=False))
    """The pack's documents by file name, as they were sent."""
    state: str = _text()
    proposed_by: str = _text()
    proposed_at: datetime = _moment()
    decided_by: str | None = _text(default=None)
    decided_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=True))
    reason: str | None = _text(default=None)


class PolicyReplay(Table, table=True):
    """A replay of a policy over settled bills (政策测算), asked for and done."""

    __tablename__ = "policy_replay"
    __table_args__ = (
        CheckConstraint("state IN ('asked', 'done', 'failed')", name="policy_replay_state"),
        CheckConstraint("(state = 'asked') = (finished_at IS NULL)", name="policy_replay_finished"),
        CheckConstraint("until >= since", name="policy_replay_days"),
        ForeignKeyConstraint(["proposal_id"], ["claims.policy_pack.proposal_id"], name="policy_replay_pack"),
    )

    replay_id: str = _text(primary_key=True)
    proposal_id: str = _text()
    area: str = _text()
    since: date
    until: date
    state: str = _text()
    progress: str = _text()
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    asked_by: str = _text()
    asked_at: datetime = _moment()
    finished_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=True))


class Recheck(Table, table=True):
    """A person whose later bills are to be decided again, because an earlier one was reversed or came late."""

    __tablename__ = "recheck"

    person_id: str = _text(primary_key=True)
    because: str = _text()
    """The settlement (or reversal) that asked for it."""
    asked_at: datetime = _moment()


class Resettlement(Table, table=True):
    """A work item (重算事项): a settled bill that would come to something else today; never changed silently."""

    __tablename__ = "resettlement"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'closed')", name="resettlement_state"),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="resettlement_closed"),
        ForeignKeyConstraint(["settlement_id"], ["claims.settlement.settlement_id"], name="resettlement_settlement"),
        Index("resettlement_once", "settlement_id", unique=True, postgresql_where=text("state = 'open'")),
    )

    item_id: str = _text(primary_key=True)
    settlement_id: str = _text()
    person_id: str = _text(index=True)
    home_region: str = _text(index=True)
    because: str = _text()
    fund_fen: int = _fen()
    """What the funds paid."""
    expected_fund_fen: int = _fen()
    """What they would pay today."""
    state: str = _text()
    opened_at: datetime = _moment()
    closed_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=True))
    note: str | None = _text(default=None)
