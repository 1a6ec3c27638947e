"""movements of bank accounts: told twice under other names, and identified"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.plumbing import refuse_change

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

CHECKS = (
    (
        "ledger_transaction",
        "ledger_transaction_kind",
        "kind IN ('bill', 'reversal', 'payment', 'clearing', 'clearing_reversal', 'prepayment', 'payout', 'bank',"
        " 'identification')",
    ),
    (
        "ledger_transaction",
        "ledger_reversal",
        "(kind IN ('reversal', 'clearing_reversal', 'identification')) = (reverses_transaction_id IS NOT NULL)",
    ),
    (
        "ledger_transaction",
        "ledger_transaction_of_case",
        "case_id IS NOT NULL OR kind IN ('payment', 'prepayment', 'payout', 'bank', 'identification')",
    ),
    (
        "bank_item",
        "bank_item_closed_as",
        "closed_as IN ('explained', 'answered', 'repeated', 'agreed', 'identified')",
    ),
)
"""An identification takes the movement off suspense, and names what it takes back."""

GUARDS = [
    *refuse_change("settlement", "bank_sighting"),
    """CREATE TRIGGER bank_identification_stands BEFORE UPDATE OF identification_id, entry_id, party, target, order_id,
        purpose, reference, counter_entry_id, reason, proposed_by, proposed_at OR DELETE OR TRUNCATE
        ON settlement.bank_identification FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER bank_identification_decided_once BEFORE UPDATE ON settlement.bank_identification FOR EACH ROW
        WHEN (OLD.state <> 'proposed') EXECUTE FUNCTION settlement.refuse_change()""",
]
# Until now every movement was told of under one name, which was the servicer's reference where it gave one.
KNOWN = """
    INSERT INTO settlement.bank_sighting
        (party, told_by, named_by, name, end_to_end_id, debit, entry_id, value_on, message_no)
    SELECT e.party, m.kind, 'servicer', e.entry_ref, e.end_to_end_id, e.debit, e.entry_id, NULL, e.message_no
    FROM settlement.bank_entry e JOIN settlement.bank_message m USING (message_no)
"""


def upgrade() -> None:
    for table, name, condition in CHECKS:
        op.drop_constraint(name, table, schema="settlement")
        op.create_check_constraint(name, table, condition, schema="settlement")
    op.drop_constraint("bank_entry_once", "bank_entry", schema="settlement")
    op.create_index("bank_entry_day", "bank_entry", ["party", "booked_on"], schema="settlement")
    _bank_sighting()
    _bank_identification()
    op.execute(KNOWN)
    for guard in GUARDS:
        op.execute(guard)


def _bank_sighting() -> None:
    op.create_table(
        "bank_sighting",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("told_by", sa.Text(), nullable=False),
        sa.Column("named_by", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("end_to_end_id", sa.Text(), nullable=False),
        sa.Column("debit", sa.Boolean(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("value_on", sa.Date(), nullable=True),
        sa.Column("message_no", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("told_by IN ('camt.053', 'camt.054')", name="bank_sighting_told_by"),
        sa.CheckConstraint("named_by IN ('servicer', 'report')", name="bank_sighting_named_by"),
        sa.ForeignKeyConstraint(["entry_id"], ["settlement.bank_entry.entry_id"], name="bank_sighting_of"),
        sa.ForeignKeyConstraint(["message_no"], ["settlement.bank_message.message_no"], name="bank_sighting_message"),
        sa.PrimaryKeyConstraint("party", "told_by", "named_by", "name", "end_to_end_id", "debit"),
        schema="settlement",
    )
    op.create_index("bank_sighting_entry", "bank_sighting", ["entry_id"], schema="settlement")


def _bank_identification() -> None:
    op.create_table(
        "bank_identification",
        sa.Column("identification_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("counter_entry_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        *(sa.CheckConstraint(condition, name=f"bank_identification_{name}") for name, condition in CONDITIONS.items()),
        *(
            sa.ForeignKeyConstraint([column], [f"settlement.{to}"], name=f"bank_identification_{name}")
            for name, column, to in KEYS
        ),
        sa.PrimaryKeyConstraint("identification_id"),
        schema="settlement",
    )
    for name, columns, unique, where in INDEXES:
        op.create_index(
            f"bank_identification_{name}",
            "bank_identification",
            columns,
            unique=unique,
            schema="settlement",
            postgresql_where=where and sa.text(where),
        )


CONDITIONS = {
    "target": "target IN ('order', 'receivable', 'counter_entry')",
    "order": "(target = 'order') = (order_id IS NOT NULL)",
    "reference": "(target = 'receivable') = (reference IS NOT NULL)",
    "debt": "(purpose IS NULL) = (reference IS NULL)",
    "purpose": "purpose IN ('hop', 'position', 'prepayment')",
    "pair": "(target = 'counter_entry') = (counter_entry_id IS NOT NULL)",
    "two": "counter_entry_id <> entry_id",
    "state": "state IN ('proposed', 'approved', 'declined')",
    "approved": "(state = 'approved') = (outcome IS NOT NULL)",
    "outcome": "outcome IN ('paid', 'returned', 'mirrored', 'settled', 'cancelled')",
    "decided": "(state = 'proposed') = (decided_by IS NULL)",
    "decided_at": "(decided_by IS NULL) = (decided_at IS NULL)",
    "four_eyes": "decided_by <> proposed_by",
}
KEYS = (
    ("of", "entry_id", "bank_entry.entry_id"),
    ("counter", "counter_entry_id", "bank_entry.entry_id"),
    ("payment_order", "order_id", "payment_order.order_id"),
)
INDEXES = (
    ("once", ["entry_id"], True, "state <> 'declined'"),
    ("debt_once", ["party", "purpose", "reference"], True, "state <> 'declined' AND reference IS NOT NULL"),
    ("orders", ["order_id"], False, "order_id IS NOT NULL"),
    ("party", ["party", "identification_id"], False, None),
)
