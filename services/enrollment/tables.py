"""The rows enrollment keeps. No behaviour: constraints and indexes only."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ARRAY, CheckConstraint, Column, Computed, DateTime, ForeignKeyConstraint, MetaData, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from services.enrollment.rules.people import BASIC_INSURANCE

METADATA = MetaData(schema="enrollment")

_BASIC = ", ".join(f"'{insutype}'" for insutype in BASIC_INSURANCE)
KIND_OF_INSUTYPE = f"CASE WHEN insutype IN ({_BASIC}) THEN 'basic' ELSE insutype END"
"""`rules.people.kind_of` in SQL."""


class Table(SQLModel, registry=registry(metadata=METADATA)):
    """Base of this service's tables: a registry of its own, so that schemas never mix."""


class Person(Table, table=True):
    """An insured person (参保人).

    Personal data is ciphertext, "<key id>.<base64>", which a check tells from plain text; a certificate is found by
    its keyed hash.
    """

    __tablename__ = "person"
    __table_args__ = (
        CheckConstraint("certificate_type IN ('01', '04', '05', '06', '07', '08')", name="person_certificate_type"),
        CheckConstraint("length(identity_hash) = 64", name="person_identity_hash"),
        CheckConstraint(
            "least(strpos(identity_number, '.'), strpos(name, '.'), strpos(phone, '.'), strpos(bank_account, '.')) > 1",
            name="person_sealed",
        ),
    )

    person_id: str = Field(primary_key=True, sa_type=Text)
    """人员编号 (psn_no)."""
    certificate_type: str = Field(sa_type=Text)
    identity_hash: str = Field(sa_type=Text, unique=True)
    identity_number: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    phone: str | None = Field(default=None, sa_type=Text)
    bank_account: str | None = Field(default=None, sa_type=Text)
    enrolled_by: str = Field(sa_type=Text)
    """The agency that enrolled the person, by its region."""
    revision: int
    created_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    changed_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class InsuranceSpan(Table, table=True):
    """Days on which a person is insured (参保时段). Spans of one kind never overlap, see the migration."""

    __tablename__ = "insurance_span"
    __table_args__ = (
        CheckConstraint("valid_from <= valid_to", name="insurance_span_period"),
        ForeignKeyConstraint(["person_id"], ["enrollment.person.person_id"], name="insurance_span_person"),
    )

    span_id: str = Field(primary_key=True, sa_type=Text)
    person_id: str = Field(sa_type=Text, index=True)
    insutype: str = Field(sa_type=Text)
    kind: str = Field(sa_column=Column(Text, Computed(KIND_OF_INSUTYPE, persisted=True), nullable=False))
    """What excludes what: "basic" for every basic insurance, else the insurance type itself."""
    psn_type: str = Field(sa_type=Text)
    region: str = Field(sa_type=Text)
    valid_from: date
    valid_to: date | None = None
    """Last insured day; NULL while it is open."""
    revision: int


class Filing(Table, table=True):
    """A remote-care filing (异地就医备案). No two alike hold or wait for one day, see the migration."""

    __tablename__ = "filing"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('retired_settled', 'long_term_resident', 'posted_worker', 'referral')", name="filing_kind"
        ),
        CheckConstraint("state IN ('applied', 'approved', 'refused', 'cancelled')", name="filing_state"),
        CheckConstraint("valid_from <= valid_to", name="filing_period"),
        CheckConstraint("kind <> 'referral' OR valid_to IS NOT NULL", name="filing_referral_is_temporary"),
        CheckConstraint("facility_code IS NULL OR kind = 'referral'", name="filing_facility_refers"),
        CheckConstraint("decided_by <> asker", name="filing_four_eyes"),
        CheckConstraint("state NOT IN ('approved', 'refused') OR decided_by IS NOT NULL", name="filing_decided"),
        ForeignKeyConstraint(["person_id"], ["enrollment.person.person_id"], name="filing_person"),
    )

    filing_id: str = Field(primary_key=True, sa_type=Text)
    """待遇申报明细流水号 (trt_dcla_detl_sn)."""
    person_id: str = Field(sa_type=Text, index=True)
    kind: str = Field(sa_type=Text)
    home_region: str = Field(sa_type=Text)
    care_region: str = Field(sa_type=Text)
    valid_from: date
    valid_to: date | None = None
    state: str = Field(sa_type=Text)
    asker: str = Field(sa_type=Text)
    facility_code: str | None = Field(default=None, sa_type=Text)
    papers: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    opened_at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
    decided_by: str | None = Field(default=None, sa_type=Text)
    revision: int


class FilingAct(Table, table=True):
    """Who did what to a filing, when and why; never changed."""

    __tablename__ = "filing_act"
    __table_args__ = (ForeignKeyConstraint(["filing_id"], ["enrollment.filing.filing_id"], name="filing_act_filing"),)

    filing_id: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True)
    """1 for the application."""
    step: str = Field(sa_type=Text)
    actor: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    day: date | None = None
    reason: str | None = Field(default=None, sa_type=Text)
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))
