"""What an agency keeps back of what it pays a facility (扣留), and what was set off against which position."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Numeric,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from services.settlement.tables import core


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


class Withholding(core.Table, table=True):
    """A deduction (扣款), what is given back of one, or of what was retained. Proposed by one, decided by another."""

    __tablename__ = "withholding"
    __table_args__ = (
        CheckConstraint("kind IN ('deduction', 'deduction_return', 'retention_release')", name="withholding_kind"),
        CheckConstraint(
            "amount_fen >= 0 AND kept_fen >= 0 AND CASE kind WHEN 'retention_release' THEN amount_fen + kept_fen > 0"
            " ELSE amount_fen > 0 AND kept_fen = 0 END",
            name="withholding_amount",
        ),
        CheckConstraint(
            "(kind = 'retention_release') = (year IS NOT NULL) AND (year IS NULL) = (level_index IS NULL)"
            " AND level_index >= 0",
            name="withholding_review",
        ),
        CheckConstraint(
            "(kind = 'deduction_return') = (returns_withholding_id IS NOT NULL)", name="withholding_returns"
        ),
        CheckConstraint("state IN ('proposed', 'approved', 'refused')", name="withholding_state"),
        CheckConstraint("(state = 'proposed') = (decided_by IS NULL)", name="withholding_decided"),
        CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="withholding_decided_at"),
        CheckConstraint("decided_by <> proposed_by", name="withholding_four_eyes"),
        ForeignKeyConstraint(
            ["returns_withholding_id"], ["settlement.withholding.withholding_id"], name="withholding_returned"
        ),
        Index(
            "withholding_year_once",
            "agency",
            "facility_code",
            "year",
            unique=True,
            postgresql_where=text("kind = 'retention_release' AND state <> 'refused'"),
        ),
        Index("withholding_of", "agency", "facility_code", "withholding_id"),
        Index("withholding_facility", "facility_code", "withholding_id"),
        Index("withholding_return_of", "returns_withholding_id"),
    )

    withholding_id: str = Field(primary_key=True, sa_type=Text)
    """Also the id of the ledger transaction that books what is kept of a retention."""
    agency: str = Field(sa_type=Text)
    facility_code: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    amount_fen: int = Field(sa_type=BigInteger)
    """What is set off against positions."""
    kept_fen: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    """Of a release: what stays with the agency."""
    year: int | None = None
    """Of a release: the year whose positions it was retained of."""
    level_index: Decimal | None = Field(default=None, sa_column=Column(Numeric(8, 4), nullable=True))
    """水平指数."""
    returns_withholding_id: str | None = Field(default=None, sa_type=Text)
    """The deduction of which something is given back."""
    reason: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    proposed_by: str = Field(sa_type=Text)
    proposed_at: datetime = _moment()
    decided_by: str | None = Field(default=None, sa_type=Text)
    decided_at: datetime | None = _moment(nullable=True)


class SetOff(core.Table, table=True):
    """What is set off against one position, or one payment of a last hop.

    When a position is netted anew it is taken back, and set off anew. A payment stays what it is.
    """

    __tablename__ = "set_off"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('retention', 'retention_release', 'deduction', 'deduction_return')", name="set_off_kind"
        ),
        CheckConstraint("(kind = 'retention') = (withholding_id IS NULL)", name="set_off_decided"),
        CheckConstraint("amount_fen > 0", name="set_off_amount"),
        UniqueConstraint("reversal_id", name="set_off_reversal"),
        CheckConstraint("num_nonnulls(position_id, payment_id) = 1", name="set_off_against"),
        CheckConstraint("payment_id IS NULL OR reversal_id IS NULL", name="set_off_stays"),
        ForeignKeyConstraint(["position_id"], ["settlement.clearing_position.position_id"], name="set_off_position"),
        ForeignKeyConstraint(["payment_id"], ["settlement.payment.payment_id"], name="set_off_payment"),
        ForeignKeyConstraint(["withholding_id"], ["settlement.withholding.withholding_id"], name="set_off_withholding"),
        Index(
            "set_off_once",
            "position_id",
            "payment_id",
            "withholding_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index("set_off_of_payment", "payment_id", postgresql_where=text("payment_id IS NOT NULL")),
        Index("set_off_of", "withholding_id"),
    )

    set_off_id: str = Field(primary_key=True, sa_type=Text)
    """Also the id of the ledger transaction that books it."""
    position_id: str | None = Field(default=None, sa_type=Text)
    kind: str = Field(sa_type=Text)
    withholding_id: str | None = Field(default=None, sa_type=Text)
    """None where the terms retain it."""
    amount_fen: int = Field(sa_type=BigInteger)
    made_at: datetime = _moment()
    reversal_id: str | None = Field(default=None, sa_type=Text)
    """The ledger transaction that took it back."""
    payment_id: str | None = Field(default=None, sa_type=Text)
    """The payment of a last hop, where that is what it is set off against; booked when that is paid."""
