"""payment orders, the bank, and payouts to persons"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.plumbing import refuse_change

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _stands(table: str, *columns: str) -> str:
    """Of a table some columns never change, and no row goes."""
    return f"""CREATE TRIGGER {table}_stands BEFORE UPDATE OF {", ".join(columns)} OR DELETE OR TRUNCATE
        ON settlement.{table} FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()"""


GUARDS = [
    *refuse_change("settlement", "bank_message"),
    *refuse_change("settlement", "bank_entry"),
    # What is encrypted may be encrypted anew, under another key.
    _stands("bank_account", "party", "version_no", "region", "account_hash", "bank_code", "opening_fen", "opening_on"),
    _stands("payout_card", "payout_id", "card_no", "recipient", "papers", "bank_code", "proposed_by", "proposed_at"),
    _stands(
        "payout",
        *("payout_id", "region", "person_id", "amount_fen", "fund_pay_type", "origin", "reference", "reason"),
        *("timing", "reported_on", "release_on", "proposed_by", "proposed_at"),
    ),
    _stands(
        "payment_order",
        *("order_id", "purpose", "reference", "payer", "payee", "amount_fen", "debt_fen", "by_bank"),
        *("review_needed", "root_order_id", "repeats_order_id", "proposed_by", "proposed_at"),
    ),
    _stands(
        "bank_batch",
        *("batch_id", "payer", "account_version_no", "execution_on", "order_count", "sum_fen", "created_at"),
    ),
    # An order is in one file for ever, and a file that was sent is not sent again.
    """CREATE TRIGGER payment_order_one_file BEFORE UPDATE ON settlement.payment_order FOR EACH ROW
        WHEN (OLD.batch_id IS NOT NULL AND (NEW.batch_id, NEW.payee_version_no)
            IS DISTINCT FROM (OLD.batch_id, OLD.payee_version_no))
        EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER bank_batch_sent_once BEFORE UPDATE ON settlement.bank_batch FOR EACH ROW
        WHEN (OLD.state = 'sent' AND (NEW.state, NEW.sent_at) IS DISTINCT FROM (OLD.state, OLD.sent_at))
        EXECUTE FUNCTION settlement.refuse_change()""",
]

CHECKS = (
    (
        "ledger_transaction",
        "ledger_transaction_kind",
        "kind IN ('bill', 'reversal', 'payment', 'clearing', 'clearing_reversal', 'prepayment', 'payout', 'bank')",
    ),
    (
        "ledger_transaction",
        "ledger_transaction_of_case",
        "case_id IS NOT NULL OR kind IN ('payment', 'prepayment', 'payout', 'bank')",
    ),
    (
        "ledger_entry",
        "ledger_entry_kind",
        "account_kind IN ('receivable', 'payable', 'fund_expenditure', 'personal_account', 'medical_income', 'bank',"
        " 'clearing', 'prepayment_lent', 'prepayment_held', 'suspense', 'benefits_payable')",
    ),
    (
        "ledger_entry",
        "ledger_entry_counterparty",
        "account_kind = 'suspense' OR (account_kind IN ('receivable', 'payable', 'clearing', 'prepayment_lent',"
        " 'prepayment_held')) = (counterparty <> '')",
    ),
)
"""What may be booked from now on: payouts, and what the bank moves beside what is settled."""


def upgrade() -> None:
    for table, name, condition in CHECKS:
        op.drop_constraint(name, table, schema="settlement")
        op.create_check_constraint(name, table, condition, schema="settlement")
    _bank_account()
    _bank_batch()
    _payment_order()
    _payment_order_indexes()
    _bank_message()
    _bank_entry()
    _bank_item()
    _payout()
    _payout_card()
    for guard in GUARDS:
        op.execute(guard)


def _bank_account() -> None:
    op.create_table(
        "bank_account",
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("version_no", sa.Integer(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("holder_sealed", sa.Text(), nullable=False),
        sa.Column("account_sealed", sa.Text(), nullable=False),
        sa.Column("account_hash", sa.Text(), nullable=False),
        sa.Column("bank_code", sa.Text(), nullable=False),
        sa.Column("opening_fen", sa.BigInteger(), nullable=False),
        sa.Column("opening_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'proposed') = (decided_by IS NULL)", name="bank_account_decided"),
        sa.CheckConstraint("state = 'approved' OR NOT current", name="bank_account_approved"),
        sa.CheckConstraint("state IN ('proposed', 'approved', 'declined')", name="bank_account_state"),
        sa.CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="bank_account_decided_at"),
        sa.CheckConstraint("decided_by <> proposed_by", name="bank_account_four_eyes"),
        sa.CheckConstraint("version_no > 0", name="bank_account_version"),
        sa.PrimaryKeyConstraint("party", "version_no"),
        schema="settlement",
    )
    op.create_index(
        "bank_account_current",
        "bank_account",
        ["party"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("current"),
    )
    op.create_index(
        "bank_account_number",
        "bank_account",
        ["account_hash"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("current"),
    )
    op.create_index(
        "bank_account_waiting",
        "bank_account",
        ["party"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("state = 'proposed'"),
    )


def _bank_batch() -> None:
    op.create_table(
        "bank_batch",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("payer", sa.Text(), nullable=False),
        sa.Column("account_version_no", sa.Integer(), nullable=False),
        sa.Column("execution_on", sa.Date(), nullable=False),
        sa.Column("order_count", sa.Integer(), nullable=False),
        sa.Column("sum_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="bank_batch_sent"),
        sa.CheckConstraint("state IN ('sending', 'sent')", name="bank_batch_state"),
        sa.CheckConstraint("order_count > 0 AND sum_fen > 0", name="bank_batch_numbers"),
        sa.ForeignKeyConstraint(
            ["payer", "account_version_no"],
            ["settlement.bank_account.party", "settlement.bank_account.version_no"],
            name="bank_batch_account",
        ),
        sa.PrimaryKeyConstraint("batch_id"),
        schema="settlement",
    )
    op.create_index(
        "bank_batch_sending",
        "bank_batch",
        ["batch_id"],
        unique=False,
        schema="settlement",
        postgresql_where=sa.text("state = 'sending'"),
    )


def _payment_order() -> None:
    op.create_table(
        "payment_order",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("payer", sa.Text(), nullable=False),
        sa.Column("payee", sa.Text(), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("debt_fen", sa.BigInteger(), nullable=False),
        sa.Column("by_bank", sa.Boolean(), nullable=False),
        sa.Column("review_needed", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("root_order_id", sa.Text(), nullable=False),
        sa.Column("repeats_order_id", sa.Text(), nullable=True),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reviewed_by", sa.Text(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("payee_version_no", sa.Integer(), nullable=True),
        sa.Column("bank_status", sa.Text(), nullable=True),
        sa.Column("bank_reason", sa.Text(), nullable=True),
        sa.Column("declined_reason", sa.Text(), nullable=True),
        sa.Column("paid_fen", sa.BigInteger(), nullable=False),
        sa.Column("debt_settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(batch_id IS NOT NULL) = (by_bank AND state NOT IN ('proposed', 'reviewed', 'approved', 'declined'))",
            name="payment_order_batch",
        ),
        sa.CheckConstraint("payer <> payee AND (payee IS NULL) = (purpose = 'payout')", name="payment_order_payee"),
        sa.CheckConstraint("purpose IN ('hop', 'position', 'prepayment', 'payout')", name="payment_order_purpose"),
        sa.CheckConstraint(
            "state IN ('proposed', 'reviewed', 'approved', 'sending', 'sent', 'settled', 'partly_paid', 'rejected', 'returned', 'declined')",
            name="payment_order_state",
        ),
        sa.CheckConstraint(
            "state IN ('proposed', 'reviewed', 'declined') OR (approved_by IS NOT NULL AND (reviewed_by IS NOT NULL OR NOT review_needed))",
            name="payment_order_permitted",
        ),
        sa.CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="payment_order_approved"),
        sa.CheckConstraint("(repeats_order_id IS NULL) = (root_order_id = order_id)", name="payment_order_root"),
        sa.CheckConstraint("(reviewed_by IS NULL) = (reviewed_at IS NULL)", name="payment_order_reviewed"),
        sa.CheckConstraint("amount_fen > 0 AND debt_fen >= amount_fen", name="payment_order_amount"),
        sa.CheckConstraint("approved_by <> proposed_by", name="payment_order_four_eyes"),
        sa.CheckConstraint("approved_by <> reviewed_by", name="payment_order_six_eyes"),
        sa.CheckConstraint("debt_settled_at IS NULL OR root_order_id = order_id", name="payment_order_settled"),
        sa.CheckConstraint("reviewed_by <> proposed_by", name="payment_order_review"),
        sa.ForeignKeyConstraint(["batch_id"], ["settlement.bank_batch.batch_id"], name="payment_order_file"),
        sa.ForeignKeyConstraint(
            ["repeats_order_id"], ["settlement.payment_order.order_id"], name="payment_order_repeats"
        ),
        sa.ForeignKeyConstraint(["root_order_id"], ["settlement.payment_order.order_id"], name="payment_order_first"),
        sa.PrimaryKeyConstraint("order_id"),
        sa.UniqueConstraint("repeats_order_id", name="payment_order_repeated_once"),
        schema="settlement",
    )


def _payment_order_indexes() -> None:
    op.create_index(
        "payment_order_batch_of",
        "payment_order",
        ["batch_id"],
        unique=False,
        schema="settlement",
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_index(
        "payment_order_live",
        "payment_order",
        ["root_order_id"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("state IN ('proposed', 'reviewed', 'approved', 'sending', 'sent')"),
    )
    op.create_index(
        "payment_order_debt", "payment_order", ["root_order_id", "order_id"], unique=False, schema="settlement"
    )
    op.create_index(
        "payment_order_once",
        "payment_order",
        ["purpose", "reference"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("repeats_order_id IS NULL"),
    )
    op.create_index("payment_order_payer", "payment_order", ["payer", "order_id"], unique=False, schema="settlement")
    op.create_index(
        "payment_order_waiting",
        "payment_order",
        ["payer", "order_id"],
        unique=False,
        schema="settlement",
        postgresql_where=sa.text("state = 'approved' AND by_bank"),
    )


def _bank_message() -> None:
    op.create_table(
        "bank_message",
        sa.Column("message_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.CheckConstraint("(kind = 'unreadable') = (fault IS NOT NULL)", name="bank_message_fault"),
        sa.CheckConstraint("kind IN ('pain.002', 'camt.053', 'camt.054', 'unreadable')", name="bank_message_kind"),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="bank_message_sha256"),
        sa.PrimaryKeyConstraint("message_no"),
        schema="settlement",
    )
    op.create_index(
        "bank_message_once",
        "bank_message",
        ["kind", "party", "message_id"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("kind <> 'unreadable'"),
    )
    op.create_index(
        "bank_message_refused",
        "bank_message",
        ["sha256"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("kind = 'unreadable'"),
    )


def _bank_entry() -> None:
    op.create_table(
        "bank_entry",
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("entry_ref", sa.Text(), nullable=False),
        sa.Column("end_to_end_id", sa.Text(), nullable=False),
        sa.Column("debit", sa.Boolean(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("message_no", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(outcome = 'unknown') = (order_id IS NULL)", name="bank_entry_order"),
        sa.CheckConstraint("outcome IN ('paid', 'returned', 'mirrored', 'unknown')", name="bank_entry_outcome"),
        sa.CheckConstraint("amount_fen >= 0", name="bank_entry_amount"),
        sa.ForeignKeyConstraint(["message_no"], ["settlement.bank_message.message_no"], name="bank_entry_message"),
        sa.ForeignKeyConstraint(["order_id"], ["settlement.payment_order.order_id"], name="bank_entry_of"),
        sa.PrimaryKeyConstraint("entry_id"),
        sa.UniqueConstraint("party", "entry_ref", "end_to_end_id", "debit", name="bank_entry_once"),
        schema="settlement",
    )
    op.create_index(
        "bank_entry_order_of",
        "bank_entry",
        ["order_id"],
        unique=False,
        schema="settlement",
        postgresql_where=sa.text("order_id IS NOT NULL"),
    )


def _bank_item() -> None:
    op.create_table(
        "bank_item",
        sa.Column("item_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("item_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("message_no", sa.BigInteger(), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_as", sa.Text(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("(closed_as = 'explained') = (closed_by IS NOT NULL)", name="bank_item_closed_by"),
        sa.CheckConstraint("closed_as IN ('explained', 'answered', 'repeated', 'agreed')", name="bank_item_closed_as"),
        sa.CheckConstraint(
            "kind IN ('entry_unknown', 'entry_changed', 'partial', 'overpaid', 'returned', 'late', 'rejected', 'status_contradicts', 'order_unknown', 'unanswered', 'balance_differs', 'file_refused')",
            name="bank_item_kind",
        ),
        sa.CheckConstraint("(closed_at IS NULL) = (closed_as IS NULL)", name="bank_item_closed"),
        sa.CheckConstraint("(closed_by IS NULL) = (note IS NULL)", name="bank_item_note"),
        sa.ForeignKeyConstraint(["message_no"], ["settlement.bank_message.message_no"], name="bank_item_message"),
        sa.ForeignKeyConstraint(["order_id"], ["settlement.payment_order.order_id"], name="bank_item_order"),
        sa.PrimaryKeyConstraint("item_no"),
        sa.UniqueConstraint("item_key", name="bank_item_once"),
        schema="settlement",
    )
    op.create_index(
        "bank_item_of_order",
        "bank_item",
        ["order_id"],
        unique=False,
        schema="settlement",
        postgresql_where=sa.text("order_id IS NOT NULL"),
    )
    op.create_index(
        "bank_item_open",
        "bank_item",
        ["party", "item_no"],
        unique=False,
        schema="settlement",
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def _payout() -> None:
    op.create_table(
        "payout",
        sa.Column("payout_id", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("fund_pay_type", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("timing", sa.Text(), nullable=False),
        sa.Column("reported_on", sa.Date(), nullable=False),
        sa.Column("release_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("card_no", sa.Integer(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'paid') = (paid_at IS NOT NULL)", name="payout_paid"),
        sa.CheckConstraint("(state = 'proposed') = (decided_by IS NULL)", name="payout_decided"),
        sa.CheckConstraint("origin IN ('supplement', 'manual_claim')", name="payout_origin"),
        sa.CheckConstraint("state IN ('proposed', 'approved', 'declined', 'refused', 'paid')", name="payout_state"),
        sa.CheckConstraint("timing IN ('at_once', 'batch') AND release_on >= reported_on", name="payout_timing"),
        sa.CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="payout_decided_at"),
        sa.CheckConstraint("amount_fen > 0", name="payout_amount"),
        sa.CheckConstraint("decided_by <> proposed_by", name="payout_four_eyes"),
        sa.PrimaryKeyConstraint("payout_id"),
        schema="settlement",
    )
    op.create_index(
        "payout_once",
        "payout",
        ["region", "origin", "reference"],
        unique=True,
        schema="settlement",
        postgresql_where=sa.text("state <> 'declined'"),
    )
    op.create_index("payout_region", "payout", ["region", "payout_id"], unique=False, schema="settlement")


def _payout_card() -> None:
    op.create_table(
        "payout_card",
        sa.Column("payout_id", sa.Text(), nullable=False),
        sa.Column("card_no", sa.Integer(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("papers", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("holder_sealed", sa.Text(), nullable=False),
        sa.Column("account_sealed", sa.Text(), nullable=False),
        sa.Column("bank_code", sa.Text(), nullable=False),
        sa.Column("agent_sealed", sa.Text(), nullable=True),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(recipient = 'agent') = (agent_sealed IS NOT NULL)", name="payout_card_agent"),
        sa.CheckConstraint("recipient IN ('own_card', 'agent', 'other_card')", name="payout_card_recipient"),
        sa.CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="payout_card_approved"),
        sa.CheckConstraint("approved_by <> proposed_by", name="payout_card_four_eyes"),
        sa.CheckConstraint("card_no > 0", name="payout_card_number"),
        sa.CheckConstraint("cardinality(papers) > 0", name="payout_card_papers"),
        sa.ForeignKeyConstraint(["payout_id"], ["settlement.payout.payout_id"], name="payout_card_of"),
        sa.PrimaryKeyConstraint("payout_id", "card_no"),
        schema="settlement",
    )
