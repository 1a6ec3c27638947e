"""What is known of the movements of bank accounts beside the movements themselves: who told of one, and what it was."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKeyConstraint, Index, Text, text
from sqlmodel import Field

from services.settlement.tables import core


class BankSighting(core.Table, table=True):
    """A report that told of a movement, under the name it gave it: so one movement is booked once. Never changed."""

    __tablename__ = "bank_sighting"
    __table_args__ = (
        CheckConstraint("told_by IN ('camt.053', 'camt.054')", name="bank_sighting_told_by"),
        CheckConstraint("named_by IN ('servicer', 'report')", name="bank_sighting_named_by"),
        ForeignKeyConstraint(["entry_id"], ["settlement.bank_entry.entry_id"], name="bank_sighting_of"),
        ForeignKeyConstraint(["message_no"], ["settlement.bank_message.message_no"], name="bank_sighting_message"),
        Index("bank_sighting_entry", "entry_id"),
    )

    party: str = Field(primary_key=True, sa_type=Text)
    told_by: str = Field(primary_key=True, sa_type=Text)
    named_by: str = Field(primary_key=True, sa_type=Text)
    """The account servicer's own reference, the same in every report; or a name that counts in one report only."""
    name: str = Field(primary_key=True, sa_type=Text)
    end_to_end_id: str = Field(primary_key=True, sa_type=Text)
    debit: bool = Field(primary_key=True)
    entry_id: str = Field(sa_type=Text)
    value_on: date | None = None
    message_no: int = Field(sa_type=BigInteger)


class BankIdentification(core.Table, table=True):
    """What an unknown movement turned out to be (查实): one person proposes it, another one books it."""

    __tablename__ = "bank_identification"
    __table_args__ = (
        CheckConstraint(
            "target IN ('order', 'receivable', 'counter_entry', 'other_income')", name="bank_identification_target"
        ),
        CheckConstraint("(target = 'order') = (order_id IS NOT NULL)", name="bank_identification_order"),
        CheckConstraint("(target = 'receivable') = (reference IS NOT NULL)", name="bank_identification_reference"),
        CheckConstraint("(purpose IS NULL) = (reference IS NULL)", name="bank_identification_debt"),
        CheckConstraint("purpose IN ('hop', 'position', 'prepayment')", name="bank_identification_purpose"),
        CheckConstraint("(target = 'counter_entry') = (counter_entry_id IS NOT NULL)", name="bank_identification_pair"),
        CheckConstraint("(target = 'other_income') = (nature IS NOT NULL)", name="bank_identification_other"),
        CheckConstraint("nature IN ('interest', 'treasury', 'charges', 'other')", name="bank_identification_nature"),
        CheckConstraint("counter_entry_id <> entry_id", name="bank_identification_two"),
        CheckConstraint("state IN ('proposed', 'approved', 'declined')", name="bank_identification_state"),
        CheckConstraint("(state = 'approved') = (outcome IS NOT NULL)", name="bank_identification_approved"),
        CheckConstraint(
            "outcome IN ('paid', 'returned', 'mirrored', 'settled', 'cancelled', 'booked')",
            name="bank_identification_outcome",
        ),
        CheckConstraint(
            "outcome IS NULL OR (outcome = 'booked') = (target = 'other_income')", name="bank_identification_booked"
        ),
        CheckConstraint("(state = 'proposed') = (decided_by IS NULL)", name="bank_identification_decided"),
        CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="bank_identification_decided_at"),
        CheckConstraint("decided_by <> proposed_by", name="bank_identification_four_eyes"),
        ForeignKeyConstraint(["entry_id"], ["settlement.bank_entry.entry_id"], name="bank_identification_of"),
        ForeignKeyConstraint(
            ["counter_entry_id"], ["settlement.bank_entry.entry_id"], name="bank_identification_counter"
        ),
        ForeignKeyConstraint(
            ["order_id"], ["settlement.payment_order.order_id"], name="bank_identification_payment_order"
        ),
        # A movement is one thing, and at each end a debt that is on record is one movement: who stands between two hops
        # of a case sees one come in and one go out.
        Index("bank_identification_once", "entry_id", unique=True, postgresql_where=text("state <> 'declined'")),
        Index(
            "bank_identification_debt_once",
            "party",
            "purpose",
            "reference",
            "debit",
            unique=True,
            postgresql_where=text("state <> 'declined' AND reference IS NOT NULL"),
        ),
        Index("bank_identification_orders", "order_id", postgresql_where=text("order_id IS NOT NULL")),
        Index("bank_identification_keeper", "keeper", "identification_id"),
    )

    identification_id: str = Field(primary_key=True, sa_type=Text)
    """Also the id of the ledger transaction that books it."""
    entry_id: str = Field(sa_type=Text)
    party: str = Field(sa_type=Text)
    """Whose account moved."""
    debit: bool
    """The side of the movement."""
    keeper: str = Field(sa_type=Text)
    """The agency that keeps the account: its people identify. The party itself, or the care agency of a facility."""
    target: str = Field(sa_type=Text)
    order_id: str | None = Field(default=None, sa_type=Text)
    purpose: str | None = Field(default=None, sa_type=Text)
    reference: str | None = Field(default=None, sa_type=Text)
    """What was owed: the case of a hop, a position, a prepayment's movement."""
    counter_entry_id: str | None = Field(default=None, sa_type=Text)
    """The movement that took it back; it has a row of its own, which names this one."""
    nature: str | None = Field(default=None, sa_type=Text)
    """What money was that belongs to no order or debt (款项性质)."""
    reason: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    outcome: str | None = Field(default=None, sa_type=Text)
    proposed_by: str = Field(sa_type=Text)
    proposed_at: datetime = Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=False))
    decided_by: str | None = Field(default=None, sa_type=Text)
    decided_at: datetime | None = Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=True))
