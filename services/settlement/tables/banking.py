"""Payment orders, the files they go to the bank in, what the bank answers, and payouts to persons."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from services.settlement.tables import core


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable))


_LIVE = "state IN ('proposed', 'reviewed', 'approved', 'sending', 'sent')"


class BankAccount(core.Table, table=True):
    """One version of a party's bank account (银行账户); number and holder are encrypted. Four eyes."""

    __tablename__ = "bank_account"
    __table_args__ = (
        CheckConstraint("version_no > 0", name="bank_account_version"),
        CheckConstraint("state IN ('proposed', 'approved', 'declined')", name="bank_account_state"),
        CheckConstraint("(state = 'proposed') = (decided_by IS NULL)", name="bank_account_decided"),
        CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="bank_account_decided_at"),
        CheckConstraint("decided_by <> proposed_by", name="bank_account_four_eyes"),
        CheckConstraint("state = 'approved' OR NOT current", name="bank_account_approved"),
        Index("bank_account_current", "party", unique=True, postgresql_where=text("current")),
        Index("bank_account_number", "account_hash", unique=True, postgresql_where=text("current")),
        Index("bank_account_waiting", "party", unique=True, postgresql_where=text("state = 'proposed'")),
    )

    party: str = Field(primary_key=True, sa_type=Text)
    version_no: int = Field(primary_key=True)
    region: str = Field(sa_type=Text)
    """The agency that keeps it: the party itself, or the care agency of a facility."""
    holder_sealed: str = Field(sa_type=Text)
    account_sealed: str = Field(sa_type=Text)
    account_hash: str = Field(sa_type=Text)
    """Keyed: by it a statement of the bank finds its party."""
    bank_code: str = Field(sa_type=Text)
    opening_fen: int = Field(sa_type=BigInteger)
    """What the account held at the end of `opening_on`, from which on the books show its balance."""
    opening_on: date
    state: str = Field(sa_type=Text)
    current: bool
    proposed_by: str = Field(sa_type=Text)
    proposed_at: datetime = _moment()
    decided_by: str | None = Field(default=None, sa_type=Text)
    decided_at: datetime | None = _moment(nullable=True)


class BankBatch(core.Table, table=True):
    """One payment file (支付文件): fixed here before it is written, so that it is the same file however often."""

    __tablename__ = "bank_batch"
    __table_args__ = (
        CheckConstraint("state IN ('sending', 'sent')", name="bank_batch_state"),
        CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="bank_batch_sent"),
        CheckConstraint("order_count > 0 AND sum_fen > 0", name="bank_batch_numbers"),
        ForeignKeyConstraint(
            ["payer", "account_version_no"],
            ["settlement.bank_account.party", "settlement.bank_account.version_no"],
            name="bank_batch_account",
        ),
        Index("bank_batch_sending", "batch_id", postgresql_where=text("state = 'sending'")),
    )

    batch_id: str = Field(primary_key=True, sa_type=Text)
    payer: str = Field(sa_type=Text)
    account_version_no: int
    execution_on: date
    order_count: int
    sum_fen: int = Field(sa_type=BigInteger)
    state: str = Field(sa_type=Text)
    created_at: datetime = _moment()
    sent_at: datetime | None = _moment(nullable=True)
    answered_at: datetime | None = _moment(nullable=True)


class PaymentOrder(core.Table, table=True):
    """A payment order (支付指令); it is its own end-to-end id at the bank. Of it only the progress changes."""

    __tablename__ = "payment_order"
    __table_args__ = (
        CheckConstraint("purpose IN ('hop', 'position', 'prepayment', 'payout')", name="payment_order_purpose"),
        CheckConstraint(
            "state IN ('proposed', 'reviewed', 'approved', 'sending', 'sent', 'settled', 'partly_paid', 'rejected',"
            " 'returned', 'declined')",
            name="payment_order_state",
        ),
        CheckConstraint("amount_fen > 0 AND debt_fen >= amount_fen", name="payment_order_amount"),
        CheckConstraint("payer <> payee AND (payee IS NULL) = (purpose = 'payout')", name="payment_order_payee"),
        CheckConstraint("reviewed_by <> proposed_by", name="payment_order_review"),
        CheckConstraint("approved_by <> proposed_by", name="payment_order_four_eyes"),
        CheckConstraint("approved_by <> reviewed_by", name="payment_order_six_eyes"),
        CheckConstraint("(reviewed_by IS NULL) = (reviewed_at IS NULL)", name="payment_order_reviewed"),
        CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="payment_order_approved"),
        # What was not approved, and reviewed where that is needed, never leaves and never counts as paid.
        CheckConstraint(
            "state IN ('proposed', 'reviewed', 'declined')"
            " OR (approved_by IS NOT NULL AND (reviewed_by IS NOT NULL OR NOT review_needed))",
            name="payment_order_permitted",
        ),
        CheckConstraint(
            "(batch_id IS NOT NULL) = (by_bank AND state NOT IN ('proposed', 'reviewed', 'approved', 'declined'))",
            name="payment_order_batch",
        ),
        CheckConstraint("purpose <> 'payout' OR payee_version_no IS NOT NULL", name="payment_order_card"),
        CheckConstraint("(repeats_order_id IS NULL) = (root_order_id = order_id)", name="payment_order_root"),
        CheckConstraint("debt_settled_at IS NULL OR root_order_id = order_id", name="payment_order_settled"),
        ForeignKeyConstraint(["batch_id"], ["settlement.bank_batch.batch_id"], name="payment_order_file"),
        ForeignKeyConstraint(["root_order_id"], ["settlement.payment_order.order_id"], name="payment_order_first"),
        ForeignKeyConstraint(["repeats_order_id"], ["settlement.payment_order.order_id"], name="payment_order_repeats"),
        UniqueConstraint("repeats_order_id", name="payment_order_repeated_once"),
        Index(
            "payment_order_once", "purpose", "reference", unique=True, postgresql_where=text("repeats_order_id IS NULL")
        ),
        Index("payment_order_live", "root_order_id", unique=True, postgresql_where=text(_LIVE)),
        Index("payment_order_debt", "root_order_id", "order_id"),
        Index(
            "payment_order_to_do",
            "payer",
            "order_id",
            postgresql_where=text("state IN ('proposed', 'reviewed', 'rejected', 'returned', 'partly_paid')"),
        ),
        Index("payment_order_payer", "payer", "order_id"),
        Index("payment_order_batch_of", "batch_id", postgresql_where=text("batch_id IS NOT NULL")),
        Index("payment_order_waiting", "payer", "order_id", postgresql_where=text("state = 'approved' AND by_bank")),
    )

    order_id: str = Field(primary_key=True, sa_type=Text)
    purpose: str = Field(sa_type=Text)
    reference: str = Field(sa_type=Text)
    payer: str = Field(sa_type=Text)
    payee: str | None = Field(default=None, sa_type=Text)
    amount_fen: int = Field(sa_type=BigInteger)
    debt_fen: int = Field(sa_type=BigInteger)
    """What the whole debt comes to: the amount of its first order."""
    by_bank: bool
    review_needed: bool
    state: str = Field(sa_type=Text)
    root_order_id: str = Field(sa_type=Text)
    repeats_order_id: str | None = Field(default=None, sa_type=Text)
    proposed_by: str = Field(sa_type=Text)
    proposed_at: datetime = _moment()
    reviewed_by: str | None = Field(default=None, sa_type=Text)
    reviewed_at: datetime | None = _moment(nullable=True)
    approved_by: str | None = Field(default=None, sa_type=Text)
    approved_at: datetime | None = _moment(nullable=True)
    batch_id: str | None = Field(default=None, sa_type=Text)
    payee_version_no: int | None = None
    """Which version of the payee's account its file names; of a payout, from the beginning, which of its cards."""
    bank_status: str | None = Field(default=None, sa_type=Text)
    """What the bank said last of it (pain.002)."""
    bank_reason: str | None = Field(default=None, sa_type=Text)
    declined_reason: str | None = Field(default=None, sa_type=Text)
    paid_fen: int = Field(sa_type=BigInteger)
    """What the bank debited for it, less what came back."""
    debt_settled_at: datetime | None = _moment(nullable=True)
    """Of a first order: when everything its debt needs was paid."""


class BankMessage(core.Table, table=True):
    """A file that came from the bank: taken once, by its kind, account and message id."""

    __tablename__ = "bank_message"
    __table_args__ = (
        CheckConstraint("kind IN ('pain.002', 'camt.053', 'camt.054', 'unreadable')", name="bank_message_kind"),
        CheckConstraint("(kind = 'unreadable') = (fault IS NOT NULL)", name="bank_message_fault"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="bank_message_sha256"),
        Index(
            "bank_message_once",
            "kind",
            "party",
            "message_id",
            unique=True,
            postgresql_where=text("kind <> 'unreadable'"),
        ),
        Index("bank_message_refused", "sha256", unique=True, postgresql_where=text("kind = 'unreadable'")),
    )

    message_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    kind: str = Field(sa_type=Text)
    party: str = Field(sa_type=Text)
    """Whose account or file it is about; "" when it could not be read."""
    message_id: str = Field(sa_type=Text)
    sha256: str = Field(sa_type=Text)
    file_name: str = Field(sa_type=Text)
    received_at: datetime = _moment()
    fault: str | None = Field(default=None, sa_type=Text)


class BankEntry(core.Table, table=True):
    """One movement of a party's bank account as the bank reported it (银行流水); never changed, booked once."""

    __tablename__ = "bank_entry"
    __table_args__ = (
        CheckConstraint("amount_fen >= 0", name="bank_entry_amount"),
        CheckConstraint("outcome IN ('paid', 'returned', 'mirrored', 'unknown')", name="bank_entry_outcome"),
        CheckConstraint("(outcome = 'unknown') = (order_id IS NULL)", name="bank_entry_order"),
        ForeignKeyConstraint(["message_no"], ["settlement.bank_message.message_no"], name="bank_entry_message"),
        ForeignKeyConstraint(["order_id"], ["settlement.payment_order.order_id"], name="bank_entry_of"),
        Index("bank_entry_day", "party", "booked_on"),
        Index("bank_entry_order_of", "order_id", postgresql_where=text("order_id IS NOT NULL")),
    )

    entry_id: str = Field(primary_key=True, sa_type=Text)
    """Also the id of the ledger transaction it makes, when it makes one of its own."""
    party: str = Field(sa_type=Text)
    entry_ref: str = Field(sa_type=Text)
    end_to_end_id: str = Field(sa_type=Text)
    debit: bool
    amount_fen: int = Field(sa_type=BigInteger)
    booked_on: date
    reason: str | None = Field(default=None, sa_type=Text)
    message_no: int = Field(sa_type=BigInteger)
    order_id: str | None = Field(default=None, sa_type=Text)
    outcome: str = Field(sa_type=Text)
    received_at: datetime = _moment()


class BankItem(core.Table, table=True):
    """Something about the bank that somebody has to look into (银行待办)."""

    __tablename__ = "bank_item"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('entry_unknown', 'entry_changed', 'partial', 'overpaid', 'returned', 'late', 'rejected',"
            " 'status_contradicts', 'order_unknown', 'unanswered', 'balance_differs', 'file_refused')",
            name="bank_item_kind",
        ),
        CheckConstraint("(closed_at IS NULL) = (closed_as IS NULL)", name="bank_item_closed"),
        CheckConstraint(
            "closed_as IN ('explained', 'answered', 'repeated', 'agreed', 'identified')", name="bank_item_closed_as"
        ),
        CheckConstraint("(closed_as = 'explained') = (closed_by IS NOT NULL)", name="bank_item_closed_by"),
        CheckConstraint("(closed_by IS NULL) = (note IS NULL)", name="bank_item_note"),
        UniqueConstraint("item_key", name="bank_item_once"),
        ForeignKeyConstraint(["order_id"], ["settlement.payment_order.order_id"], name="bank_item_order"),
        ForeignKeyConstraint(["message_no"], ["settlement.bank_message.message_no"], name="bank_item_message"),
        Index("bank_item_open", "party", "item_no", postgresql_where=text("closed_at IS NULL")),
        Index("bank_item_of_order", "order_id", postgresql_where=text("order_id IS NOT NULL")),
    )

    item_no: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    item_key: str = Field(sa_type=Text)
    """What it is about: a thing is told once."""
    kind: str = Field(sa_type=Text)
    party: str = Field(sa_type=Text)
    """The agency that must act: that which keeps the account; "" for operations staff."""
    order_id: str | None = Field(default=None, sa_type=Text)
    message_no: int | None = Field(default=None, sa_type=BigInteger)
    amount_fen: int | None = Field(default=None, sa_type=BigInteger)
    detail: str = Field(sa_type=Text)
    found_at: datetime = _moment()
    due_on: date
    closed_at: datetime | None = _moment(nullable=True)
    closed_as: str | None = Field(default=None, sa_type=Text)
    closed_by: str | None = Field(default=None, sa_type=Text)
    note: str | None = Field(default=None, sa_type=Text)


class Payout(core.Table, table=True):
    """A payout to an insured person (待遇支付): one document is paid out once."""

    __tablename__ = "payout"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="payout_amount"),
        CheckConstraint("origin IN ('supplement', 'manual_claim')", name="payout_origin"),
        CheckConstraint("timing IN ('at_once', 'batch') AND release_on >= reported_on", name="payout_timing"),
        CheckConstraint(
            "state IN ('proposed', 'approved', 'declined', 'refused', 'paid', 'cancelled')", name="payout_state"
        ),
        CheckConstraint("(state = 'proposed') = (decided_by IS NULL)", name="payout_decided"),
        CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="payout_decided_at"),
        CheckConstraint("decided_by <> proposed_by", name="payout_four_eyes"),
        CheckConstraint("(state = 'paid') = (paid_at IS NOT NULL)", name="payout_paid"),
        Index(
            "payout_once",
            "region",
            "document",
            unique=True,
            postgresql_where=text("state NOT IN ('declined', 'cancelled')"),
        ),
        Index("payout_region", "region", "payout_id"),
        Index(
            "payout_to_do",
            "region",
            "release_on",
            "payout_id",
            postgresql_where=text("state IN ('proposed', 'approved', 'refused')"),
        ),
    )

    payout_id: str = Field(primary_key=True, sa_type=Text)
    region: str = Field(sa_type=Text)
    """The agency that pays."""
    person_id: str = Field(sa_type=Text)
    amount_fen: int = Field(sa_type=BigInteger)
    fund_pay_type: str = Field(sa_type=Text)
    origin: str = Field(sa_type=Text)
    reference: str = Field(sa_type=Text)
    """The document it comes from, as it was written."""
    document: str = Field(sa_type=Text)
    """The same in the form in which two are compared."""
    person_hash: str | None = Field(default=None, sa_type=Text)
    """The person's name, keyed: cards of the person's own are in this name."""
    reason: str = Field(sa_type=Text)
    timing: str = Field(sa_type=Text)
    reported_on: date
    release_on: date
    state: str = Field(sa_type=Text)
    card_no: int
    """Which of its cards holds."""
    proposed_by: str = Field(sa_type=Text)
    proposed_at: datetime = _moment()
    decided_by: str | None = Field(default=None, sa_type=Text)
    decided_at: datetime | None = _moment(nullable=True)
    refusal: str | None = Field(default=None, sa_type=Text)
    paid_at: datetime | None = _moment(nullable=True)


class PayoutCard(core.Table, table=True):
    """A card a payout goes to (银行卡), encrypted; the first with the payout, others while it is owed and not paid."""

    __tablename__ = "payout_card"
    __table_args__ = (
        CheckConstraint("card_no > 0", name="payout_card_number"),
        CheckConstraint("recipient IN ('own_card', 'agent', 'other_card')", name="payout_card_recipient"),
        CheckConstraint("(recipient = 'agent') = (agent_sealed IS NOT NULL)", name="payout_card_agent"),
        CheckConstraint("cardinality(papers) > 0", name="payout_card_papers"),
        CheckConstraint("approved_by <> proposed_by", name="payout_card_four_eyes"),
        CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="payout_card_approved"),
        ForeignKeyConstraint(["payout_id"], ["settlement.payout.payout_id"], name="payout_card_of"),
    )

    payout_id: str = Field(primary_key=True, sa_type=Text)
    card_no: int = Field(primary_key=True)
    recipient: str = Field(sa_type=Text)
    papers: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    holder_sealed: str = Field(sa_type=Text)
    account_sealed: str = Field(sa_type=Text)
    bank_code: str = Field(sa_type=Text)
    agent_sealed: str | None = Field(default=None, sa_type=Text)
    proposed_by: str = Field(sa_type=Text)
    proposed_at: datetime = _moment()
    approved_by: str | None = Field(default=None, sa_type=Text)
    approved_at: datetime | None = _moment(nullable=True)


class PayoutCancellation(core.Table, table=True):
    """Somebody says that a payout was approved by mistake, and another person decides (作废). Four eyes."""

    __tablename__ = "payout_cancellation"
    __table_args__ = (
        CheckConstraint("state IN ('proposed', 'approved', 'declined')", name="payout_cancellation_state"),
        CheckConstraint("(state = 'proposed') = (decided_by IS NULL)", name="payout_cancellation_decided"),
        CheckConstraint("(decided_by IS NULL) = (decided_at IS NULL)", name="payout_cancellation_decided_at"),
        CheckConstraint("decided_by <> proposed_by", name="payout_cancellation_four_eyes"),
        ForeignKeyConstraint(["payout_id"], ["settlement.payout.payout_id"], name="payout_cancellation_of"),
        Index("payout_cancellation_payout", "payout_id", "cancellation_id"),
        Index("payout_cancellation_once", "payout_id", unique=True, postgresql_where=text("state <> 'declined'")),
    )

    cancellation_id: str = Field(primary_key=True, sa_type=Text)
    """Also the id of the ledger transaction that reverses the payout, once it is approved."""
    payout_id: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    proposed_by: str = Field(sa_type=Text)
    proposed_at: datetime = _moment()
    decided_by: str | None = Field(default=None, sa_type=Text)
    decided_at: datetime | None = _moment(nullable=True)
