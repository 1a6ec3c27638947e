"""what agencies retain and deduct of what they pay facilities"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

CHECKS = (
    (
        "ledger_transaction",
        "ledger_transaction_kind",
        "kind IN ('bill', 'reversal', 'payment', 'clearing', 'clearing_reversal', 'prepayment', 'payout',"
        " 'payout_reversal', 'bank', 'identification', 'withholding', 'withholding_reversal')",
    ),
    (
        "ledger_transaction",
        "ledger_reversal",
        "(kind IN ('reversal', 'clearing_reversal', 'identification', 'payout_reversal', 'withholding_reversal'))"
        " = (reverses_transaction_id IS NOT NULL)",
    ),
    (
        "ledger_transaction",
        "ledger_transaction_of_case",
        "case_id IS NOT NULL OR kind IN ('payment', 'prepayment', 'payout', 'payout_reversal', 'bank',"
        " 'identification', 'withholding', 'withholding_reversal')",
    ),
    (
        "ledger_entry",
        "ledger_entry_kind",
        "account_kind IN ('receivable', 'payable', 'fund_expenditure', 'personal_account', 'medical_income', 'bank',"
        " 'clearing', 'prepayment_lent', 'prepayment_held', 'suspense', 'benefits_payable', 'other_income',"
        " 'retention_held', 'retention_due', 'deductions')",
    ),
    (
        "ledger_entry",
        "ledger_entry_counterparty",
        "account_kind = 'suspense' OR (account_kind IN ('receivable', 'payable', 'clearing', 'prepayment_lent',"
        " 'prepayment_held', 'retention_held', 'retention_due', 'deductions')) = (counterparty <> '')",
    ),
)
GUARDS = (
    "DROP TRIGGER clearing_position_stands ON settlement.clearing_position",
    """CREATE TRIGGER clearing_position_stands BEFORE UPDATE OF position_id, cycle_id, payer, payee, amount_fen,
        facility_code, brought_position_id, brought_fen, withheld_fen, made_at OR DELETE OR TRUNCATE
        ON settlement.clearing_position FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    # A position is what its hops and what it brought come to, less what is set off against it.
    """CREATE OR REPLACE FUNCTION settlement.position_adds_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.amount_fen <> NEW.brought_fen - NEW.withheld_fen
                + (SELECT coalesce(sum(amount_fen), 0) FROM settlement.position_hop
                   WHERE position_id = NEW.position_id) THEN
            RAISE EXCEPTION 'position % is not the sum of its hops', NEW.position_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'clearing_position_adds_up';
        END IF;
        IF NEW.withheld_fen <> (SELECT coalesce(sum(CASE WHEN kind IN ('retention', 'deduction') THEN amount_fen
                                                    ELSE -amount_fen END), 0)
                                FROM settlement.set_off WHERE position_id = NEW.position_id) THEN
            RAISE EXCEPTION 'position % is not smaller by what is set off against it', NEW.position_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'clearing_position_set_off';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER withholding_stands BEFORE UPDATE OF withholding_id, agency, facility_code, kind, amount_fen,
        kept_fen, year, level_index, returns_withholding_id, reason, proposed_by, proposed_at OR DELETE OR TRUNCATE
        ON settlement.withholding FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER withholding_decided_once BEFORE UPDATE ON settlement.withholding FOR EACH ROW
        WHEN (OLD.state <> 'proposed') EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER set_off_stands BEFORE UPDATE OF set_off_id, position_id, kind, withholding_id, amount_fen, made_at
        OR DELETE OR TRUNCATE ON settlement.set_off FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER set_off_taken_back_once BEFORE UPDATE ON settlement.set_off FOR EACH ROW
        WHEN (OLD.reversal_id IS NOT NULL) EXECUTE FUNCTION settlement.refuse_change()""",
)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _fen(name: str, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=default)


def upgrade() -> None:
    for table, name, condition in CHECKS:
        op.drop_constraint(name, table, schema="settlement")
        op.create_check_constraint(name, table, condition, schema="settlement")
    op.add_column("region_terms", sa.Column("retention_permille", sa.Integer(), nullable=True), schema="settlement")
    op.create_check_constraint(
        "region_terms_retention", "region_terms", "retention_permille BETWEEN 0 AND 1000", schema="settlement"
    )
    op.add_column("clearing_position", _fen("withheld_fen", "0"), schema="settlement")
    op.create_check_constraint(
        "clearing_position_withheld",
        "clearing_position",
        "withheld_fen = 0 OR payee = facility_code",
        schema="settlement",
    )
    _withholding()
    _set_off()
    for guard in GUARDS:
        op.execute(guard)


def _withholding() -> None:
    op.create_table(
        "withholding",
        _text("withholding_id"),
        _text("agency"),
        _text("facility_code"),
        _text("kind"),
        _fen("amount_fen"),
        _fen("kept_fen", "0"),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("level_index", sa.Numeric(8, 4), nullable=True),
        _text("returns_withholding_id", nullable=True),
        _text("reason"),
        _text("state"),
        _text("proposed_by"),
        _moment("proposed_at"),
        _text("decided_by", nullable=True),
        _moment("decided_at", nullable=True),
        sa.CheckConstraint("kind IN ('deduction', 'deduction_return', 'retention_release')", name="withholding_kind"),
        sa.CheckConstraint(
            "amount_fen >= 0 AND kept_fen >= 0 AND CASE kind WHEN 'retention_release' THEN amount_fen + kept_fen > 0"
            " ELSE amount_fen > 0 AND kept_fen = 0 END",
            name="withholding_amount",
        ),
        sa.CheckConstraint(
            "(kind = 'retention_release') = (year IS NOT NULL) AND (year IS NULL) = (level_index IS NULL)"
            " AND level_index >= 0",
            name="withholding_review",
        ),
        sa.CheckConstraint(
            "(kind = 'deduction_return') = (returns_withholding_id IS NOT NULL)", name="withholding_returns"
        ),
        sa.CheckConstraint("state IN ('proposed', 'approved', 'refused')", name="withholding_state"),
        sa.CheckConstraint("(state = 'proposed') = (decided_by IS NULL)", name="withholding_decided"),
        sa.CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="withholding_decided_at"),
        sa.CheckConstraint("decided_by <> proposed_by", name="withholding_four_eyes"),
        sa.ForeignKeyConstraint(
            ["returns_withholding_id"], ["settlement.withholding.withholding_id"], name="withholding_returned"
        ),
        sa.PrimaryKeyConstraint("withholding_id"),
        schema="settlement",
    )
    op.create_index(
        "withholding_year_once",
        "withholding",
        ["agency", "facility_code", "year"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("kind = 'retention_release' AND state <> 'refused'"),
    )
    for name, columns in (
        ("withholding_of", ["agency", "facility_code", "withholding_id"]),
        ("withholding_facility", ["facility_code", "withholding_id"]),
        ("withholding_return_of", ["returns_withholding_id"]),
    ):
        op.create_index(name, "withholding", columns, schema="settlement")


def _set_off() -> None:
    op.create_table(
        "set_off",
        _text("set_off_id"),
        _text("position_id"),
        _text("kind"),
        _text("withholding_id", nullable=True),
        _fen("amount_fen"),
        _moment("made_at"),
        _text("reversal_id", nullable=True),
        sa.CheckConstraint(
            "kind IN ('retention', 'retention_release', 'deduction', 'deduction_return')", name="set_off_kind"
        ),
        sa.CheckConstraint("(kind = 'retention') = (withholding_id IS NULL)", name="set_off_decided"),
        sa.CheckConstraint("amount_fen > 0", name="set_off_amount"),
        sa.UniqueConstraint("reversal_id", name="set_off_reversal"),
        sa.ForeignKeyConstraint(["position_id"], ["settlement.clearing_position.position_id"], name="set_off_position"),
        sa.ForeignKeyConstraint(
            ["withholding_id"], ["settlement.withholding.withholding_id"], name="set_off_withholding"
        ),
        sa.PrimaryKeyConstraint("set_off_id"),
        schema="settlement",
    )
    op.create_index(
        "set_off_once",
        "set_off",
        ["position_id", "withholding_id"],
        unique=True,
        schema="settlement",
        postgresql_nulls_not_distinct=True,
    )
    op.create_index("set_off_of", "set_off", ["withholding_id"], schema="settlement")
