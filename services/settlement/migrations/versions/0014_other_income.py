"""movements of the bank that belong to no order or debt, and who identifies those of facilities"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

IDENTIFICATION = "bank_identification"
CHECKS = (
    (
        "ledger_entry",
        "ledger_entry_kind",
        "account_kind IN ('receivable', 'payable', 'fund_expenditure', 'personal_account', 'medical_income', 'bank',"
        " 'clearing', 'prepayment_lent', 'prepayment_held', 'suspense', 'benefits_payable', 'other_income')",
    ),
    (
        IDENTIFICATION,
        "bank_identification_target",
        "target IN ('order', 'receivable', 'counter_entry', 'other_income')",
    ),
    (
        IDENTIFICATION,
        "bank_identification_outcome",
        "outcome IN ('paid', 'returned', 'mirrored', 'settled', 'cancelled', 'booked')",
    ),
)
NEW_CHECKS = {
    "other": "(target = 'other_income') = (nature IS NOT NULL)",
    "nature": "nature IN ('interest', 'treasury', 'charges', 'other')",
    "booked": "outcome IS NULL OR (outcome = 'booked') = (target = 'other_income')",
}
# Nobody could identify what a facility's account shows: what there is, is of agencies' own accounts.
KEEPERS = """
    UPDATE settlement.bank_identification i SET keeper = i.party, debit = e.debit
    FROM settlement.bank_entry e WHERE e.entry_id = i.entry_id
"""
ITEMS = """
    UPDATE settlement.bank_item i SET party = a.region FROM settlement.bank_account a
    WHERE a.party = i.party AND a.current AND a.region <> i.party
"""
STANDS = """
    CREATE TRIGGER bank_identification_stands BEFORE UPDATE OF identification_id, entry_id, debit, party, keeper, target,
        order_id, purpose, reference, counter_entry_id, nature, reason, proposed_by, proposed_at OR DELETE OR TRUNCATE
        ON settlement.bank_identification FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()
"""
DECIDED_ONCE = """
    CREATE TRIGGER bank_identification_decided_once BEFORE UPDATE ON settlement.bank_identification FOR EACH ROW
        WHEN (OLD.state <> 'proposed') EXECUTE FUNCTION settlement.refuse_change()
"""


def upgrade() -> None:
    for table, name, condition in CHECKS:
        op.drop_constraint(name, table, schema="settlement")
        op.create_check_constraint(name, table, condition, schema="settlement")
    for column in (sa.Column("nature", sa.Text()), sa.Column("keeper", sa.Text()), sa.Column("debit", sa.Boolean())):
        op.add_column(IDENTIFICATION, column, schema="settlement")
    for trigger in ("stands", "decided_once"):
        op.execute(f"DROP TRIGGER bank_identification_{trigger} ON settlement.bank_identification")
    op.execute(KEEPERS)
    for name in ("keeper", "debit"):
        op.alter_column(IDENTIFICATION, name, nullable=False, schema="settlement")
    op.execute(STANDS)
    op.execute(DECIDED_ONCE)
    op.execute(ITEMS)
    for name, condition in NEW_CHECKS.items():
        op.create_check_constraint(f"bank_identification_{name}", IDENTIFICATION, condition, schema="settlement")
    op.drop_index("bank_identification_debt_once", IDENTIFICATION, schema="settlement")
    op.create_index(
        "bank_identification_debt_once",
        IDENTIFICATION,
        ["party", "purpose", "reference", "debit"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("state <> 'declined' AND reference IS NOT NULL"),
    )
    op.drop_index("bank_identification_party", IDENTIFICATION, schema="settlement")
    op.create_index("bank_identification_keeper", IDENTIFICATION, ["keeper", "identification_id"], schema="settlement")
