"""first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.plumbing import create_statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in create_statements("designation"):
        op.execute(statement)
    _facility()
    _agreement()
    _agreement_step()
    _suspension()
    # One facility never has two agreements for one day.
    op.execute(
        """ALTER TABLE designation.agreement ADD CONSTRAINT agreement_no_overlap
        EXCLUDE USING gist (
            designation.key_place(facility_code) WITH &&, daterange(valid_from, valid_to, '[]') WITH &&)"""
    )


def _facility() -> None:
    op.create_table(
        "facility",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind IN ('hospital', 'clinic', 'pharmacy')", name="facility_kind"),
        sa.CheckConstraint("level IN ('1', '2', '3', '9')", name="facility_level"),
        sa.PrimaryKeyConstraint("code"),
        schema="designation",
    )
    op.create_index(op.f("ix_designation_facility_region"), "facility", ["region"], unique=False, schema="designation")


def _agreement() -> None:
    op.create_table(
        "agreement",
        sa.Column("agreement_id", sa.Text(), nullable=False),
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("drafted_by", sa.Text(), nullable=False),
        sa.Column("signed_by", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("(state = 'drafted') = (signed_by IS NULL)", name="agreement_signed"),
        sa.CheckConstraint("state IN ('drafted', 'in_force', 'suspended', 'ended')", name="agreement_state"),
        sa.CheckConstraint("signed_by IS NULL OR signed_by <> drafted_by", name="agreement_four_eyes"),
        sa.CheckConstraint("valid_from <= valid_to", name="agreement_period"),
        sa.ForeignKeyConstraint(["facility_code"], ["designation.facility.code"], name="agreement_facility"),
        sa.PrimaryKeyConstraint("agreement_id"),
        schema="designation",
    )
    op.create_index(
        op.f("ix_designation_agreement_facility_code"),
        "agreement",
        ["facility_code"],
        unique=False,
        schema="designation",
    )


def _agreement_step() -> None:
    op.create_table(
        "agreement_step",
        sa.Column("agreement_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["agreement_id"], ["designation.agreement.agreement_id"], name="agreement_step_agreement"
        ),
        sa.PrimaryKeyConstraint("agreement_id", "revision"),
        schema="designation",
    )


def _suspension() -> None:
    op.create_table(
        "suspension",
        sa.Column("agreement_id", sa.Text(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.CheckConstraint("until IS NULL OR since <= until", name="suspension_period"),
        sa.ForeignKeyConstraint(["agreement_id"], ["designation.agreement.agreement_id"], name="suspension_agreement"),
        sa.PrimaryKeyConstraint("agreement_id", "since"),
        schema="designation",
    )


def downgrade() -> None:
    raise RuntimeError("migrations go forward only; restore a backup instead")
