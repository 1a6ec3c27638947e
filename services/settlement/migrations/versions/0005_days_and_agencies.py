"""statements of one day, statements of agencies, and what books changed under them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _statements()
    _items()
    op.alter_column("statement_mapping", "facility_code", new_column_name="party", schema="settlement")
    op.create_table(
        "statement_touch",
        sa.Column("touch_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("waits_for", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="statement_touch_of"),
        sa.PrimaryKeyConstraint("touch_no"),
        schema="settlement",
    )


def _statements() -> None:
    op.alter_column("statement", "facility_code", new_column_name="party", schema="settlement")
    op.add_column("statement", sa.Column("day", sa.Date(), nullable=True), schema="settlement")
    op.add_column("statement", sa.Column("home_region", sa.Text(), nullable=True), schema="settlement")
    op.drop_constraint("statement_version", "statement", schema="settlement")
    op.create_index(
        "statement_version",
        "statement",
        ["party", "period", "day", "version_no"],
        unique=True,
        schema="settlement",
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("home_region IS NULL"),
    )
    op.create_index(
        "statement_version_agency",
        "statement",
        ["period", "care_region", "home_region", "party", "version_no"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("home_region IS NOT NULL"),
    )
    op.create_check_constraint("statement_day", "statement", "to_char(day, 'YYYY-MM') = period", schema="settlement")
    op.create_check_constraint("statement_of", "statement", "day IS NULL OR home_region IS NULL", schema="settlement")


def _items() -> None:
    op.alter_column("work_item", "facility_code", new_column_name="party", schema="settlement")
    op.add_column("work_item", sa.Column("home_region", sa.Text(), nullable=True), schema="settlement")
    op.execute("ALTER INDEX settlement.work_item_facility RENAME TO work_item_party")
