"""items are acted upon by the class, sums of what is decided alone, reminders of objections"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# Until now each action was weighed by itself: its sum is its own amount.
WEIGH = (
    "ALTER TABLE settlement.item_action DISABLE TRIGGER item_action_approved_once",
    """UPDATE settlement.item_action a SET amount_fen = w.amount_fen, sum_fen = w.amount_fen FROM (
        SELECT statement_id, match_no, position,
            greatest(abs(coalesce(stated_total_fen, 0) - coalesce(books_total_fen, 0)),
                     abs(coalesce(stated_fund_fen, 0) - coalesce(books_fund_fen, 0)),
                     abs(coalesce(stated_account_fen, 0) - coalesce(books_account_fen, 0))) AS amount_fen
        FROM settlement.difference) AS w
    WHERE (w.statement_id, w.match_no, w.position) = (a.statement_id, a.match_no, a.position)""",
    "ALTER TABLE settlement.item_action ENABLE TRIGGER item_action_approved_once",
)
GUARDS = (
    "DROP TRIGGER item_action_stands ON settlement.item_action",
    """CREATE TRIGGER item_action_stands BEFORE UPDATE OF action_no, item_no, kind, reason, party, subject, at,
        statement_id, match_no, position, approval_needed, amount_fen, sum_fen, bulk_no OR DELETE OR TRUNCATE
        ON settlement.item_action FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER bulk_action_stands BEFORE UPDATE OF bulk_no, statement_id, match_no, difference_class, kind,
        reason, party, subject, at, item_count, amount_fen, sum_fen, approval_needed OR DELETE OR TRUNCATE
        ON settlement.bulk_action FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER bulk_action_approved_once BEFORE UPDATE ON settlement.bulk_action FOR EACH ROW
        WHEN (OLD.approved_by IS NOT NULL) EXECUTE FUNCTION settlement.refuse_change()""",
)


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _fen(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    _bulk_action()
    _item_action()
    _objection_reminder()
    for guard in GUARDS:
        op.execute(guard)


def _bulk_action() -> None:
    op.create_table(
        "bulk_action",
        sa.Column("bulk_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _text("statement_id"),
        sa.Column("match_no", sa.Integer(), nullable=False),
        _text("difference_class"),
        _text("kind"),
        _text("reason"),
        _text("party"),
        _text("subject"),
        _moment("at"),
        _fen("item_count"),
        _fen("amount_fen"),
        _fen("sum_fen"),
        sa.Column("approval_needed", sa.Boolean(), nullable=False),
        _text("approved_by", nullable=True),
        _moment("approved_at", nullable=True),
        sa.CheckConstraint("kind IN ('correct', 'dispute', 'drop', 'next_period')", name="bulk_action_kind"),
        sa.CheckConstraint("approved_by IS NULL OR approved_by <> subject", name="bulk_action_four_eyes"),
        sa.CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="bulk_action_approved"),
        sa.CheckConstraint("approval_needed OR approved_by IS NULL", name="bulk_action_unneeded"),
        sa.CheckConstraint("item_count > 0 AND amount_fen >= 0 AND sum_fen >= amount_fen", name="bulk_action_sums"),
        sa.ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="bulk_action_of"),
        sa.PrimaryKeyConstraint("bulk_no"),
        schema="settlement",
    )
    op.create_index("bulk_action_statement", "bulk_action", ["statement_id", "bulk_no"], schema="settlement")


def _item_action() -> None:
    for column in (_fen("amount_fen", nullable=True), _fen("sum_fen", nullable=True), _fen("bulk_no", nullable=True)):
        op.add_column("item_action", column, schema="settlement")
    for statement in WEIGH:
        op.execute(statement)
    for name in ("amount_fen", "sum_fen"):
        op.alter_column("item_action", name, nullable=False, schema="settlement")
    op.create_check_constraint(
        "item_action_sums", "item_action", "amount_fen >= 0 AND sum_fen >= amount_fen", schema="settlement"
    )
    op.create_foreign_key(
        "item_action_bulk",
        "item_action",
        "bulk_action",
        ["bulk_no"],
        ["bulk_no"],
        source_schema="settlement",
        referent_schema="settlement",
    )
    for name, columns in (("item_action_alone", ["statement_id"]), ("item_action_alone_by", ["party", "subject"])):
        op.create_index(
            name,
            "item_action",
            columns,
            schema="settlement",
            postgresql_where=sa.text("NOT approval_needed AND kind IN ('drop', 'next_period')"),
        )


def _objection_reminder() -> None:
    distances: sa.Column[Any] = sa.Column(
        "reminder_distances", sa.ARRAY(sa.Integer()), nullable=False, server_default=sa.text("'{5,2,0,-1,-5}'")
    )
    op.add_column("objection", distances, schema="settlement")
    op.alter_column("objection", "reminder_distances", server_default=None, schema="settlement")
    op.create_table(
        "objection_reminder",
        sa.Column("objection_no", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("distance", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("announced", sa.Boolean(), nullable=False),
        _moment("recorded_at"),
        sa.ForeignKeyConstraint(["objection_no"], ["settlement.objection.objection_no"], name="objection_reminder_of"),
        sa.PrimaryKeyConstraint("objection_no", "distance"),
        schema="settlement",
    )
