"""clocks of positions, escalation of items and objections, suspensions by reason, the yearly level of prepayments"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.plumbing import refuse_change

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ESCALATED = ("position_escalation", "item_escalation", "objection_escalation")

POSITION_CLOCK = (
    ("due_kind", sa.Text()),
    ("since", sa.Date()),
    ("working_days", sa.Integer()),
    ("provisional", sa.Boolean()),
    ("reminder_distances", sa.ARRAY(sa.Integer())),
    ("escalation_distances", sa.ARRAY(sa.Integer())),
)


def upgrade() -> None:
    _positions()
    _items()
    _objections()
    _suspensions()
    _prepayments()
    _lists()
    for table in ESCALATED:
        for guard in refuse_change("settlement", table):
            op.execute(guard)


def _positions() -> None:
    for name, kind in POSITION_CLOCK:
        op.add_column("clearing_position", sa.Column(name, kind, nullable=True), schema="settlement")
    # What began before, and for how long, nobody knows any more: the day stays that of its end.
    op.execute(
        """UPDATE settlement.clearing_position p SET since = p.due_on, working_days = 0, provisional = false,
               reminder_distances = '{5,2,0,-1,-5}', escalation_distances = '{5,10}',
               due_kind = CASE WHEN p.facility_code = p.payee OR (p.facility_code IS NULL
                   AND p.payer = y.clearing_region) THEN 'disbursement' ELSE 'remittance' END
           FROM settlement.clearing_cycle y WHERE y.cycle_id = p.cycle_id AND p.due_on IS NOT NULL"""
    )
    op.create_check_constraint(
        "clearing_position_due_kind",
        "clearing_position",
        "due_kind IN ('remittance', 'disbursement')",
        schema="settlement",
    )
    op.create_check_constraint(
        "clearing_position_clock",
        "clearing_position",
        "num_nulls(due_on, due_kind, since, working_days, provisional, reminder_distances, escalation_distances)"
        " IN (0, 7) AND due_on >= since AND working_days >= 0",
        schema="settlement",
    )
    op.create_index(
        "clearing_position_waiting",
        "clearing_position",
        ["payer", "due_on", "position_id"],
        schema="settlement",
        postgresql_where=sa.text("state IN ('open', 'ordered') AND due_on IS NOT NULL"),
    )
    op.create_table(
        "position_reminder",
        sa.Column("position_id", sa.Text(), nullable=False),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.Column("announced", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        _position("position_reminder_of"),
        sa.PrimaryKeyConstraint("position_id", "distance"),
        schema="settlement",
    )
    op.create_table(
        "position_escalation",
        sa.Column("position_id", sa.Text(), nullable=False),
        *_escalated("position_escalation"),
        _position("position_escalation_of"),
        sa.PrimaryKeyConstraint("position_id", "level_no"),
        schema="settlement",
    )
    op.create_index("position_escalation_region", "position_escalation", ["region"], schema="settlement")


def _position(name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["position_id"], ["settlement.clearing_position.position_id"], name=name)


def _escalated(table: str) -> tuple[sa.schema.SchemaItem, ...]:
    """What every record of an escalation says: the level, who was told, the day as it was then."""
    return (
        sa.Column("level_no", sa.Integer(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("escalated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("level_no > 0", name=f"{table}_level"),
    )


def _items() -> None:
    op.create_table(
        "item_escalation",
        sa.Column("stated_by", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        *_escalated("item_escalation"),
        sa.PrimaryKeyConstraint("stated_by", "period", "party", "due_on", "level_no"),
        schema="settlement",
    )
    op.create_index("item_escalation_region", "item_escalation", ["region"], schema="settlement")


def _objections() -> None:
    op.execute("ALTER TABLE settlement.objection DISABLE TRIGGER objection_stands")
    for name, kind, value in (
        ("since", sa.Date(), "due_on"),
        ("working_days", sa.Integer(), "0"),
        ("escalation_distances", sa.ARRAY(sa.Integer()), "'{5,10}'"),
    ):
        op.add_column("objection", sa.Column(name, kind, nullable=True), schema="settlement")
        op.execute(f"UPDATE settlement.objection SET {name} = {value}")
        op.alter_column("objection", name, nullable=False, schema="settlement")
    op.execute("ALTER TABLE settlement.objection ENABLE TRIGGER objection_stands")
    op.create_check_constraint(
        "objection_days", "objection", "due_on >= since AND working_days >= 0", schema="settlement"
    )
    op.create_table(
        "objection_escalation",
        sa.Column("objection_no", sa.BigInteger(), autoincrement=False, nullable=False),
        *_escalated("objection_escalation"),
        sa.ForeignKeyConstraint(
            ["objection_no"], ["settlement.objection.objection_no"], name="objection_escalation_of"
        ),
        sa.PrimaryKeyConstraint("objection_no", "level_no"),
        schema="settlement",
    )
    op.create_index("objection_escalation_region", "objection_escalation", ["region"], schema="settlement")


def _suspensions() -> None:
    """Each reason is a row of its own; before, one row stood for all of them."""
    op.add_column("due_suspension", sa.Column("objection_no", sa.BigInteger(), nullable=True), schema="settlement")
    op.execute("ALTER TABLE settlement.due_suspension DISABLE TRIGGER due_suspension_stands")
    op.execute(
        """UPDATE settlement.due_suspension SET objection_no = substring(papers[1] FROM '^objection ([0-9]+)$')::bigint
           WHERE suspended_by IS NULL"""
    )
    # One that ended while another of the same party was open still left its row to that.
    op.execute(
        """UPDATE settlement.due_suspension s SET objection_no = o.objection_no
           FROM (SELECT case_id, party, min(objection_no) AS objection_no FROM settlement.objection
                 WHERE state = 'open' GROUP BY case_id, party) AS o
           WHERE s.suspended_by IS NULL AND s.resumed_on IS NULL AND s.kind = 'reconciliation'
             AND (s.case_id, s.party) = (o.case_id, o.party)
             AND NOT EXISTS (SELECT FROM settlement.objection n
                             WHERE n.objection_no = s.objection_no AND n.state = 'open')"""
    )
    op.execute("ALTER TABLE settlement.due_suspension ENABLE TRIGGER due_suspension_stands")
    op.drop_index("due_suspension_running", "due_suspension", schema="settlement")
    op.create_index(
        "due_suspension_running",
        "due_suspension",
        ["case_id", "kind", "party", sa.text("coalesce(objection_no, 0)")],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("resumed_on IS NULL"),
    )
    # The day it stood still from is that of the first reason; what was left then is left still.
    op.execute(
        """INSERT INTO settlement.due_suspension (case_id, kind, party, suspended_on, days_left, reason, papers,
               suspended_party, suspended_at, objection_no)
           SELECT d.case_id, d.kind, d.party, d.suspended_on, d.working_days, 'objection',
               ARRAY['objection ' || o.objection_no], d.party, o.raised_at, o.objection_no
           FROM settlement.due d JOIN settlement.objection o ON (o.case_id, o.party) = (d.case_id, d.party)
           WHERE d.kind = 'reconciliation' AND d.suspended_on IS NOT NULL AND o.state = 'open'
             AND NOT EXISTS (SELECT FROM settlement.due_suspension s
                             WHERE (s.case_id, s.kind, s.party) = (d.case_id, d.kind, d.party)
                               AND s.resumed_on IS NULL AND s.objection_no = o.objection_no)"""
    )
    op.create_check_constraint(
        "due_suspension_by",
        "due_suspension",
        "(objection_no IS NULL) = (suspended_by IS NOT NULL)",
        schema="settlement",
    )
    op.create_foreign_key(
        "due_suspension_objection",
        "due_suspension",
        "objection",
        ["objection_no"],
        ["objection_no"],
        source_schema="settlement",
        referent_schema="settlement",
    )


def _prepayments() -> None:
    op.add_column("prepayment", sa.Column("warned_on", sa.Date(), nullable=True), schema="settlement")
    op.execute("UPDATE settlement.prepayment SET warned_on = (use_month || '-01')::date WHERE use IN ('yellow', 'red')")
    op.create_check_constraint(
        "prepayment_warned", "prepayment", "(use = 'low') = (warned_on IS NULL)", schema="settlement"
    )
    op.add_column("region_terms", sa.Column("prepayment_reset_day", sa.Integer(), nullable=True), schema="settlement")
    op.create_check_constraint(
        "region_terms_reset_day",
        "region_terms",
        "prepayment_reset_day BETWEEN 1 AND 31",
        schema="settlement",
    )


def _lists() -> None:
    op.create_index(
        "payment_order_to_do",
        "payment_order",
        ["payer", "order_id"],
        schema="settlement",
        postgresql_where=sa.text("state IN ('proposed', 'reviewed', 'rejected', 'returned', 'partly_paid')"),
    )
    op.create_index(
        "payment_to_approve",
        "payment",
        ["payer", "payment_id"],
        schema="settlement",
        postgresql_where=sa.text("approved_by IS NULL"),
    )
    op.create_index(
        "payout_to_do",
        "payout",
        ["region", "release_on", "payout_id"],
        schema="settlement",
        postgresql_where=sa.text("state IN ('proposed', 'approved', 'refused')"),
    )
