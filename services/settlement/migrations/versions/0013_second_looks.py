"""cards that orders fix, payouts that are cancelled, top-ups that are taken back"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

CHECKS = (
    (
        "payout",
        "payout_state",
        "state IN ('proposed', 'approved', 'declined', 'refused', 'paid', 'cancelled')",
    ),
    (
        "prepayment_movement",
        "prepayment_movement_state",
        "state IN ('open', 'ordered', 'settled', 'withdrawn', 'declined')",
    ),
)
# Until now a payout's card was named when its file was fixed: what is not in a file yet names the one that holds.
CARDS = """
    UPDATE settlement.payment_order o SET payee_version_no = w.card_no FROM settlement.payout w
    WHERE o.purpose = 'payout' AND w.payout_id = o.reference AND o.payee_version_no IS NULL
"""
# One document is paid out once. Where two payouts name the same in another case, or as of another origin, both stay: the
# later ones stand for documents of their own.
DOCUMENTS = """
    UPDATE settlement.payout p
    SET document = upper(p.reference) || CASE WHEN n.no = 1 THEN '' ELSE ' ' || p.payout_id END
    FROM (SELECT payout_id, row_number() OVER (
            PARTITION BY region, upper(reference), state = 'declined' ORDER BY payout_id) AS no
          FROM settlement.payout) AS n
    WHERE n.payout_id = p.payout_id
"""
GUARDS = (
    """CREATE TRIGGER payout_document_stands BEFORE UPDATE OF document, person_hash ON settlement.payout
        FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER payment_order_card_stands BEFORE UPDATE ON settlement.payment_order FOR EACH ROW
        WHEN (OLD.purpose = 'payout' AND NEW.payee_version_no IS DISTINCT FROM OLD.payee_version_no)
        EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER payout_cancellation_stands BEFORE UPDATE OF cancellation_id, payout_id, reason, proposed_by,
        proposed_at OR DELETE OR TRUNCATE ON settlement.payout_cancellation FOR EACH STATEMENT
        EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER payout_cancellation_decided_once BEFORE UPDATE ON settlement.payout_cancellation FOR EACH ROW
        WHEN (OLD.state <> 'proposed') EXECUTE FUNCTION settlement.refuse_change()""",
)


def upgrade() -> None:
    for table, name, condition in CHECKS:
        op.drop_constraint(name, table, schema="settlement")
        op.create_check_constraint(name, table, condition, schema="settlement")
    _ledger_kinds()
    op.execute(CARDS)
    op.create_check_constraint(
        "payment_order_card",
        "payment_order",
        "purpose <> 'payout' OR payee_version_no IS NOT NULL",
        schema="settlement",
    )
    op.add_column("payout", sa.Column("person_hash", sa.Text(), nullable=True), schema="settlement")
    op.add_column("payout", sa.Column("document", sa.Text(), nullable=True), schema="settlement")
    op.execute(DOCUMENTS)
    op.alter_column("payout", "document", nullable=False, schema="settlement")
    op.drop_index("payout_once", "payout", schema="settlement")
    op.create_index(
        "payout_once",
        "payout",
        ["region", "document"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("state NOT IN ('declined', 'cancelled')"),
    )
    _payout_cancellation()
    _prepayment_draw()
    _prepayment_movement()
    # The list of what is due reads a page of items in this order.
    op.create_index(
        "work_item_agenda",
        "work_item",
        ["acting_party", "due_on", sa.text("('item ' || item_no::text)")],
        schema="settlement",
        postgresql_where=sa.text("state = 'open'"),
    )
    for guard in GUARDS:
        op.execute(guard)


def _ledger_kinds() -> None:
    """One more kind, which names what it takes back; the others are those there are."""
    for name, condition in KINDS:
        op.drop_constraint(name, "ledger_transaction", schema="settlement")
        op.create_check_constraint(name, "ledger_transaction", condition, schema="settlement")


KINDS = (
    (
        "ledger_transaction_kind",
        "kind IN ('bill', 'reversal', 'payment', 'clearing', 'clearing_reversal', 'prepayment', 'payout',"
        " 'payout_reversal', 'bank', 'identification')",
    ),
    (
        "ledger_reversal",
        "(kind IN ('reversal', 'clearing_reversal', 'identification', 'payout_reversal'))"
        " = (reverses_transaction_id IS NOT NULL)",
    ),
    (
        "ledger_transaction_of_case",
        "case_id IS NOT NULL OR kind IN ('payment', 'prepayment', 'payout', 'payout_reversal', 'bank',"
        " 'identification')",
    ),
)


def _payout_cancellation() -> None:
    op.create_table(
        "payout_cancellation",
        sa.Column("cancellation_id", sa.Text(), nullable=False),
        sa.Column("payout_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('proposed', 'approved', 'declined')", name="payout_cancellation_state"),
        sa.CheckConstraint("(state = 'proposed') = (decided_by IS NULL)", name="payout_cancellation_decided"),
        sa.CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="payout_cancellation_decided_at"),
        sa.CheckConstraint("decided_by <> proposed_by", name="payout_cancellation_four_eyes"),
        sa.ForeignKeyConstraint(["payout_id"], ["settlement.payout.payout_id"], name="payout_cancellation_of"),
        sa.PrimaryKeyConstraint("cancellation_id"),
        schema="settlement",
    )
    op.create_index(
        "payout_cancellation_payout", "payout_cancellation", ["payout_id", "cancellation_id"], schema="settlement"
    )
    op.create_index(
        "payout_cancellation_once",
        "payout_cancellation",
        ["payout_id"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("state <> 'declined'"),
    )


def _prepayment_draw() -> None:
    op.create_table(
        "prepayment_draw",
        sa.Column("position_id", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("approved_by <> proposed_by", name="prepayment_draw_four_eyes"),
        sa.CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="prepayment_draw_approved"),
        sa.ForeignKeyConstraint(
            ["position_id"], ["settlement.clearing_position.position_id"], name="prepayment_draw_position"
        ),
        sa.PrimaryKeyConstraint("position_id"),
        schema="settlement",
    )


def _prepayment_movement() -> None:
    for column in (
        sa.Column("asked_by", sa.Text(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("prepayment_movement", column, schema="settlement")
    op.create_check_constraint(
        "prepayment_movement_asked",
        "prepayment_movement",
        "asked_by IS NULL OR (kind = 'top_up' AND asked_by = lender)",
        schema="settlement",
    )
    op.create_check_constraint(
        "prepayment_movement_ended",
        "prepayment_movement",
        "(state IN ('withdrawn', 'declined')) = (ended_at IS NOT NULL) AND (ended_at IS NULL) = (ended_by IS NULL)"
        " AND (ended_at IS NULL OR asked_by IS NOT NULL)",
        schema="settlement",
    )
