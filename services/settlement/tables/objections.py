"""Objections of parties, the bills they name, and what carried over when one was accepted."""

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
    Text,
    text,
)
from sqlmodel import Field

from services.settlement.tables import core


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


class Objection(core.Table, table=True):
    """A party's objection (对账异议) to some bills of a case; only its end comes later."""

    __tablename__ = "objection"
    __table_args__ = (
        ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="objection_case"),
        CheckConstraint("state IN ('open', 'withdrawn', 'accepted', 'rejected')", name="objection_state"),
        CheckConstraint(
            "(state = 'open') = (decided_at IS NULL) AND num_nulls(decided_at, decided_party, decided_by) IN (0, 3)",
            name="objection_decided",
        ),
        CheckConstraint(
            "state NOT IN ('accepted', 'rejected') OR (decided_by <> raised_by AND decision_reason IS NOT NULL)",
            name="objection_four_eyes",
        ),
        CheckConstraint("due_on >= since AND working_days >= 0", name="objection_days"),
        Index("objection_case_open", "case_id", "party", postgresql_where=text("state = 'open'")),
        Index(
            "objection_to_decide", "deciding_party", "due_on", "objection_no", postgresql_where=text("state = 'open'")
        ),
        Index("objection_of_case", "case_id", "objection_no"),
    )

    objection_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    case_id: str = Field(sa_type=Text)
    party: str = Field(sa_type=Text)
    numbers_hash: str = Field(sa_type=Text)
    """The numbers the party saw."""
    reason: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    deciding_party: str = Field(sa_type=Text)
    due_on: date
    provisional: bool
    raised_by: str = Field(sa_type=Text)
    raised_at: datetime = _moment()
    decided_party: str | None = Field(default=None, sa_type=Text)
    decided_by: str | None = Field(default=None, sa_type=Text)
    decided_at: datetime | None = _moment(nullable=True)
    decision_reason: str | None = Field(default=None, sa_type=Text)
    since: date
    """When the clock of whoever decides began."""
    working_days: int
    escalation_distances: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    reminder_distances: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))


class ObjectionLine(core.Table, table=True):
    """One bill that an objection names."""

    __tablename__ = "objection_line"
    __table_args__ = (
        ForeignKeyConstraint(["objection_no"], ["settlement.objection.objection_no"], name="objection_line_of"),
        Index("objection_line_once", "settlement_id", unique=True, postgresql_where=text("contested")),
        Index("objection_line_bill", "settlement_id"),
    )

    objection_no: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    settlement_id: str = Field(primary_key=True, sa_type=Text)
    contested: bool
    """While the objection is open: a bill is in one open objection at most."""


class CarriedBill(core.Table, table=True):
    """That a bill is cleared with a later case than that of its booking (转下期): an objection to it was accepted.

    The books are as they were: what is owed for it is owed until that case is paid.
    """

    __tablename__ = "carried_bill"
    __table_args__ = (
        ForeignKeyConstraint(["from_case_id"], ["settlement.settlement_case.case_id"], name="carried_bill_from"),
        ForeignKeyConstraint(["to_case_id"], ["settlement.settlement_case.case_id"], name="carried_bill_to"),
        ForeignKeyConstraint(["objection_no"], ["settlement.objection.objection_no"], name="carried_bill_objection"),
        CheckConstraint("from_case_id <> to_case_id", name="carried_bill_cases"),
        Index("carried_bill_to_case", "to_case_id", "settlement_id"),
        Index("carried_bill_from_case", "from_case_id"),
    )

    settlement_id: str = Field(primary_key=True, sa_type=Text)
    from_case_id: str = Field(primary_key=True, sa_type=Text)
    to_case_id: str = Field(sa_type=Text)
    objection_no: int = Field(sa_type=BigInteger)
    carried_at: datetime = _moment()


class CarriedConfirmation(core.Table, table=True):
    """That what a party confirmed stands for the numbers without the bills an accepted objection took out of them."""

    __tablename__ = "carried_confirmation"
    __table_args__ = (
        ForeignKeyConstraint(
            ["case_id", "party"],
            ["settlement.confirmation.case_id", "settlement.confirmation.party"],
            name="carried_confirmation_of",
        ),
        ForeignKeyConstraint(
            ["objection_no"], ["settlement.objection.objection_no"], name="carried_confirmation_objection"
        ),
        CheckConstraint("from_hash <> to_hash", name="carried_confirmation_hashes"),
    )

    case_id: str = Field(primary_key=True, sa_type=Text)
    party: str = Field(primary_key=True, sa_type=Text)
    to_hash: str = Field(primary_key=True, sa_type=Text)
    from_hash: str = Field(sa_type=Text)
    objection_no: int = Field(sa_type=BigInteger)
    carried_at: datetime = _moment()
