"""first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.plumbing import create_statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in create_statements("notification"):
        op.execute(statement)
    _facility()
    _recipient_language()
    _subscription()
    _message()
    _message_indexes()
    _attempt()


def _facility() -> None:
    op.create_table(
        "facility",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("code"),
        schema="notification",
    )


def _recipient_language() -> None:
    op.create_table(
        "recipient_language",
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.CheckConstraint("language IN ('zh', 'en')", name="recipient_language_known"),
        sa.PrimaryKeyConstraint("recipient"),
        schema="notification",
    )


def _subscription() -> None:
    op.create_table(
        "subscription",
        sa.Column("subscription_id", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("event_types", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resting_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="subscription_ended"),
        sa.CheckConstraint("(failures = 0) = (failing_since IS NULL)", name="subscription_failing"),
        sa.CheckConstraint("(failures = 0) = (resting_until IS NULL)", name="subscription_resting"),
        sa.CheckConstraint("cardinality(event_types) > 0", name="subscription_event_types"),
        sa.CheckConstraint("failures >= 0", name="subscription_failures"),
        sa.PrimaryKeyConstraint("subscription_id"),
        schema="notification",
    )
    op.create_index(
        op.f("ix_notification_subscription_party"), "subscription", ["party"], unique=False, schema="notification"
    )
    op.create_index(
        "subscription_address",
        "subscription",
        ["party", "url"],
        unique=True,
        schema="notification",
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _message() -> None:
    op.create_table(
        "message",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("regions", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("attempts_allowed", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_by", sa.Text(), nullable=True),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.CheckConstraint("(channel = 'sms') = (language IS NOT NULL)", name="message_language"),
        sa.CheckConstraint("(channel = 'webhook') = (subscription_id IS NOT NULL)", name="message_subscription"),
        sa.CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name="message_delivered"),
        sa.CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name="message_failed"),
        sa.CheckConstraint("channel <> 'party_inbox' OR state = 'delivered'", name="message_inbox_delivered"),
        sa.CheckConstraint("channel IN ('sms', 'webhook', 'party_inbox')", name="message_channel"),
        sa.CheckConstraint("language IN ('zh', 'en')", name="message_language_known"),
        sa.CheckConstraint("read_at IS NULL OR channel = 'party_inbox'", name="message_read_in_inbox"),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="message_state"),
        sa.CheckConstraint("(read_at IS NULL) = (read_by IS NULL)", name="message_read"),
        sa.CheckConstraint("attempts BETWEEN 0 AND attempts_allowed", name="message_attempts"),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["notification.subscription.subscription_id"], name="message_of_subscription"
        ),
        sa.PrimaryKeyConstraint("message_id"),
        sa.UniqueConstraint(
            "event_id",
            "template",
            "channel",
            "recipient",
            "subscription_id",
            name="message_once",
            postgresql_nulls_not_distinct=True,
        ),
        schema="notification",
    )


def _message_indexes() -> None:
    op.create_index(
        "message_due_sms",
        "message",
        ["next_attempt_at"],
        unique=False,
        schema="notification",
        postgresql_where=sa.text("state = 'pending' AND channel = 'sms'"),
    )
    op.create_index(
        "message_due_webhook",
        "message",
        ["subscription_id", "next_attempt_at"],
        unique=False,
        schema="notification",
        postgresql_where=sa.text("state = 'pending' AND channel = 'webhook'"),
    )
    op.create_index(
        "message_inbox",
        "message",
        ["recipient", "message_id"],
        unique=False,
        schema="notification",
        postgresql_where=sa.text("channel = 'party_inbox'"),
    )
    op.create_index(
        "message_open",
        "message",
        ["state", "message_id"],
        unique=False,
        schema="notification",
        postgresql_where=sa.text("state <> 'delivered'"),
    )
    op.create_index(
        "message_used_up",
        "message",
        ["next_attempt_at"],
        unique=False,
        schema="notification",
        postgresql_where=sa.text("state = 'pending' AND attempts >= attempts_allowed"),
    )


def _attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.CheckConstraint("outcome IN ('delivered', 'failed', 'refused')", name="attempt_outcome"),
        sa.ForeignKeyConstraint(
            ["message_id"], ["notification.message.message_id"], name="attempt_message", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", "number"),
        schema="notification",
    )


def downgrade() -> None:
    raise RuntimeError("migrations go forward only; restore a backup instead")
