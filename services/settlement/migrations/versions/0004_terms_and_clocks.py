"""terms of regions, clocks that follow them, objections and what they carry to the next month"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.plumbing import refuse_change

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DUE = ["settlement.due.case_id", "settlement.due.kind", "settlement.due.party"]
CASE = ["settlement.settlement_case.case_id"]
STILL_OPEN = sa.text("state = 'open'")

GUARDS = [
    # Of terms only the decision comes later, and once.
    """CREATE TRIGGER region_terms_stand BEFORE UPDATE OR DELETE ON settlement.region_terms FOR EACH ROW
        WHEN (OLD.state <> 'proposed') EXECUTE FUNCTION settlement.refuse_change()""",
    # Of a suspension only its end comes later, and once; of an objection only its decision.
    """CREATE TRIGGER due_suspension_stands BEFORE UPDATE OR DELETE ON settlement.due_suspension FOR EACH ROW
        WHEN (OLD.resumed_on IS NOT NULL) EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER objection_stands BEFORE UPDATE OR DELETE ON settlement.objection FOR EACH ROW
        WHEN (OLD.state <> 'open') EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER objection_line_stands BEFORE UPDATE OR DELETE ON settlement.objection_line FOR EACH ROW
        WHEN (NOT OLD.contested) EXECUTE FUNCTION settlement.refuse_change()""",
    *refuse_change("settlement", "escalation"),
    *refuse_change("settlement", "carried_bill"),
    *refuse_change("settlement", "carried_confirmation"),
    # A bill is carried out of a case it is in and whose numbers are not final, into a later month of the same parties
    # that nobody has confirmed.
    """CREATE FUNCTION settlement.carried_bill_fits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (
            SELECT FROM added a JOIN settlement.settlement_case f ON f.case_id = a.from_case_id
            JOIN settlement.settlement_case t ON t.case_id = a.to_case_id
            JOIN settlement.facility_month m ON (m.facility_code, m.period) = (t.facility_code, t.period)
            WHERE m.confirmed OR t.period <= f.period OR f.state IN ('confirmed', 'remitting', 'disbursing', 'closed')
               OR (f.facility_code, f.care_region, f.home_region) <> (t.facility_code, t.care_region, t.home_region)
               OR NOT EXISTS (SELECT FROM settlement.bill b
                              WHERE b.settlement_id = a.settlement_id AND b.case_id = a.from_case_id
                              UNION ALL
                              SELECT FROM settlement.carried_bill k
                              WHERE k.settlement_id = a.settlement_id AND k.to_case_id = a.from_case_id)) THEN
            RAISE EXCEPTION 'a bill is carried from or to a case it does not fit'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'carried_bill_fits';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER carried_bill_fits AFTER INSERT ON settlement.carried_bill REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION settlement.carried_bill_fits()""",
]


def upgrade() -> None:
    _region_terms()
    _dues()
    _clocks()
    _objections()
    for guard in GUARDS:
        op.execute(guard)


def _region_terms() -> None:
    op.create_table(
        "region_terms",
        sa.Column("terms_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reconciliation_working_days", sa.Integer(), nullable=True),
        sa.Column("remittance_working_days", sa.Integer(), nullable=True),
        sa.Column("disbursement_working_days", sa.Integer(), nullable=True),
        sa.Column("item_working_days", sa.Integer(), nullable=True),
        sa.Column("reminder_distances", sa.ARRAY(sa.Integer()), nullable=True),
        sa.Column("escalation_distances", sa.ARRAY(sa.Integer()), nullable=True),
        sa.Column("deemed_consent", sa.Boolean(), nullable=True),
        sa.Column("tolerance_fen", sa.BigInteger(), nullable=True),
        sa.Column("netting", sa.Text(), nullable=True),
        sa.Column("unpaid_rule", sa.Text(), nullable=True),
        sa.Column("negative_rule", sa.Text(), nullable=True),
        sa.Column("payment_way", sa.Text(), nullable=True),
        sa.Column("cycle_day", sa.Integer(), nullable=True),
        sa.Column("prepayment_yellow_percent", sa.Integer(), nullable=True),
        sa.Column("prepayment_red_percent", sa.Integer(), nullable=True),
        sa.Column("second_review_above_fen", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('proposed', 'approved', 'rejected')", name="region_terms_state"),
        sa.CheckConstraint("decided_by IS NULL OR decided_by <> proposed_by", name="region_terms_four_eyes"),
        sa.CheckConstraint(
            "(state = 'proposed') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)",
            name="region_terms_decided",
        ),
        sa.CheckConstraint(
            "least(reconciliation_working_days, remittance_working_days, disbursement_working_days,"
            " item_working_days) >= 0",
            name="region_terms_days",
        ),
        sa.CheckConstraint("least(tolerance_fen, second_review_above_fen) >= 0", name="region_terms_amounts"),
        sa.CheckConstraint("netting IN ('gross', 'bilateral', 'multilateral')", name="region_terms_netting"),
        sa.CheckConstraint("unpaid_rule IN ('prepayment', 'postpone', 'part_pay')", name="region_terms_unpaid"),
        sa.CheckConstraint("negative_rule IN ('carry', 'collect')", name="region_terms_negative"),
        sa.CheckConstraint("payment_way IN ('recorded', 'bank')", name="region_terms_payment"),
        sa.CheckConstraint("cycle_day BETWEEN 1 AND 28", name="region_terms_cycle_day"),
        sa.CheckConstraint(
            "num_nulls(prepayment_yellow_percent, prepayment_red_percent) <> 1"
            " AND prepayment_yellow_percent > 0 AND prepayment_yellow_percent < prepayment_red_percent"
            " AND prepayment_red_percent <= 100",
            name="region_terms_warnings",
        ),
        sa.PrimaryKeyConstraint("terms_no"),
        schema="settlement",
    )
    op.create_index(
        "region_terms_in_force",
        "region_terms",
        ["region", "valid_from", "terms_no"],
        schema="settlement",
        postgresql_where=sa.text("state = 'approved'"),
    )


def _dues() -> None:
    """Clocks that ran before keep the distances that held for them."""
    for name, kind, value in (
        ("started_on", sa.Date(), "since"),
        ("reminder_distances", sa.ARRAY(sa.Integer()), "'{5,2,0,-1,-5}'"),
        ("escalation_distances", sa.ARRAY(sa.Integer()), "'{}'"),
        ("deemed_consent", sa.Boolean(), "false"),
    ):
        op.add_column("due", sa.Column(name, kind, nullable=True), schema="settlement")
        op.execute(f"UPDATE settlement.due SET {name} = {value}")
        op.alter_column("due", name, nullable=False, schema="settlement")
    op.add_column("due", sa.Column("suspended_on", sa.Date(), nullable=True), schema="settlement")
    op.drop_constraint("due_days", "due", schema="settlement")
    op.create_check_constraint(
        "due_days", "due", "due_on >= since AND working_days >= 0 AND since >= started_on", schema="settlement"
    )
    op.create_check_constraint(
        "due_deemed", "due", "kind = 'reconciliation' OR NOT deemed_consent", schema="settlement"
    )
    op.alter_column("confirmation", "confirmed_by", nullable=True, schema="settlement")
    # What began before, and for how long, nobody knows any more: the day stays that of its end.
    for name, column, value in (("since", sa.Date, "due_on"), ("working_days", sa.Integer, "0")):
        op.add_column("work_item", sa.Column(name, column(), nullable=True), schema="settlement")
        op.execute(f"UPDATE settlement.work_item SET {name} = {value}")
        op.alter_column("work_item", name, nullable=False, schema="settlement")
    op.create_check_constraint(
        "work_item_days", "work_item", "due_on >= since AND working_days >= 0", schema="settlement"
    )


def _clocks() -> None:
    _due_suspension()
    _escalation()
    _item_reminder()
    _assignment()
    _clock_calendar()


def _due_suspension() -> None:
    op.create_table(
        "due_suspension",
        sa.Column("suspension_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("suspended_on", sa.Date(), nullable=False),
        sa.Column("days_left", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("papers", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("suspended_party", sa.Text(), nullable=False),
        sa.Column("suspended_by", sa.Text(), nullable=True),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resumed_on", sa.Date(), nullable=True),
        sa.Column("resumed_party", sa.Text(), nullable=True),
        sa.Column("resumed_by", sa.Text(), nullable=True),
        sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("cardinality(papers) > 0", name="due_suspension_papers"),
        sa.CheckConstraint("days_left >= 0", name="due_suspension_days"),
        sa.CheckConstraint("num_nulls(resumed_on, resumed_party, resumed_at) IN (0, 3)", name="due_suspension_resumed"),
        sa.CheckConstraint("resumed_on >= suspended_on", name="due_suspension_order"),
        sa.ForeignKeyConstraint(["case_id", "kind", "party"], DUE, name="due_suspension_due"),
        sa.PrimaryKeyConstraint("suspension_no"),
        schema="settlement",
    )
    op.create_index(
        "due_suspension_running",
        "due_suspension",
        ["case_id", "kind", "party"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("resumed_on IS NULL"),
    )


def _escalation() -> None:
    op.create_table(
        "escalation",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("level_no", sa.Integer(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("escalated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("level_no > 0", name="escalation_level"),
        sa.ForeignKeyConstraint(["case_id", "kind", "party"], DUE, name="escalation_due"),
        sa.PrimaryKeyConstraint("case_id", "kind", "party", "level_no"),
        schema="settlement",
    )
    op.create_index("escalation_region", "escalation", ["region", "due_on", "case_id"], schema="settlement")


def _item_reminder() -> None:
    op.create_table(
        "item_reminder",
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.Column("announced", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("facility_code", "period", "party", "due_on", "distance"),
        schema="settlement",
    )


def _assignment() -> None:
    op.create_table(
        "assignment",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("assigned_by", sa.Text(), nullable=False),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("party", "ref"),
        schema="settlement",
    )


def _clock_calendar() -> None:
    op.create_table(
        "clock_calendar",
        sa.Column("only_row", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("only_row", name="clock_calendar_only"),
        sa.PrimaryKeyConstraint("only_row"),
        schema="settlement",
    )


def _objections() -> None:
    _objection()
    _objection_line()
    _carried_bill()
    _carried_confirmation()


def _objection() -> None:
    op.create_table(
        "objection",
        sa.Column("objection_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("numbers_hash", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("deciding_party", sa.Text(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("raised_by", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_party", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'withdrawn', 'accepted', 'rejected')", name="objection_state"),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL) AND num_nulls(decided_at, decided_party, decided_by) IN (0, 3)",
            name="objection_decided",
        ),
        sa.CheckConstraint(
            "state NOT IN ('accepted', 'rejected') OR (decided_by <> raised_by AND decision_reason IS NOT NULL)",
            name="objection_four_eyes",
        ),
        sa.ForeignKeyConstraint(["case_id"], CASE, name="objection_case"),
        sa.PrimaryKeyConstraint("objection_no"),
        schema="settlement",
    )
    op.create_index(
        "objection_case_open", "objection", ["case_id", "party"], schema="settlement", postgresql_where=STILL_OPEN
    )
    op.create_index(
        "objection_to_decide",
        "objection",
        ["deciding_party", "due_on", "objection_no"],
        schema="settlement",
        postgresql_where=STILL_OPEN,
    )
    op.create_index("objection_of_case", "objection", ["case_id", "objection_no"], schema="settlement")


def _objection_line() -> None:
    op.create_table(
        "objection_line",
        sa.Column("objection_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("settlement_id", sa.Text(), nullable=False),
        sa.Column("contested", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["objection_no"], ["settlement.objection.objection_no"], name="objection_line_of"),
        sa.PrimaryKeyConstraint("objection_no", "settlement_id"),
        schema="settlement",
    )
    op.create_index(
        "objection_line_once",
        "objection_line",
        ["settlement_id"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("contested"),
    )
    op.create_index("objection_line_bill", "objection_line", ["settlement_id"], schema="settlement")


def _carried_bill() -> None:
    op.create_table(
        "carried_bill",
        sa.Column("settlement_id", sa.Text(), nullable=False),
        sa.Column("from_case_id", sa.Text(), nullable=False),
        sa.Column("to_case_id", sa.Text(), nullable=False),
        sa.Column("objection_no", sa.BigInteger(), nullable=False),
        sa.Column("carried_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("from_case_id <> to_case_id", name="carried_bill_cases"),
        sa.ForeignKeyConstraint(["from_case_id"], CASE, name="carried_bill_from"),
        sa.ForeignKeyConstraint(["to_case_id"], CASE, name="carried_bill_to"),
        sa.ForeignKeyConstraint(["objection_no"], ["settlement.objection.objection_no"], name="carried_bill_objection"),
        sa.PrimaryKeyConstraint("settlement_id", "from_case_id"),
        schema="settlement",
    )
    op.create_index("carried_bill_to_case", "carried_bill", ["to_case_id", "settlement_id"], schema="settlement")
    op.create_index("carried_bill_from_case", "carried_bill", ["from_case_id"], schema="settlement")


def _carried_confirmation() -> None:
    op.create_table(
        "carried_confirmation",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("to_hash", sa.Text(), nullable=False),
        sa.Column("from_hash", sa.Text(), nullable=False),
        sa.Column("objection_no", sa.BigInteger(), nullable=False),
        sa.Column("carried_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("from_hash <> to_hash", name="carried_confirmation_hashes"),
        sa.ForeignKeyConstraint(
            ["case_id", "party"],
            ["settlement.confirmation.case_id", "settlement.confirmation.party"],
            name="carried_confirmation_of",
        ),
        sa.ForeignKeyConstraint(
            ["objection_no"], ["settlement.objection.objection_no"], name="carried_confirmation_objection"
        ),
        sa.PrimaryKeyConstraint("case_id", "party", "to_hash"),
        schema="settlement",
    )
