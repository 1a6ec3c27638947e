"""clocks of positions can stand still; payments of last hops are set off against"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

GUARDS = (
    # Of a suspension only its end comes later, and once.
    """CREATE TRIGGER position_suspension_stands BEFORE UPDATE OF suspension_no, position_id, suspended_on, days_left,
        reason, papers, suspended_party, suspended_by, suspended_at OR DELETE OR TRUNCATE
        ON settlement.position_suspension FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER position_suspension_ended_once BEFORE UPDATE ON settlement.position_suspension FOR EACH ROW
        WHEN (OLD.resumed_on IS NOT NULL) EXECUTE FUNCTION settlement.refuse_change()""",
    "DROP TRIGGER set_off_stands ON settlement.set_off",
    """CREATE TRIGGER set_off_stands BEFORE UPDATE OF set_off_id, position_id, payment_id, kind, withholding_id,
        amount_fen, made_at OR DELETE OR TRUNCATE
        ON settlement.set_off FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    # A payment is its hop, less what is set off against it; and nothing is set off but what a facility is paid.
    """CREATE FUNCTION settlement.payment_adds_up() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            set_off_fen bigint := (SELECT coalesce(sum(CASE WHEN kind IN ('retention', 'deduction') THEN amount_fen
                                                            ELSE -amount_fen END), 0)
                                   FROM settlement.set_off WHERE payment_id = NEW.payment_id);
        BEGIN
        IF NEW.amount_fen + set_off_fen <> (SELECT amount_fen FROM settlement.hop
                                            WHERE case_id = NEW.case_id AND hop_no = NEW.hop_no) THEN
            RAISE EXCEPTION 'payment % is not its hop, less what is set off against it', NEW.payment_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_adds_up';
        END IF;
        IF set_off_fen <> 0 AND NEW.payee <> (SELECT facility_code FROM settlement.settlement_case
                                              WHERE case_id = NEW.case_id) THEN
            RAISE EXCEPTION 'payment % is not to the facility', NEW.payment_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_withheld';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE CONSTRAINT TRIGGER payment_adds_up AFTER INSERT ON settlement.payment
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION settlement.payment_adds_up()""",
)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def upgrade() -> None:
    op.add_column("clearing_position", sa.Column("suspended_on", sa.Date(), nullable=True), schema="settlement")
    op.create_check_constraint(
        "clearing_position_suspended",
        "clearing_position",
        "suspended_on IS NULL OR due_on IS NOT NULL",
        schema="settlement",
    )
    _suspensions()
    _set_offs()
    for guard in GUARDS:
        op.execute(guard)


def _suspensions() -> None:
    op.create_table(
        "position_suspension",
        sa.Column("suspension_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _text("position_id"),
        sa.Column("suspended_on", sa.Date(), nullable=False),
        sa.Column("days_left", sa.Integer(), nullable=False),
        _text("reason"),
        sa.Column("papers", sa.ARRAY(sa.Text()), nullable=False),
        _text("suspended_party"),
        _text("suspended_by"),
        _moment("suspended_at"),
        sa.Column("resumed_on", sa.Date(), nullable=True),
        _text("resumed_party", nullable=True),
        _text("resumed_by", nullable=True),
        _moment("resumed_at", nullable=True),
        sa.CheckConstraint("cardinality(papers) > 0", name="position_suspension_papers"),
        sa.CheckConstraint("days_left >= 0", name="position_suspension_days"),
        sa.CheckConstraint(
            "num_nulls(resumed_on, resumed_party, resumed_by, resumed_at) IN (0, 4)", name="position_suspension_resumed"
        ),
        sa.CheckConstraint("resumed_on >= suspended_on", name="position_suspension_order"),
        sa.ForeignKeyConstraint(
            ["position_id"], ["settlement.clearing_position.position_id"], name="position_suspension_of"
        ),
        sa.PrimaryKeyConstraint("suspension_no"),
        schema="settlement",
    )
    op.create_index(
        "position_suspension_running",
        "position_suspension",
        ["position_id"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("resumed_on IS NULL"),
    )
    op.create_index(
        "position_suspension_history", "position_suspension", ["position_id", "suspension_no"], schema="settlement"
    )


def _set_offs() -> None:
    op.alter_column("set_off", "position_id", nullable=True, schema="settlement")
    op.add_column("set_off", _text("payment_id", nullable=True), schema="settlement")
    for name, condition in (
        ("set_off_against", "num_nonnulls(position_id, payment_id) = 1"),
        ("set_off_stays", "payment_id IS NULL OR reversal_id IS NULL"),
    ):
        op.create_check_constraint(name, "set_off", condition, schema="settlement")
    op.create_foreign_key(
        "set_off_payment",
        "set_off",
        "payment",
        ["payment_id"],
        ["payment_id"],
        source_schema="settlement",
        referent_schema="settlement",
    )
    op.drop_index("set_off_once", "set_off", schema="settlement")
    op.create_index(
        "set_off_once",
        "set_off",
        ["position_id", "payment_id", "withholding_id"],
        unique=True,
        schema="settlement",
        postgresql_nulls_not_distinct=True,
    )
    op.create_index(
        "set_off_of_payment",
        "set_off",
        ["payment_id"],
        schema="settlement",
        postgresql_where=sa.text("payment_id IS NOT NULL"),
    )
