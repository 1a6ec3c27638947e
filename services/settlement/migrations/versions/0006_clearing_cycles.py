"""cycles with their net positions, and prepayments between agencies"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.plumbing import refuse_change

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _stands(table: str, columns: str) -> str:
    return f"""CREATE TRIGGER {table}_stands BEFORE UPDATE OF {columns} OR DELETE OR TRUNCATE ON settlement.{table}
        FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()"""


GUARDS = [
    *refuse_change("settlement", "clearing_cycle"),
    _stands("clearing_case", "cycle_id, case_id, transaction_id, confirmed_at"),
    _stands(
        "clearing_position",
        "position_id, cycle_id, payer, payee, amount_fen, facility_code, brought_position_id, brought_fen, made_at",
    ),
    _stands("position_hop", "position_id, case_id, hop_no, cycle_id, amount_fen"),
    _stands("prepayment_movement", "movement_id, lender, holder, kind, amount_fen, position_id, made_by, made_at"),
    # A closed month takes no bills and no reversals of bills; what is done about them later is of the month it is
    # done in.
    """CREATE OR REPLACE FUNCTION settlement.transaction_fits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM added a JOIN settlement.settlement_case c USING (case_id)
                   JOIN settlement.facility_month m ON (m.facility_code, m.period) = (c.facility_code, a.period)
                   WHERE a.kind IN ('bill', 'reversal') AND m.confirmed) THEN
            RAISE EXCEPTION 'a confirmed month takes no more transactions'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_transaction_month_open';
        END IF;
        IF EXISTS (SELECT FROM added a JOIN settlement.settlement_case c USING (case_id)
                   WHERE a.kind IN ('bill', 'reversal') AND a.period <> c.period) THEN
            RAISE EXCEPTION 'a transaction is in another month than its case'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_transaction_case_fits';
        END IF;
        RETURN NULL;
    END $$""",
    # No position without confirmation: a cycle takes a case only when every party of it confirmed its numbers.
    """CREATE FUNCTION settlement.clearing_case_confirmed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM added JOIN settlement.settlement_case c USING (case_id)
                   WHERE c.state <> 'confirmed' OR EXISTS (
                       SELECT FROM unnest(c.facility_code || c.chain) AS p(party)
                       WHERE NOT EXISTS (SELECT FROM settlement.confirmation f
                                         WHERE f.case_id = c.case_id AND f.party = p.party))) THEN
            RAISE EXCEPTION 'a cycle takes confirmed cases only'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'clearing_case_confirmed';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER clearing_case_confirmed AFTER INSERT ON settlement.clearing_case REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION settlement.clearing_case_confirmed()""",
    # A position is what its hops and what it brought from an earlier cycle come to. Looked at when the transaction
    # commits, because the hops are written after their position.
    """CREATE FUNCTION settlement.position_adds_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.amount_fen <> NEW.brought_fen + (SELECT coalesce(sum(amount_fen), 0) FROM settlement.position_hop
                                                WHERE position_id = NEW.position_id) THEN
            RAISE EXCEPTION 'position % is not the sum of its hops', NEW.position_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'clearing_position_adds_up';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE CONSTRAINT TRIGGER clearing_position_adds_up AFTER INSERT ON settlement.clearing_position
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION settlement.position_adds_up()""",
]

CHECKS = [
    (
        "ledger_transaction",
        "ledger_transaction_kind",
        "kind IN ('bill', 'reversal', 'payment', 'clearing', 'clearing_reversal', 'prepayment')",
    ),
    (
        "ledger_transaction",
        "ledger_reversal",
        "(kind IN ('reversal', 'clearing_reversal')) = (reverses_transaction_id IS NOT NULL)",
    ),
    (
        "ledger_entry",
        "ledger_entry_kind",
        "account_kind IN ('receivable', 'payable', 'fund_expenditure', 'personal_account', 'medical_income', 'bank', 'clearing', 'prepayment_lent', 'prepayment_held')",
    ),
    (
        "ledger_entry",
        "ledger_entry_counterparty",
        "(account_kind IN ('receivable', 'payable', 'clearing', 'prepayment_lent', 'prepayment_held')) = (counterparty <> '')",
    ),
    ("hop", "hop_state", "state IN ('waiting', 'payable', 'proposed', 'in_position', 'paid')"),
]
"""Checks that let in more than before: table, name, condition."""


def upgrade() -> None:
    for table, name, condition in CHECKS:
        op.drop_constraint(name, table, schema="settlement")
        op.create_check_constraint(name, table, condition, schema="settlement")
    op.alter_column("ledger_transaction", "case_id", nullable=True, schema="settlement")
    op.create_check_constraint(
        "ledger_transaction_of_case",
        "ledger_transaction",
        "case_id IS NOT NULL OR kind IN ('payment', 'prepayment')",
        schema="settlement",
    )
    _clearing_cycle()
    _clearing_case()
    _clearing_position()
    _position_hop()
    _prepayment()
    _prepayment_movement()
    op.create_index(
        "settlement_case_to_clear",
        "settlement_case",
        ["clearing_region", "case_id"],
        unique=False,
        schema="settlement",
        postgresql_where=sa.text("state = 'confirmed'"),
    )
    for guard in GUARDS:
        op.execute(guard)


def _clearing_cycle() -> None:
    op.create_table(
        "clearing_cycle",
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("clearing_region", sa.Text(), nullable=False),
        sa.Column("cycle_no", sa.Integer(), nullable=False),
        sa.Column("netting", sa.Text(), nullable=False),
        sa.Column("month", sa.Text(), nullable=False),
        sa.Column("cut_by", sa.Text(), nullable=True),
        sa.Column("cut_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("netting_hash", sa.Text(), nullable=False),
        sa.CheckConstraint("month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'", name="clearing_cycle_month"),
        sa.CheckConstraint("netting IN ('gross', 'bilateral', 'multilateral')", name="clearing_cycle_netting"),
        sa.CheckConstraint("cycle_no > 0", name="clearing_cycle_positive"),
        sa.PrimaryKeyConstraint("cycle_id"),
        sa.UniqueConstraint("clearing_region", "cycle_no", name="clearing_cycle_number"),
        schema="settlement",
    )


def _clearing_case() -> None:
    op.create_table(
        "clearing_case",
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("left_because", sa.Text(), nullable=True),
        sa.Column("reversal_id", sa.Text(), nullable=True),
        sa.CheckConstraint("num_nulls(left_at, left_because, reversal_id) IN (0, 3)", name="clearing_case_left"),
        sa.ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="clearing_case_of"),
        sa.ForeignKeyConstraint(["cycle_id"], ["settlement.clearing_cycle.cycle_id"], name="clearing_case_cycle"),
        sa.PrimaryKeyConstraint("cycle_id", "case_id"),
        sa.UniqueConstraint("reversal_id", name="clearing_case_reversal"),
        sa.UniqueConstraint("transaction_id", name="clearing_case_transaction"),
        schema="settlement",
    )
    op.create_index("clearing_case_history", "clearing_case", ["case_id"], unique=False, schema="settlement")
    op.create_index(
        "clearing_case_live",
        "clearing_case",
        ["case_id"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("left_at IS NULL"),
    )


def _clearing_position() -> None:
    op.create_table(
        "clearing_position",
        sa.Column("position_id", sa.Text(), nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("payer", sa.Text(), nullable=False),
        sa.Column("payee", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("facility_code", sa.Text(), nullable=True),
        sa.Column("brought_position_id", sa.Text(), nullable=True),
        sa.Column("brought_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'settled') = (settled_at IS NOT NULL) AND (settled_at IS NULL) = (settled_by IS NULL)",
            name="clearing_position_settled",
        ),
        sa.CheckConstraint("amount_fen > 0 OR state NOT IN ('ordered', 'carried')", name="clearing_position_zero"),
        sa.CheckConstraint("facility_code IN (payer, payee)", name="clearing_position_facility"),
        sa.CheckConstraint("state <> 'carried' OR payer = facility_code", name="clearing_position_by_facility"),
        sa.CheckConstraint(
            "settled_by IN ('payment', 'prepayment', 'nothing_owed', 'later_position')", name="clearing_position_by"
        ),
        sa.CheckConstraint(
            "state IN ('open', 'ordered', 'settled', 'carried', 'brought', 'replaced')", name="clearing_position_state"
        ),
        sa.CheckConstraint("(brought_position_id IS NULL) = (brought_fen = 0)", name="clearing_position_brought"),
        sa.CheckConstraint("amount_fen >= 0 AND payer <> payee", name="clearing_position_amount"),
        sa.ForeignKeyConstraint(
            ["brought_position_id"], ["settlement.clearing_position.position_id"], name="clearing_position_brought_from"
        ),
        sa.ForeignKeyConstraint(["cycle_id"], ["settlement.clearing_cycle.cycle_id"], name="clearing_position_cycle"),
        sa.PrimaryKeyConstraint("position_id"),
        schema="settlement",
    )
    op.create_index(
        "clearing_position_brought_once",
        "clearing_position",
        ["brought_position_id"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("state <> 'replaced'"),
    )
    op.create_index(
        "clearing_position_carried",
        "clearing_position",
        ["payer", "payee"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("state = 'carried'"),
    )
    op.create_index(
        "clearing_position_of", "clearing_position", ["cycle_id", "position_id"], unique=False, schema="settlement"
    )
    op.create_index(
        "clearing_position_payer", "clearing_position", ["payer", "payee"], unique=False, schema="settlement"
    )


def _position_hop() -> None:
    op.create_table(
        "position_hop",
        sa.Column("position_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("hop_no", sa.Integer(), nullable=False),
        sa.Column("cycle_id", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id", "hop_no"], ["settlement.hop.case_id", "settlement.hop.hop_no"], name="position_hop_hop"
        ),
        sa.ForeignKeyConstraint(
            ["cycle_id", "case_id"],
            ["settlement.clearing_case.cycle_id", "settlement.clearing_case.case_id"],
            name="position_hop_case",
        ),
        sa.ForeignKeyConstraint(["position_id"], ["settlement.clearing_position.position_id"], name="position_hop_of"),
        sa.PrimaryKeyConstraint("position_id", "case_id", "hop_no"),
        schema="settlement",
    )
    op.create_index("position_hop_cycle", "position_hop", ["cycle_id", "case_id"], unique=False, schema="settlement")
    op.create_index(
        "position_hop_live",
        "position_hop",
        ["case_id", "hop_no"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("live"),
    )


def _prepayment() -> None:
    op.create_table(
        "prepayment",
        sa.Column("lender", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("level_fen", sa.BigInteger(), nullable=False),
        sa.Column("level_year", sa.Integer(), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("use_month", sa.Text(), nullable=False),
        sa.CheckConstraint("use IN ('low', 'yellow', 'red')", name="prepayment_use"),
        sa.CheckConstraint("lender <> holder AND level_fen >= 0", name="prepayment_level"),
        sa.PrimaryKeyConstraint("lender", "holder"),
        schema="settlement",
    )


def _prepayment_movement() -> None:
    op.create_table(
        "prepayment_movement",
        sa.Column("movement_id", sa.Text(), nullable=False),
        sa.Column("lender", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("position_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(kind = 'draw') = (position_id IS NOT NULL)", name="prepayment_movement_draw"),
        sa.CheckConstraint("(state = 'settled') = (settled_at IS NOT NULL)", name="prepayment_movement_settled"),
        sa.CheckConstraint("kind <> 'draw' OR state = 'settled'", name="prepayment_movement_drawn"),
        sa.CheckConstraint("kind IN ('top_up', 'give_back', 'draw')", name="prepayment_movement_kind"),
        sa.CheckConstraint("state IN ('open', 'ordered', 'settled')", name="prepayment_movement_state"),
        sa.CheckConstraint("amount_fen > 0", name="prepayment_movement_amount"),
        sa.ForeignKeyConstraint(
            ["lender", "holder"],
            ["settlement.prepayment.lender", "settlement.prepayment.holder"],
            name="prepayment_movement_of",
        ),
        sa.ForeignKeyConstraint(
            ["position_id"], ["settlement.clearing_position.position_id"], name="prepayment_movement_position"
        ),
        sa.PrimaryKeyConstraint("movement_id"),
        sa.UniqueConstraint("position_id", name="prepayment_movement_once"),
        schema="settlement",
    )
    op.create_index(
        "prepayment_movement_pair",
        "prepayment_movement",
        ["lender", "holder", "movement_id"],
        unique=False,
        schema="settlement",
    )
