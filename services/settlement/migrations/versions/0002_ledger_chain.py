"""the chain over the ledger, a ledger that keeps to its months, and the checks of its invariants"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.plumbing import refuse_change

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GUARDS = [
    *refuse_change("settlement", "ledger_chain"),
    # What the bills of a closed month are refused, their transactions are too; and a bill's transaction is in the
    # month of its case. A payment belongs to the month in which it is paid.
    """CREATE FUNCTION settlement.transaction_fits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM added a JOIN settlement.settlement_case c USING (case_id)
                   JOIN settlement.facility_month m ON (m.facility_code, m.period) = (c.facility_code, a.period)
                   WHERE a.kind <> 'payment' AND m.confirmed) THEN
            RAISE EXCEPTION 'a confirmed month takes no more transactions'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_transaction_month_open';
        END IF;
        IF EXISTS (SELECT FROM added a JOIN settlement.settlement_case c USING (case_id)
                   WHERE a.kind <> 'payment' AND a.period <> c.period) THEN
            RAISE EXCEPTION 'a transaction is in another month than its case'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_transaction_case_fits';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER ledger_transaction_fits AFTER INSERT ON settlement.ledger_transaction REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION settlement.transaction_fits()""",
]


def upgrade() -> None:
    op.create_table(
        "ledger_chain",
        sa.Column("chain_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("chain_no > 0", name="ledger_chain_number"),
        sa.CheckConstraint("octet_length(leaf) = 32 AND octet_length(hash) = 32", name="ledger_chain_hashes"),
        sa.PrimaryKeyConstraint("chain_no"),
        sa.UniqueConstraint("transaction_id", name="ledger_chain_once"),
        schema="settlement",
    )
    op.create_table(
        "ledger_unsealed",
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("mark", sa.LargeBinary(), nullable=False),
        schema="settlement",
    )
    op.create_table(
        "invariant_check",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("took_s", sa.Float(), nullable=False),
        sa.Column("chain_no", sa.BigInteger(), nullable=False),
        sa.Column("transactions", sa.BigInteger(), nullable=False),
        sa.Column("violations", sa.BigInteger(), nullable=False),
        sa.Column("findings", JSONB(), nullable=False),
        sa.CheckConstraint("scope IN ('recent', 'whole')", name="invariant_check_scope"),
        sa.CheckConstraint("chain_no >= 0 AND transactions >= 0 AND violations >= 0", name="invariant_check_numbers"),
        sa.CheckConstraint("took_s >= 0", name="invariant_check_took"),
        sa.PrimaryKeyConstraint("scope"),
        schema="settlement",
    )
    for guard in GUARDS:
        op.execute(guard)
