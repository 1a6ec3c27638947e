"""The rows designation keeps. No behaviour: constraints and indexes only."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKeyConstraint, MetaData, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

METADATA = MetaData(schema="designation")


class Table(SQLModel, registry=registry(metadata=METADATA)):
    """Base of this service's tables: a registry of its own, so that schemas never mix."""


class Facility(Table, table=True):
    """A designated facility (定点医药机构)."""

    __tablename__ = "facility"
    __table_args__ = (
        CheckConstraint("kind IN ('hospital', 'clinic', 'pharmacy')", name="facility_kind"),
        CheckConstraint("level IN ('1', '2', '3', '9')", name="facility_level"),
    )

    code: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    level: str = Field(sa_type=Text)
    region: str = Field(sa_type=Text, index=True)
    revision: int


class Agreement(Table, table=True):
    """An agreement (定点协议). No two of one facility overlap: see the migration."""

    __tablename__ = "agreement"
    __table_args__ = (
        CheckConstraint("valid_from <= valid_to", name="agreement_period"),
        CheckConstraint("state IN ('drafted', 'in_force', 'suspended', 'ended')", name="agreement_state"),
        CheckConstraint("signed_by IS NULL OR signed_by <> drafted_by", name="agreement_four_eyes"),
        CheckConstraint("(state = 'drafted') = (signed_by IS NULL)", name="agreement_signed"),
        ForeignKeyConstraint(["facility_code"], ["designation.facility.code"], name="agreement_facility"),
    )

    agreement_id: str = Field(primary_key=True, sa_type=Text)
    facility_code: str = Field(sa_type=Text, index=True)
    valid_from: date
    valid_to: date
    state: str = Field(sa_type=Text)
    drafted_by: str = Field(sa_type=Text)
    signed_by: str | None = Field(default=None, sa_type=Text)
    revision: int


class AgreementStep(Table, table=True):
    """Who did what to an agreement, when and why; never changed."""

    __tablename__ = "agreement_step"
    __table_args__ = (
        ForeignKeyConstraint(["agreement_id"], ["designation.agreement.agreement_id"], name="agreement_step_agreement"),
    )

    agreement_id: str = Field(primary_key=True, sa_type=Text)
    revision: int = Field(primary_key=True)
    step: str = Field(sa_type=Text)
    actor: str = Field(sa_type=Text)
    day: date | None = None
    """The day the step takes effect, where it has one."""
    reason: str | None = Field(default=None, sa_type=Text)
    at: datetime = Field(sa_column=Column(DateTime(timezone=True), nullable=False))


class Suspension(Table, table=True):
    """Days on which an agreement does not hold (中止)."""

    __tablename__ = "suspension"
    __table_args__ = (
        CheckConstraint("until IS NULL OR since <= until", name="suspension_period"),
        ForeignKeyConstraint(["agreement_id"], ["designation.agreement.agreement_id"], name="suspension_agreement"),
    )

    agreement_id: str = Field(primary_key=True, sa_type=Text)
    since: date = Field(primary_key=True)
    until: date | None = None
