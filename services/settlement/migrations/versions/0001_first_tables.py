"""first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.plumbing import create_statements, refuse_change

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WRITTEN_ONCE = (
    "bill",
    "ledger_transaction",
    "ledger_entry",
    "case_step",
    "confirmation",
    "statement_line",
    "statement_class",
    "difference",
)
"""Tables whose rows are never changed or deleted, by nobody."""

GUARDS = [
    *(statement for table in WRITTEN_ONCE for statement in refuse_change("settlement", table)),
    # Of a hop and a payment only the progress changes, never who pays whom how much.
    """CREATE TRIGGER hop_amount_stands BEFORE UPDATE OF case_id, hop_no, kind, payer, payee, amount_fen OR DELETE
        OR TRUNCATE ON settlement.hop FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    """CREATE TRIGGER payment_amount_stands BEFORE UPDATE OF payment_id, case_id, hop_no, payer, payee, amount_fen,
        proposed_by, proposed_at OR DELETE OR TRUNCATE ON settlement.payment
        FOR EACH STATEMENT EXECUTE FUNCTION settlement.refuse_change()""",
    # What all parties confirmed stays as they saw it.
    """CREATE TRIGGER settlement_case_numbers_stand BEFORE UPDATE OF facility_code, period, care_region, home_region,
        clearing_region, chain, bill_count, total_fen, fund_fen, account_fen, payable_fen, numbers_hash
        ON settlement.settlement_case FOR EACH ROW
        WHEN (OLD.state IN ('confirmed', 'remitting', 'disbursing', 'closed'))
        EXECUTE FUNCTION settlement.refuse_change()""",
    # Every statement adds entries, of transactions that exist, that balance in each book of each transaction. As entries never change, each
    # transaction then balances as a whole at every moment; looking at the added rows alone keeps this cheap.
    """CREATE FUNCTION settlement.entries_balance() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM added GROUP BY transaction_id, book HAVING sum(amount_fen) <> 0) THEN
            RAISE EXCEPTION 'the entries of a transaction do not sum to zero in each book'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_balance';
        END IF;
        IF EXISTS (SELECT FROM (SELECT DISTINCT transaction_id FROM added) AS a
                   LEFT JOIN settlement.ledger_transaction t USING (transaction_id) WHERE t.kind IS NULL) THEN
            RAISE EXCEPTION 'entries of a transaction that does not exist'
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'ledger_entry_transaction';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER ledger_entry_balance AFTER INSERT ON settlement.ledger_entry REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION settlement.entries_balance()""",
    # The same once more at the commit, and that no transaction is empty. It hangs on the transaction and not on its
    # entries: a deferred trigger runs row by row, and there are eight entries to a transaction.
    """CREATE FUNCTION settlement.transaction_balances() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT coalesce(bool_or(off <> 0), true) FROM (
                SELECT sum(amount_fen) AS off FROM settlement.ledger_entry
                WHERE transaction_id = NEW.transaction_id GROUP BY book) AS books) THEN
            RAISE EXCEPTION 'transaction % is empty or does not balance', NEW.transaction_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_transaction_balance';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE CONSTRAINT TRIGGER ledger_transaction_balance AFTER INSERT ON settlement.ledger_transaction
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION settlement.transaction_balances()""",
    # A month somebody confirmed takes no bills any more, and a bill belongs to the case of its own facility, month
    # and regions.
    """CREATE FUNCTION settlement.bill_fits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM added JOIN settlement.facility_month m USING (facility_code, period)
                   WHERE m.confirmed) THEN
            RAISE EXCEPTION 'a confirmed month takes no more bills'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'bill_month_open';
        END IF;
        IF EXISTS (SELECT FROM added a JOIN settlement.settlement_case c USING (case_id)
                   WHERE (a.facility_code, a.period, a.care_region, a.home_region)
                      <> (c.facility_code, c.period, c.care_region, c.home_region)) THEN
            RAISE EXCEPTION 'a bill is in the case of another facility, month or region'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'bill_case_fits';
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER bill_fits AFTER INSERT ON settlement.bill REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION settlement.bill_fits()""",
]


def upgrade() -> None:
    for statement in create_statements("settlement"):
        op.execute(statement)
    _facility()
    _ledger_entry()
    _statement()
    _difference()
    _facility_month()
    _resolution()
    _statement_class()
    _statement_line()
    _statement_total()
    _settlement_case()
    _bill()
    _case_step()
    _confirmation()
    _due()
    _hop()
    _ledger_transaction()
    _payment()
    _reminder()
    for guard in GUARDS:
        op.execute(guard)


def _facility() -> None:
    op.create_table(
        "facility",
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("facility_code"),
        schema="settlement",
    )


def _ledger_entry() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("book", sa.Text(), nullable=False),
        sa.Column("account_kind", sa.Text(), nullable=False),
        sa.Column("counterparty", sa.Text(), nullable=False),
        sa.Column("fund_pay_type", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(account_kind = 'fund_expenditure') = (fund_pay_type <> '')", name="ledger_entry_fund"),
        sa.CheckConstraint(
            "(account_kind IN ('receivable', 'payable')) = (counterparty <> '')", name="ledger_entry_counterparty"
        ),
        sa.CheckConstraint(
            "account_kind IN ('receivable', 'payable', 'fund_expenditure', 'personal_account', 'medical_income', 'bank')",
            name="ledger_entry_kind",
        ),
        sa.CheckConstraint("amount_fen <> 0", name="ledger_entry_amount"),
        sa.PrimaryKeyConstraint("transaction_id", "line_no"),
        schema="settlement",
    )
    op.create_index(
        "ledger_entry_book", "ledger_entry", ["book", "transaction_id", "line_no"], unique=False, schema="settlement"
    )


def _statement() -> None:
    op.create_table(
        "statement",
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("care_region", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("version_no", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("match_no", sa.Integer(), nullable=False),
        sa.Column("submitted_by", sa.Text(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_on", sa.Date(), nullable=False),
        sa.CheckConstraint("period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'", name="statement_period"),
        sa.CheckConstraint(
            "state IN ('details_wanted', 'differences', 'matched', 'reopened', 'replaced')", name="statement_state"
        ),
        sa.CheckConstraint("version_no > 0 AND match_no >= 0", name="statement_numbers"),
        sa.PrimaryKeyConstraint("statement_id"),
        sa.UniqueConstraint("facility_code", "period", "version_no", name="statement_version"),
        schema="settlement",
    )
    op.create_index(
        "statement_reopened",
        "statement",
        ["statement_id"],
        unique=False,
        schema="settlement",
        postgresql_where=sa.text("state = 'reopened'"),
    )


def _difference() -> None:
    op.create_table(
        "difference",
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("match_no", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("difference_class", sa.Text(), nullable=False),
        sa.Column("facility_settlement_no", sa.Text(), nullable=False),
        sa.Column("refund", sa.Boolean(), nullable=False),
        sa.Column("settlement_id", sa.Text(), nullable=True),
        sa.Column("home_region", sa.Text(), nullable=True),
        sa.Column("books_total_fen", sa.BigInteger(), nullable=True),
        sa.Column("books_fund_fen", sa.BigInteger(), nullable=True),
        sa.Column("books_account_fen", sa.BigInteger(), nullable=True),
        sa.Column("stated_total_fen", sa.BigInteger(), nullable=True),
        sa.Column("stated_fund_fen", sa.BigInteger(), nullable=True),
        sa.Column("stated_account_fen", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "difference_class IN ('amount_differs', 'missing_in_statement', 'missing_in_books')",
            name="difference_class",
        ),
        sa.ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="difference_of"),
        sa.PrimaryKeyConstraint("statement_id", "match_no", "position"),
        schema="settlement",
    )


def _facility_month() -> None:
    op.create_table(
        "facility_month",
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("statement_id", sa.Text(), nullable=True),
        sa.CheckConstraint("period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'", name="facility_month_period"),
        sa.ForeignKeyConstraint(
            ["statement_id"], ["settlement.statement.statement_id"], name="facility_month_statement"
        ),
        sa.PrimaryKeyConstraint("facility_code", "period"),
        schema="settlement",
    )


def _resolution() -> None:
    op.create_table(
        "resolution",
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("match_no", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="resolution_approved"),
        sa.CheckConstraint("approved_by IS NULL OR approved_by <> proposed_by", name="resolution_four_eyes"),
        sa.ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="resolution_of"),
        sa.PrimaryKeyConstraint("statement_id", "match_no"),
        schema="settlement",
    )


def _statement_class() -> None:
    op.create_table(
        "statement_class",
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("match_no", sa.Integer(), nullable=False),
        sa.Column("difference_class", sa.Text(), nullable=False),
        sa.Column("books_bill_count", sa.BigInteger(), nullable=False),
        sa.Column("books_total_fen", sa.BigInteger(), nullable=False),
        sa.Column("books_fund_fen", sa.BigInteger(), nullable=False),
        sa.Column("books_account_fen", sa.BigInteger(), nullable=False),
        sa.Column("stated_bill_count", sa.BigInteger(), nullable=False),
        sa.Column("stated_total_fen", sa.BigInteger(), nullable=False),
        sa.Column("stated_fund_fen", sa.BigInteger(), nullable=False),
        sa.Column("stated_account_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "difference_class IN ('agreed', 'amount_differs', 'missing_in_statement', 'missing_in_books')",
            name="statement_class_class",
        ),
        sa.ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="statement_class_of"),
        sa.PrimaryKeyConstraint("statement_id", "match_no", "difference_class"),
        schema="settlement",
    )


def _statement_line() -> None:
    op.create_table(
        "statement_line",
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("facility_settlement_no", sa.Text(), nullable=False),
        sa.Column("refund", sa.Boolean(), nullable=False),
        sa.Column("settlement_id", sa.Text(), nullable=True),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("fund_fen", sa.BigInteger(), nullable=False),
        sa.Column("account_fen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="statement_line_of"),
        sa.PrimaryKeyConstraint("statement_id", "facility_settlement_no", "refund"),
        schema="settlement",
    )


def _statement_total() -> None:
    op.create_table(
        "statement_total",
        sa.Column("statement_id", sa.Text(), nullable=False),
        sa.Column("home_region", sa.Text(), nullable=False),
        sa.Column("insutype", sa.Text(), nullable=False),
        sa.Column("clr_type", sa.Text(), nullable=False),
        sa.Column("refund", sa.Boolean(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("fund_fen", sa.BigInteger(), nullable=False),
        sa.Column("account_fen", sa.BigInteger(), nullable=False),
        sa.Column("bill_count", sa.BigInteger(), nullable=False),
        sa.Column("books_total_fen", sa.BigInteger(), nullable=False),
        sa.Column("books_fund_fen", sa.BigInteger(), nullable=False),
        sa.Column("books_account_fen", sa.BigInteger(), nullable=False),
        sa.Column("books_bill_count", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("bill_count >= 0", name="statement_total_count"),
        sa.ForeignKeyConstraint(["statement_id"], ["settlement.statement.statement_id"], name="statement_total_of"),
        sa.PrimaryKeyConstraint("statement_id", "home_region", "insutype", "clr_type", "refund"),
        schema="settlement",
    )


def _settlement_case() -> None:
    op.create_table(
        "settlement_case",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("care_region", sa.Text(), nullable=False),
        sa.Column("home_region", sa.Text(), nullable=False),
        sa.Column("clearing_region", sa.Text(), nullable=False),
        sa.Column("chain", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("bill_count", sa.BigInteger(), nullable=True),
        sa.Column("total_fen", sa.BigInteger(), nullable=True),
        sa.Column("fund_fen", sa.BigInteger(), nullable=True),
        sa.Column("account_fen", sa.BigInteger(), nullable=True),
        sa.Column("payable_fen", sa.BigInteger(), nullable=True),
        sa.Column("numbers_hash", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(numbers_hash IS NULL) = (state IN ('open', 'submitted', 'differences'))", name="settlement_case_numbers"
        ),
        sa.CheckConstraint(
            "state IN ('open', 'submitted', 'differences', 'matched', 'confirmed', 'remitting', 'disbursing', 'closed')",
            name="settlement_case_state",
        ),
        sa.CheckConstraint("chain[1] = care_region AND chain[cardinality(chain)] = home_region", name="chain_ends"),
        sa.CheckConstraint("clearing_region = ANY (chain)", name="chain_clearing"),
        sa.CheckConstraint(
            "num_nulls(bill_count, total_fen, fund_fen, account_fen, payable_fen, numbers_hash) IN (0, 6)",
            name="settlement_case_all_numbers",
        ),
        sa.CheckConstraint("payable_fen = fund_fen + account_fen", name="settlement_case_payable"),
        sa.ForeignKeyConstraint(
            ["facility_code", "period"],
            ["settlement.facility_month.facility_code", "settlement.facility_month.period"],
            name="settlement_case_month",
        ),
        sa.PrimaryKeyConstraint("case_id"),
        sa.UniqueConstraint("facility_code", "period", "home_region", "care_region", name="settlement_case_key"),
        schema="settlement",
    )
    op.create_index(
        "settlement_case_period", "settlement_case", ["period", "case_id"], unique=False, schema="settlement"
    )


def _bill() -> None:
    op.create_table(
        "bill",
        sa.Column("settlement_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("visit_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("facility_settlement_no", sa.Text(), nullable=False),
        sa.Column("care_region", sa.Text(), nullable=False),
        sa.Column("home_region", sa.Text(), nullable=False),
        sa.Column("insutype", sa.Text(), nullable=False),
        sa.Column("med_type", sa.Text(), nullable=False),
        sa.Column("clr_type", sa.Text(), nullable=False),
        sa.Column("refund", sa.Boolean(), nullable=False),
        sa.Column("reverses_settlement_id", sa.Text(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_period", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("fund_fen", sa.BigInteger(), nullable=False),
        sa.Column("account_fen", sa.BigInteger(), nullable=False),
        sa.Column("cash_fen", sa.BigInteger(), nullable=False),
        sa.Column("hospital_fen", sa.BigInteger(), nullable=False),
        sa.Column("payable_fen", sa.BigInteger(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("payable_fen = fund_fen + account_fen", name="bill_payable"),
        sa.CheckConstraint("period >= settled_period", name="bill_period"),
        sa.CheckConstraint("refund = (reverses_settlement_id IS NOT NULL)", name="bill_refund"),
        sa.CheckConstraint("total_fen = fund_fen + account_fen + cash_fen + hospital_fen", name="bill_total"),
        sa.ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="bill_case"),
        sa.PrimaryKeyConstraint("settlement_id"),
        schema="settlement",
    )
    op.create_index("bill_case", "bill", ["case_id", "settlement_id"], unique=False, schema="settlement")
    op.create_index(
        "bill_reverses",
        "bill",
        ["reverses_settlement_id"],
        unique=False,
        schema="settlement",
        postgresql_where=sa.text("reverses_settlement_id IS NOT NULL"),
    )


def _case_step() -> None:
    op.create_table(
        "case_step",
        sa.Column("step_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("numbers_hash", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="case_step_case"),
        sa.PrimaryKeyConstraint("step_no"),
        schema="settlement",
    )
    op.create_index("case_step_case", "case_step", ["case_id", "step_no"], unique=False, schema="settlement")


def _confirmation() -> None:
    op.create_table(
        "confirmation",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("numbers_hash", sa.Text(), nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="confirmation_case"),
        sa.PrimaryKeyConstraint("case_id", "party"),
        schema="settlement",
    )


def _due() -> None:
    op.create_table(
        "due",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("working_days", sa.Integer(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('reconciliation', 'remittance', 'disbursement')", name="due_kind"),
        sa.CheckConstraint("due_on >= since AND working_days >= 0", name="due_days"),
        sa.ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="due_case"),
        sa.PrimaryKeyConstraint("case_id", "kind", "party"),
        schema="settlement",
    )
    op.create_index(
        "due_waiting",
        "due",
        ["party", "due_on", "case_id"],
        unique=False,
        schema="settlement",
        postgresql_where=sa.text("done_at IS NULL"),
    )


def _hop() -> None:
    op.create_table(
        "hop",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("hop_no", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payer", sa.Text(), nullable=False),
        sa.Column("payee", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('remittance', 'disbursement')", name="hop_kind"),
        sa.CheckConstraint("state IN ('waiting', 'payable', 'proposed', 'paid')", name="hop_state"),
        sa.CheckConstraint("amount_fen > 0 AND hop_no > 0 AND payer <> payee", name="hop_amount"),
        sa.ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="hop_case"),
        sa.PrimaryKeyConstraint("case_id", "hop_no"),
        schema="settlement",
    )


def _ledger_transaction() -> None:
    op.create_table(
        "ledger_transaction",
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("value_date", sa.Date(), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reverses_transaction_id", sa.Text(), nullable=True),
        sa.CheckConstraint("(kind = 'reversal') = (reverses_transaction_id IS NOT NULL)", name="ledger_reversal"),
        sa.CheckConstraint("kind IN ('bill', 'reversal', 'payment')", name="ledger_transaction_kind"),
        sa.ForeignKeyConstraint(["case_id"], ["settlement.settlement_case.case_id"], name="ledger_transaction_case"),
        sa.PrimaryKeyConstraint("transaction_id"),
        schema="settlement",
    )
    op.create_index("ledger_transaction_case", "ledger_transaction", ["case_id"], unique=False, schema="settlement")


def _payment() -> None:
    op.create_table(
        "payment",
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("hop_no", sa.Integer(), nullable=False),
        sa.Column("payer", sa.Text(), nullable=False),
        sa.Column("payee", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(approved_by IS NULL) = (paid_at IS NULL)", name="payment_paid"),
        sa.CheckConstraint("approved_by IS NULL OR approved_by <> proposed_by", name="payment_four_eyes"),
        sa.ForeignKeyConstraint(
            ["case_id", "hop_no"], ["settlement.hop.case_id", "settlement.hop.hop_no"], name="payment_hop"
        ),
        sa.PrimaryKeyConstraint("payment_id"),
        sa.UniqueConstraint("case_id", "hop_no", name="payment_once"),
        schema="settlement",
    )


def _reminder() -> None:
    op.create_table(
        "reminder",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("announced", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id", "kind", "party"],
            ["settlement.due.case_id", "settlement.due.kind", "settlement.due.party"],
            name="reminder_due",
        ),
        sa.PrimaryKeyConstraint("case_id", "kind", "party", "distance"),
        schema="settlement",
    )


def downgrade() -> None:
    raise RuntimeError("migrations go forward only; restore a backup instead")
