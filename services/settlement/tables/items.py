"""Work items: one for each difference of a party's month, and what was done about it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from services.settlement.tables import core


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


class WorkItem(core.Table, table=True):
    """A difference that somebody must deal with (待办), the same one through all matches of its month."""

    __tablename__ = "work_item"
    __table_args__ = (
        UniqueConstraint("party", "period", "item_key", name="work_item_once"),
        CheckConstraint("state IN ('open', 'closed')", name="work_item_state"),
        CheckConstraint("closed_as IN ('agreed', 'decided', 'books_stand')", name="work_item_closed_as"),
        CheckConstraint(
            "(state = 'closed') = (closed_at IS NOT NULL) AND (closed_at IS NULL) = (closed_as IS NULL)",
            name="work_item_closed",
        ),
        CheckConstraint("acting_party IN (party, care_region)", name="work_item_acting"),
        CheckConstraint("amount_fen >= 0 AND reopened_count >= 0", name="work_item_numbers"),
        CheckConstraint("due_on >= since AND working_days >= 0", name="work_item_days"),
        ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="work_item_statement"),
        Index("work_item_party", "party", "item_no"),
        Index("work_item_region", "care_region", "item_no"),
        Index("work_item_waiting", "acting_party", "item_no", postgresql_where=text("state = 'open'")),
        Index(
            "work_item_agenda",
            "acting_party",
            "due_on",
            text("('item ' || item_no::text)"),
            postgresql_where=text("state = 'open'"),
        ),
    )

    item_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    party: str = Field(sa_type=Text)
    """Who stated: a facility, or an agency."""
    care_region: str = Field(sa_type=Text)
    period: str = Field(sa_type=Text)
    item_key: str = Field(sa_type=Text)
    difference_class: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    acting_party: str = Field(sa_type=Text)
    due_on: date
    provisional: bool
    amount_fen: int = Field(sa_type=BigInteger)
    booked: bool
    statement_id: str = Field(sa_type=Text)
    match_no: int
    position: int
    found_at: datetime = _moment()
    reopened_count: int
    closed_at: datetime | None = _moment(nullable=True)
    closed_as: str | None = Field(default=None, sa_type=Text)
    home_region: str | None = Field(default=None, sa_type=Text)
    """The other end of the chain, where an agency stated."""
    since: date
    """When its clock began."""
    working_days: int


_ALONE = text("NOT approval_needed AND kind IN ('drop', 'next_period')")


class ItemAction(core.Table, table=True):
    """What somebody said or did about an item, and on which figures; only the approval comes later."""

    __tablename__ = "item_action"
    __table_args__ = (
        CheckConstraint("kind IN ('correct', 'dispute', 'drop', 'next_period')", name="item_action_kind"),
        CheckConstraint("approved_by IS NULL OR approved_by <> subject", name="item_action_four_eyes"),
        CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="item_action_approved"),
        CheckConstraint("approval_needed OR approved_by IS NULL", name="item_action_unneeded"),
        CheckConstraint("amount_fen >= 0 AND sum_fen >= amount_fen", name="item_action_sums"),
        ForeignKeyConstraint(["item_no"], ["settlement.work_item.item_no"], name="item_action_of"),
        ForeignKeyConstraint(["bulk_no"], ["settlement.bulk_action.bulk_no"], name="item_action_bulk"),
        ForeignKeyConstraint(
            ["statement_id", "match_no", "position"],
            ["settlement.difference.statement_id", "settlement.difference.match_no", "settlement.difference.position"],
            name="item_action_figures",
        ),
        Index("item_action_item", "item_no", "action_no"),
        Index("item_action_alone", "statement_id", postgresql_where=_ALONE),
        Index("item_action_alone_by", "party", "subject", postgresql_where=_ALONE),
    )

    action_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    item_no: int = Field(sa_type=BigInteger)
    kind: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    party: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    at: datetime = _moment()
    statement_id: str = Field(sa_type=Text)
    match_no: int
    position: int
    """The difference as it was found: what the action is about."""
    approval_needed: bool
    approved_by: str | None = Field(default=None, sa_type=Text)
    approved_at: datetime | None = _moment(nullable=True)
    amount_fen: int = Field(sa_type=BigInteger)
    """What is at stake, as the figures were."""
    sum_fen: int = Field(sa_type=BigInteger)
    """What the approval was weighed by: this, and what had been decided alone before."""
    bulk_no: int | None = Field(default=None, sa_type=BigInteger)
    """The action for a whole class that it is part of, which is approved as one."""


class BulkAction(core.Table, table=True):
    """One action for all open items of a class in a statement, as they were seen; only the approval comes later."""

    __tablename__ = "bulk_action"
    __table_args__ = (
        CheckConstraint("kind IN ('correct', 'dispute', 'drop', 'next_period')", name="bulk_action_kind"),
        CheckConstraint("approved_by IS NULL OR approved_by <> subject", name="bulk_action_four_eyes"),
        CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="bulk_action_approved"),
        CheckConstraint("approval_needed OR approved_by IS NULL", name="bulk_action_unneeded"),
        CheckConstraint("item_count > 0 AND amount_fen >= 0 AND sum_fen >= amount_fen", name="bulk_action_sums"),
        ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="bulk_action_of"),
        Index("bulk_action_statement", "statement_id", "bulk_no"),
    )

    bulk_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    statement_id: str = Field(sa_type=Text)
    match_no: int
    difference_class: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    party: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    at: datetime = _moment()
    item_count: int = Field(sa_type=BigInteger)
    amount_fen: int = Field(sa_type=BigInteger)
    """What is at stake in all of them."""
    sum_fen: int = Field(sa_type=BigInteger)
    """What the approval was weighed by: this, and what had been decided alone before."""
    approval_needed: bool
    approved_by: str | None = Field(default=None, sa_type=Text)
    approved_at: datetime | None = _moment(nullable=True)
