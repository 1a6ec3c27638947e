"""What regions choose about their settlement."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Column, DateTime, Identity, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.settlement.tables import core


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


def _distances() -> Any:
    return Field(default=None, sa_column=Column(ARRAY(Integer), nullable=True))


class RegionTerms(core.Table, table=True):
    """One region's choice of terms (区域约定) from a day on, proposed by one person and decided by another.

    What is NULL stays as the region chose it before, or is left to the regions above; `given_up` is left to them again.
    Of two that begin on one day the one that was proposed last counts.
    """

    __tablename__ = "region_terms"
    __table_args__ = (
        CheckConstraint("state IN ('proposed', 'approved', 'rejected')", name="region_terms_state"),
        CheckConstraint("decided_by IS NULL OR decided_by <> proposed_by", name="region_terms_four_eyes"),
        CheckConstraint(
            "(state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)",
            name="region_terms_decided",
        ),
        CheckConstraint(
            "least(reconciliation_working_days, remittance_working_days, disbursement_working_days,"
            " item_working_days) >= 0",
            name="region_terms_days",
        ),
        CheckConstraint("least(tolerance_fen, second_review_above_fen) >= 0", name="region_terms_amounts"),
        CheckConstraint("netting IN ('gross', 'bilateral', 'multilateral')", name="region_terms_netting"),
        CheckConstraint("unpaid_rule IN ('prepayment', 'postpone', 'part_pay')", name="region_terms_unpaid"),
        CheckConstraint("negative_rule IN ('carry', 'collect')", name="region_terms_negative"),
        CheckConstraint("payment_way IN ('recorded', 'bank')", name="region_terms_payment"),
        CheckConstraint("cycle_day BETWEEN 1 AND 28", name="region_terms_cycle_day"),
        CheckConstraint(
            "num_nulls(prepayment_yellow_percent, prepayment_red_percent) <> 1"
            " AND prepayment_yellow_percent > 0 AND prepayment_yellow_percent < prepayment_red_percent"
            " AND prepayment_red_percent <= 100",
            name="region_terms_warnings",
        ),
        CheckConstraint("prepayment_reset_day BETWEEN 1 AND 31", name="region_terms_reset_day"),
        CheckConstraint("retention_permille BETWEEN 0 AND 1000", name="region_terms_retention"),
        Index("region_terms_in_force", "region", "valid_from", "terms_no", postgresql_where=text("state = 'approved'")),
    )

    terms_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    region: str = Field(sa_type=Text)
    valid_from: date
    reason: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    proposed_by: str = Field(sa_type=Text)
    proposed_at: datetime = _moment()
    decided_by: str | None = Field(default=None, sa_type=Text)
    decided_at: datetime | None = _moment(nullable=True)
    reconciliation_working_days: int | None = None
    remittance_working_days: int | None = None
    disbursement_working_days: int | None = None
    item_working_days: int | None = None
    reminder_distances: list[int] | None = _distances()
    escalation_distances: list[int] | None = _distances()
    deemed_consent: bool | None = None
    tolerance_fen: int | None = Field(default=None, sa_type=BigInteger)
    netting: str | None = Field(default=None, sa_type=Text)
    unpaid_rule: str | None = Field(default=None, sa_type=Text)
    negative_rule: str | None = Field(default=None, sa_type=Text)
    payment_way: str | None = Field(default=None, sa_type=Text)
    cycle_day: int | None = None
    prepayment_yellow_percent: int | None = None
    prepayment_red_percent: int | None = None
    second_review_above_fen: int | None = Field(default=None, sa_type=BigInteger)
    prepayment_reset_day: int | None = None
    retention_permille: int | None = None
    given_up: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'")))
    """Names of terms."""
    outcome: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    """All terms that were to hold by it, and which of them change, as they were shown to who decides."""
