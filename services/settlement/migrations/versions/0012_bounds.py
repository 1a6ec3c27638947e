"""what cannot be sealed is set aside, value dates have bounds, terms show what they come to"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BOUNDS = {
    "ledger_transaction_value_date": "value_date BETWEEN '1990-01-01' AND '2200-01-01'",
    "ledger_transaction_booked_at": "isfinite(booked_at)",
}
# What was booked is never changed: a row that breaks the bound stays, to be found by every verification, and must not
# keep the schema from its next step.
VALIDATE = """
    DO $$ BEGIN
        ALTER TABLE settlement.ledger_transaction VALIDATE CONSTRAINT {name};
    EXCEPTION WHEN check_violation THEN
        RAISE WARNING 'settlement.ledger_transaction holds rows that break {name}';
    END $$
"""

# Who proposed a payment is another person once it is proposed again, under other terms, before anybody approved it.
GUARDS = (
    "DROP TRIGGER payment_amount_stands ON settlement.payment",
    """CREATE TRIGGER payment_amount_stands BEFORE UPDATE OF payment_id, case_id, hop_no, payer, payee, amount_fen OR DELETE
        OR TRUNCATE ON settlement.payment FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER payment_proposed_until_approved BEFORE UPDATE OF proposed_by, proposed_at ON settlement.payment
        FOR EACH ROW WHEN (OLD.approved_by IS NOT NULL) EXECUTE FUNCTION settlement.refuse_change()""",
)


def upgrade() -> None:
    for guard in GUARDS:
        op.execute(guard)
    for column, default in (("queued_at", sa.text("clock_timestamp()")), ("set_aside_at", None)):
        moment = sa.Column(column, sa.DateTime(timezone=True), nullable=default is None, server_default=default)
        op.add_column("ledger_unsealed", moment, schema="settlement")
    for name, condition in BOUNDS.items():
        op.execute(f"ALTER TABLE settlement.ledger_transaction ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID")
        op.execute(VALIDATE.format(name=name))
    given_up: sa.Column[list[str]] = sa.Column(
        "given_up", sa.ARRAY(sa.Text()), nullable=False, server_default=sa.text("'{}'")
    )
    op.add_column("region_terms", given_up, schema="settlement")
    op.add_column("region_terms", sa.Column("outcome", JSONB(), nullable=True), schema="settlement")
