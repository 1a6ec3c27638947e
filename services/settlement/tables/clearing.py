"""Cycles: the cases they took, their net positions with the proof, and prepayments between agencies."""

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
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from services.settlement.tables import core


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


class ClearingCycle(core.Table, table=True):
    """A cycle (清算批次) of one clearing agency, written once."""

    __tablename__ = "clearing_cycle"
    __table_args__ = (
        UniqueConstraint("clearing_region", "cycle_no", name="clearing_cycle_number"),
        CheckConstraint("netting IN ('gross', 'bilateral', 'multilateral')", name="clearing_cycle_netting"),
        CheckConstraint("cycle_no > 0", name="clearing_cycle_positive"),
        CheckConstraint("month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'", name="clearing_cycle_month"),
    )

    cycle_id: str = Field(primary_key=True, sa_type=Text)
    clearing_region: str = Field(sa_type=Text)
    cycle_no: int
    """1, 2, 3, … of its agency."""
    netting: str = Field(sa_type=Text)
    month: str = Field(sa_type=Text)
    """The Asia/Shanghai month in which it was cut."""
    cut_by: str | None = Field(default=None, sa_type=Text)
    """The person, None when it was the calendar."""
    cut_at: datetime = _moment()
    netting_hash: str = Field(sa_type=Text)
    """SHA-256 of the positions with their proofs, as they were cut."""


class ClearingCase(core.Table, table=True):
    """That a cycle took a case: its hops moved to the clearing accounts by one transaction, and back if it left."""

    __tablename__ = "clearing_case"
    __table_args__ = (
        ForeignKeyConstraint(["cycle_id"], ["settlement.clearing_cycle.cycle_id"], name="clearing_case_cycle"),
        ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="clearing_case_of"),
        UniqueConstraint("transaction_id", name="clearing_case_transaction"),
        UniqueConstraint("reversal_id", name="clearing_case_reversal"),
        CheckConstraint("num_nulls(left_at, left_because, reversal_id) IN (0, 3)", name="clearing_case_left"),
        Index("clearing_case_live", "case_id", unique=True, postgresql_where=text("left_at IS NULL")),
        Index("clearing_case_history", "case_id"),
    )

    cycle_id: str = Field(primary_key=True, sa_type=Text)
    case_id: str = Field(primary_key=True, sa_type=Text)
    transaction_id: str = Field(sa_type=Text)
    confirmed_at: datetime = _moment()
    """When the last party confirmed: whoever confirmed first is paid first."""
    left_at: datetime | None = _moment(nullable=True)
    left_because: str | None = Field(default=None, sa_type=Text)
    """The position whose payer did not pay."""
    reversal_id: str | None = Field(default=None, sa_type=Text)


class ClearingPosition(core.Table, table=True):
    """A net position (净额头寸) of a cycle: one payment between two parties. Amounts in fen.

    Parties and amount never change: when cases leave the cycle, another position replaces it.
    """

    __tablename__ = "clearing_position"
    __table_args__ = (
        ForeignKeyConstraint(["cycle_id"], ["settlement.clearing_cycle.cycle_id"], name="clearing_position_cycle"),
        ForeignKeyConstraint(
            ["brought_position_id"], ["settlement.clearing_position.position_id"], name="clearing_position_brought_from"
        ),
        CheckConstraint(
            "state IN ('open', 'ordered', 'settled', 'carried', 'brought', 'replaced')", name="clearing_position_state"
        ),
        CheckConstraint("amount_fen >= 0 AND payer <> payee", name="clearing_position_amount"),
        CheckConstraint("(brought_position_id IS NULL) = (brought_fen = 0)", name="clearing_position_brought"),
        CheckConstraint("withheld_fen = 0 OR payee = facility_code", name="clearing_position_withheld"),
        CheckConstraint(
            "(state = 'settled') = (settled_at IS NOT NULL) AND (settled_at IS NULL) = (settled_by IS NULL)",
            name="clearing_position_settled",
        ),
        CheckConstraint(
            "settled_by IN ('payment', 'prepayment', 'nothing_owed', 'later_position')", name="clearing_position_by"
        ),
        CheckConstraint("amount_fen > 0 OR state NOT IN ('ordered', 'carried')", name="clearing_position_zero"),
        CheckConstraint("facility_code IN (payer, payee)", name="clearing_position_facility"),
        CheckConstraint("state <> 'carried' OR payer = facility_code", name="clearing_position_by_facility"),
        CheckConstraint("due_kind IN ('remittance', 'disbursement')", name="clearing_position_due_kind"),
        CheckConstraint(
            "num_nulls(due_on, due_kind, since, working_days, provisional, reminder_distances, escalation_distances)"
            " IN (0, 7) AND due_on >= since AND working_days >= 0",
            name="clearing_position_clock",
        ),
        CheckConstraint("suspended_on IS NULL OR due_on IS NOT NULL", name="clearing_position_suspended"),
        Index(
            "clearing_position_waiting",
            "payer",
            "due_on",
            "position_id",
            postgresql_where=text("state IN ('open', 'ordered') AND due_on IS NOT NULL"),
        ),
        Index("clearing_position_of", "cycle_id", "position_id"),
        Index("clearing_position_payer", "payer", "payee"),
        Index(
            "clearing_position_brought_once",
            "brought_position_id",
            unique=True,
            postgresql_where=text("state <> 'replaced'"),
        ),
        Index("clearing_position_carried", "payer", "payee", unique=True, postgresql_where=text("state = 'carried'")),
    )

    position_id: str = Field(primary_key=True, sa_type=Text)
    cycle_id: str = Field(sa_type=Text)
    payer: str = Field(sa_type=Text)
    payee: str = Field(sa_type=Text)
    amount_fen: int = Field(sa_type=BigInteger)
    facility_code: str | None = Field(default=None, sa_type=Text)
    """The facility, where one of the two is one."""
    brought_position_id: str | None = Field(default=None, sa_type=Text)
    """A facility's position that an earlier cycle carried."""
    brought_fen: int = Field(sa_type=BigInteger)
    """What that adds to the amount."""
    withheld_fen: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    """What is set off against it; negative where something is given back with it."""
    state: str = Field(sa_type=Text)
    made_at: datetime = _moment()
    due_on: date | None = None
    """By when it is to be paid; None while it waits for money on its way to the payer."""
    settled_at: datetime | None = _moment(nullable=True)
    settled_by: str | None = Field(default=None, sa_type=Text)
    due_kind: str | None = Field(default=None, sa_type=Text)
    """remittance or disbursement; with what follows there is while it has a day."""
    since: date | None = None
    working_days: int | None = None
    provisional: bool | None = None
    reminder_distances: list[int] | None = Field(default=None, sa_column=Column(ARRAY(Integer), nullable=True))
    escalation_distances: list[int] | None = Field(default=None, sa_column=Column(ARRAY(Integer), nullable=True))
    suspended_on: date | None = None
    """Since when its clock stands still."""


class PositionHop(core.Table, table=True):
    """The proof of a position: what one hop of one case adds to it, in fen; it is in one live position at most."""

    __tablename__ = "position_hop"
    __table_args__ = (
        ForeignKeyConstraint(["position_id"], ["settlement.clearing_position.position_id"], name="position_hop_of"),
        ForeignKeyConstraint(
            ["case_id", "hop_no"], ["settlement.hop.case_id", "settlement.hop.hop_no"], name="position_hop_hop"
        ),
        ForeignKeyConstraint(
            ["cycle_id", "case_id"],
            ["settlement.clearing_case.cycle_id", "settlement.clearing_case.case_id"],
            name="position_hop_case",
        ),
        Index("position_hop_live", "case_id", "hop_no", unique=True, postgresql_where=text("live")),
        Index("position_hop_cycle", "cycle_id", "case_id"),
    )

    position_id: str = Field(primary_key=True, sa_type=Text)
    case_id: str = Field(primary_key=True, sa_type=Text)
    hop_no: int = Field(primary_key=True)
    cycle_id: str = Field(sa_type=Text)
    amount_fen: int = Field(sa_type=BigInteger)
    """Positive is owed by the position's payer; zero passes through."""
    live: bool
    """False once the position is replaced."""


class Prepayment(core.Table, table=True):
    """A prepayment (预付金): what `lender` keeps deposited with `holder`. Amounts in fen."""

    __tablename__ = "prepayment"
    __table_args__ = (
        CheckConstraint("lender <> holder AND level_fen >= 0", name="prepayment_level"),
        CheckConstraint("use IN ('low', 'yellow', 'red')", name="prepayment_use"),
        CheckConstraint("(use = 'low') = (warned_on IS NULL)", name="prepayment_warned"),
    )

    lender: str = Field(primary_key=True, sa_type=Text)
    holder: str = Field(primary_key=True, sa_type=Text)
    level_fen: int = Field(sa_type=BigInteger)
    level_year: int
    """The year for which the level was set."""
    use: str = Field(sa_type=Text)
    """How far the month used it up when that was last looked at."""
    use_month: str = Field(sa_type=Text)
    warned_on: date | None = None
    """Since when it stands at a warning."""


class PrepaymentDraw(core.Table, table=True):
    """One person of the clearing agency wants the payer's prepayment to pay a position, another agrees. Four eyes."""

    __tablename__ = "prepayment_draw"
    __table_args__ = (
        ForeignKeyConstraint(
            ["position_id"], ["settlement.clearing_position.position_id"], name="prepayment_draw_position"
        ),
        CheckConstraint("approved_by <> proposed_by", name="prepayment_draw_four_eyes"),
        CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="prepayment_draw_approved"),
    )

    position_id: str = Field(primary_key=True, sa_type=Text)
    proposed_by: str = Field(sa_type=Text)
    proposed_at: datetime = _moment()
    approved_by: str | None = Field(default=None, sa_type=Text)
    approved_at: datetime | None = _moment(nullable=True)


class PrepaymentMovement(core.Table, table=True):
    """What moves a prepayment: the lender adds, the holder gives back, a position is paid out of it. In fen."""

    __tablename__ = "prepayment_movement"
    __table_args__ = (
        ForeignKeyConstraint(
            ["lender", "holder"],
            ["settlement.prepayment.lender", "settlement.prepayment.holder"],
            name="prepayment_movement_of",
        ),
        ForeignKeyConstraint(
            ["position_id"], ["settlement.clearing_position.position_id"], name="prepayment_movement_position"
        ),
        UniqueConstraint("position_id", name="prepayment_movement_once"),
        CheckConstraint("kind IN ('top_up', 'give_back', 'draw')", name="prepayment_movement_kind"),
        CheckConstraint("(kind = 'draw') = (position_id IS NOT NULL)", name="prepayment_movement_draw"),
        CheckConstraint("kind <> 'draw' OR state = 'settled'", name="prepayment_movement_drawn"),
        CheckConstraint(
            "state IN ('open', 'ordered', 'settled', 'withdrawn', 'declined')", name="prepayment_movement_state"
        ),
        CheckConstraint(
            "asked_by IS NULL OR (kind = 'top_up' AND asked_by = lender)", name="prepayment_movement_asked"
        ),
        CheckConstraint(
            "(state IN ('withdrawn', 'declined')) = (ended_at IS NOT NULL) AND (ended_at IS NULL) = (ended_by IS NULL)"
            " AND (ended_at IS NULL OR asked_by IS NOT NULL)",
            name="prepayment_movement_ended",
        ),
        CheckConstraint("(state = 'settled') = (settled_at IS NOT NULL)", name="prepayment_movement_settled"),
        CheckConstraint("amount_fen > 0", name="prepayment_movement_amount"),
        Index("prepayment_movement_pair", "lender", "holder", "movement_id"),
    )

    movement_id: str = Field(primary_key=True, sa_type=Text)
    lender: str = Field(sa_type=Text)
    holder: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    amount_fen: int = Field(sa_type=BigInteger)
    position_id: str | None = Field(default=None, sa_type=Text)
    state: str = Field(sa_type=Text)
    made_by: str | None = Field(default=None, sa_type=Text)
    made_at: datetime = _moment()
    due_on: date | None = None
    settled_at: datetime | None = _moment(nullable=True)
    asked_by: str | None = Field(default=None, sa_type=Text)
    """The lender, where it asked for this itself; None when the level of a year did."""
    ended_by: str | None = Field(default=None, sa_type=Text)
    """Who withdrew or declined it."""
    ended_at: datetime | None = _moment(nullable=True)
