"""first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.plumbing import create_statements, refuse_change

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in create_statements("enrollment"):
        op.execute(statement)
    _person()
    _filing()
    _insurance_span()
    _filing_act()
    # Nobody has two insurances of one kind on one day.
    op.execute(
        """ALTER TABLE enrollment.insurance_span ADD CONSTRAINT insurance_span_no_overlap EXCLUDE USING gist (
            enrollment.key_place(person_id || ':' || kind) WITH &&, daterange(valid_from, valid_to, '[]') WITH &&)"""
    )
    # Nobody has, or waits for, two filings of one kind for one place on one day.
    op.execute(
        """ALTER TABLE enrollment.filing ADD CONSTRAINT filing_no_overlap EXCLUDE USING gist (
            enrollment.key_place(person_id || ':' || kind || ':' || care_region) WITH &&,
            daterange(valid_from, valid_to, '[]') WITH &&) WHERE (state IN ('applied', 'approved'))"""
    )
    for statement in refuse_change("enrollment", "filing_act"):
        op.execute(statement)


def _person() -> None:
    op.create_table(
        "person",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("certificate_type", sa.Text(), nullable=False),
        sa.Column("identity_hash", sa.Text(), nullable=False),
        sa.Column("identity_number", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("bank_account", sa.Text(), nullable=True),
        sa.Column("enrolled_by", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("certificate_type IN ('01', '04', '05', '06', '07', '08')", name="person_certificate_type"),
        sa.CheckConstraint(
            "least(strpos(identity_number, '.'), strpos(name, '.'), strpos(phone, '.'), strpos(bank_account, '.')) > 1",
            name="person_sealed",
        ),
        sa.CheckConstraint("length(identity_hash) = 64", name="person_identity_hash"),
        sa.PrimaryKeyConstraint("person_id"),
        sa.UniqueConstraint("identity_hash"),
        schema="enrollment",
    )


def _filing() -> None:
    op.create_table(
        "filing",
        sa.Column("filing_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("home_region", sa.Text(), nullable=False),
        sa.Column("care_region", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asker", sa.Text(), nullable=False),
        sa.Column("facility_code", sa.Text(), nullable=True),
        sa.Column("papers", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("facility_code IS NULL OR kind = 'referral'", name="filing_facility_refers"),
        sa.CheckConstraint("kind <> 'referral' OR valid_to IS NOT NULL", name="filing_referral_is_temporary"),
        sa.CheckConstraint(
            "kind IN ('retired_settled', 'long_term_resident', 'posted_worker', 'referral')", name="filing_kind"
        ),
        sa.CheckConstraint("state IN ('applied', 'approved', 'refused', 'cancelled')", name="filing_state"),
        sa.CheckConstraint("state NOT IN ('approved', 'refused') OR decided_by IS NOT NULL", name="filing_decided"),
        sa.CheckConstraint("decided_by <> asker", name="filing_four_eyes"),
        sa.CheckConstraint("valid_from <= valid_to", name="filing_period"),
        sa.ForeignKeyConstraint(["person_id"], ["enrollment.person.person_id"], name="filing_person"),
        sa.PrimaryKeyConstraint("filing_id"),
        schema="enrollment",
    )
    op.create_index(op.f("ix_enrollment_filing_person_id"), "filing", ["person_id"], unique=False, schema="enrollment")


def _insurance_span() -> None:
    op.create_table(
        "insurance_span",
        sa.Column("span_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("insutype", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Text(),
            sa.Computed(
                "CASE WHEN insutype IN ('310', '340', '360', '380', '390', '391') THEN 'basic' ELSE insutype END",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.Column("psn_type", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("valid_from <= valid_to", name="insurance_span_period"),
        sa.ForeignKeyConstraint(["person_id"], ["enrollment.person.person_id"], name="insurance_span_person"),
        sa.PrimaryKeyConstraint("span_id"),
        schema="enrollment",
    )
    op.create_index(
        op.f("ix_enrollment_insurance_span_person_id"),
        "insurance_span",
        ["person_id"],
        unique=False,
        schema="enrollment",
    )


def _filing_act() -> None:
    op.create_table(
        "filing_act",
        sa.Column("filing_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["filing_id"], ["enrollment.filing.filing_id"], name="filing_act_filing"),
        sa.PrimaryKeyConstraint("filing_id", "number"),
        schema="enrollment",
    )


def downgrade() -> None:
    raise RuntimeError("migrations go forward only; restore a backup instead")
