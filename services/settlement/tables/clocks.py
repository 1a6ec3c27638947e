"""What stops a clock, and whom it has told: suspensions, escalations, reminders of work items."""

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
    Text,
    text,
)
from sqlmodel import Field

from services.settlement.tables import core


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


class DueSuspension(core.Table, table=True):
    """One reason why a due's clock stands still (中止), from a day on until it ends; only the end comes later.

    An officer's, or an objection's: the clock goes on when none is left.
    """

    __tablename__ = "due_suspension"
    __table_args__ = (
        ForeignKeyConstraint(
            ["case_id", "kind", "party"],
            ["settlement.due.case_id", "settlement.due.kind", "settlement.due.party"],
            name="due_suspension_due",
        ),
        CheckConstraint("cardinality(papers) > 0", name="due_suspension_papers"),
        CheckConstraint("days_left >= 0", name="due_suspension_days"),
        CheckConstraint("num_nulls(resumed_on, resumed_party, resumed_at) IN (0, 3)", name="due_suspension_resumed"),
        CheckConstraint("resumed_on >= suspended_on", name="due_suspension_order"),
        ForeignKeyConstraint(["objection_no"], ["settlement.objection.objection_no"], name="due_suspension_objection"),
        CheckConstraint("(objection_no IS NULL) = (suspended_by IS NOT NULL)", name="due_suspension_by"),
        Index(
            "due_suspension_running",
            "case_id",
            "kind",
            "party",
            text("coalesce(objection_no, 0)"),
            unique=True,
            postgresql_where=text("resumed_on IS NULL"),
        ),
    )

    suspension_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    case_id: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    party: str = Field(sa_type=Text)
    suspended_on: date
    days_left: int
    """Working days that were left, and continue when it is resumed."""
    reason: str = Field(sa_type=Text)
    papers: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    """What is waited for."""
    suspended_party: str = Field(sa_type=Text)
    suspended_by: str | None = Field(default=None, sa_type=Text)
    """The officer; absent where it follows from an objection."""
    suspended_at: datetime = _moment()
    resumed_on: date | None = None
    resumed_party: str | None = Field(default=None, sa_type=Text)
    resumed_by: str | None = Field(default=None, sa_type=Text)
    resumed_at: datetime | None = _moment(nullable=True)
    objection_no: int | None = Field(default=None, sa_type=BigInteger)
    """The objection it follows from; absent where an officer stopped the clock."""


class Escalation(core.Table, table=True):
    """That an agency above was told of an overdue party (催办): its key is why nobody is told twice."""

    __tablename__ = "escalation"
    __table_args__ = (
        ForeignKeyConstraint(
            ["case_id", "kind", "party"],
            ["settlement.due.case_id", "settlement.due.kind", "settlement.due.party"],
            name="escalation_due",
        ),
        CheckConstraint("level_no > 0", name="escalation_level"),
        Index("escalation_region", "region", "due_on", "case_id"),
    )

    case_id: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(primary_key=True, sa_type=Text)
    party: str = Field(primary_key=True, sa_type=Text)
    level_no: int = Field(primary_key=True)
    region: str | None = Field(default=None, sa_type=Text)
    """Who was told; absent where nobody is above."""
    due_on: date
    """The day as it was then."""
    escalated_at: datetime = _moment()


class PositionReminder(core.Table, table=True):
    """That a position was dealt with at a distance from its day: its key is why no reminder goes out twice."""

    __tablename__ = "position_reminder"
    __table_args__ = (
        ForeignKeyConstraint(
            ["position_id"], ["settlement.clearing_position.position_id"], name="position_reminder_of"
        ),
    )

    position_id: str = Field(primary_key=True, sa_type=Text)
    distance: int = Field(primary_key=True)
    announced: bool
    """False when a nearer distance was announced instead, or when the position it replaces was reminded of it."""
    recorded_at: datetime = _moment()


class PositionSuspension(core.Table, table=True):
    """That an officer stopped a position's clock (中止), from a day on until it ends; only the end comes later."""

    __tablename__ = "position_suspension"
    __table_args__ = (
        ForeignKeyConstraint(
            ["position_id"], ["settlement.clearing_position.position_id"], name="position_suspension_of"
        ),
        CheckConstraint("cardinality(papers) > 0", name="position_suspension_papers"),
        CheckConstraint("days_left >= 0", name="position_suspension_days"),
        CheckConstraint(
            "num_nulls(resumed_on, resumed_party, resumed_by, resumed_at) IN (0, 4)", name="position_suspension_resumed"
        ),
        CheckConstraint("resumed_on >= suspended_on", name="position_suspension_order"),
        Index(
            "position_suspension_running",
            "position_id",
            unique=True,
            postgresql_where=text("resumed_on IS NULL"),
        ),
        Index("position_suspension_history", "position_id", "suspension_no"),
    )

    suspension_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    position_id: str = Field(sa_type=Text)
    suspended_on: date
    days_left: int
    """Working days that were left, and continue when it is resumed."""
    reason: str = Field(sa_type=Text)
    papers: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    """What is waited for."""
    suspended_party: str = Field(sa_type=Text)
    suspended_by: str = Field(sa_type=Text)
    suspended_at: datetime = _moment()
    resumed_on: date | None = None
    resumed_party: str | None = Field(default=None, sa_type=Text)
    resumed_by: str | None = Field(default=None, sa_type=Text)
    resumed_at: datetime | None = _moment(nullable=True)


class PositionEscalation(core.Table, table=True):
    """That an agency above was told of a position that nobody pays (催办)."""

    __tablename__ = "position_escalation"
    __table_args__ = (
        ForeignKeyConstraint(
            ["position_id"], ["settlement.clearing_position.position_id"], name="position_escalation_of"
        ),
        CheckConstraint("level_no > 0", name="position_escalation_level"),
        Index("position_escalation_region", "region"),
    )

    position_id: str = Field(primary_key=True, sa_type=Text)
    level_no: int = Field(primary_key=True)
    region: str | None = Field(default=None, sa_type=Text)
    """Who was told; absent where nobody is above."""
    due_on: date
    escalated_at: datetime = _moment()


class ItemEscalation(core.Table, table=True):
    """That an agency above was told of the work items of a month that a party has not dealt with by their day."""

    __tablename__ = "item_escalation"
    __table_args__ = (
        CheckConstraint("level_no > 0", name="item_escalation_level"),
        Index("item_escalation_region", "region"),
    )

    stated_by: str = Field(primary_key=True, sa_type=Text)
    period: str = Field(primary_key=True, sa_type=Text)
    party: str = Field(primary_key=True, sa_type=Text)
    """Who is late."""
    due_on: date = Field(primary_key=True)
    level_no: int = Field(primary_key=True)
    region: str | None = Field(default=None, sa_type=Text)
    escalated_at: datetime = _moment()


class ObjectionEscalation(core.Table, table=True):
    """That an agency above was told of an objection that nobody decides."""

    __tablename__ = "objection_escalation"
    __table_args__ = (
        ForeignKeyConstraint(["objection_no"], ["settlement.objection.objection_no"], name="objection_escalation_of"),
        CheckConstraint("level_no > 0", name="objection_escalation_level"),
        Index("objection_escalation_region", "region"),
    )

    objection_no: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    level_no: int = Field(primary_key=True)
    region: str | None = Field(default=None, sa_type=Text)
    due_on: date
    escalated_at: datetime = _moment()


class ObjectionReminder(core.Table, table=True):
    """That whoever decides an objection was reminded at a distance: its key is why no reminder goes out twice."""

    __tablename__ = "objection_reminder"
    __table_args__ = (
        ForeignKeyConstraint(["objection_no"], ["settlement.objection.objection_no"], name="objection_reminder_of"),
    )

    objection_no: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    distance: int = Field(primary_key=True)
    announced: bool
    """False when a nearer distance was announced instead."""
    recorded_at: datetime = _moment()


class ItemReminder(core.Table, table=True):
    """That a party was reminded, at a distance, of the work items of a month that are due on one day."""

    __tablename__ = "item_reminder"

    facility_code: str = Field(primary_key=True, sa_type=Text)
    period: str = Field(primary_key=True, sa_type=Text)
    party: str = Field(primary_key=True, sa_type=Text)
    due_on: date = Field(primary_key=True)
    distance: int = Field(primary_key=True)
    announced: bool
    recorded_at: datetime = _moment()


class Assignment(core.Table, table=True):
    """Which person of a party has a task of its list (分派)."""

    __tablename__ = "assignment"

    party: str = Field(primary_key=True, sa_type=Text)
    ref: str = Field(primary_key=True, sa_type=Text)
    subject: str = Field(sa_type=Text)
    assigned_by: str = Field(sa_type=Text)
    assigned_at: datetime = _moment()


class ClockCalendar(core.Table, table=True):
    """By which calendar the days of all running clocks were computed last: one row."""

    __tablename__ = "clock_calendar"
    __table_args__ = (CheckConstraint("only_row", name="clock_calendar_only"),)

    only_row: bool = Field(primary_key=True)
    digest: str = Field(sa_type=Text)
    computed_at: datetime = _moment()
