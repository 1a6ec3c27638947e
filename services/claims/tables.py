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
    MetaData,
    Numeric,
    Text,
    UniqueConstraint,
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
        CheckConstraint("total_fen = own_fen + prepay_fen + in_scope_fen", name="settlement_scope"),
        CheckConstraint(
            "in_scope_fen = deductible_fen + fund_fen + by_ratio_fen + over_cap_fen", name="settlement_layers"
        ),
        CheckConstraint(
            "CASE WHEN reverses_settlement_id IS NULL"
            " THEN least(total_fen, fund_fen, account_fen, cash_fen, hospital_fen, own_fen, prepay_fen, in_scope_fen,"
            " deductible_fen, by_ratio_fen, over_cap_fen) >= 0"
            " ELSE greatest(total_fen, fund_fen, account_fen, cash_fen, hospital_fen, own_fen, prepay_fen,"
            " in_scope_fen, deductible_fen, by_ratio_fen, over_cap_fen) <= 0 END",
            name="settlement_sign",
        ),
        UniqueConstraint("reverses_settlement_id", name="settlement_reversed_once"),
        UniqueConstraint("facility_code", "facility_settlement_no", name="settlement_number"),
        Index("settlement_of_facility", "facility_code", "settled_at"),
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
    year: int
    benefit: str = _text()
    plan: str = _text()
    fund_pay_type: str = _text()
    ratio: Decimal = Field(sa_type=Numeric(9, 6))
    total_fen: int = _fen()
    fund_fen: int = _fen()
    person_fen: int = _fen()
    account_fen: int = _fen()
    cash_fen: int = _fen()
    hospital_fen: int = _fen()
    own_fen: int = _fen()
    prepay_fen: int = _fen()
    in_scope_fen: int = _fen()
    deductible_fen: int = _fen()
    by_ratio_fen: int = _fen()
    over_cap_fen: int = _fen()
    traceparent: str | None = _text(default=None)


class YearCounter(Table, table=True):
    """What a person's year has used up (年度累计), by insurance and benefit."""

    __tablename__ = "year_counter"
    __table_args__ = (CheckConstraint("least(deductible_fen, fund_fen, bills) >= 0", name="year_counter_positive"),)

    person_id: str = _text(primary_key=True)
    year: int = Field(primary_key=True)
    insutype: str = _text(primary_key=True)
    benefit: str = _text(primary_key=True)
    deductible_fen: int = _fen()
    fund_fen: int = _fen()
    bills: int
