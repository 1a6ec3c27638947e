"""The rows notification keeps. No behaviour: constraints and indexes only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

METADATA = MetaData(schema="notification")


class Table(SQLModel, registry=registry(metadata=METADATA)):
    """Base of this service's tables: a registry of its own, so that schemas never mix."""


def _moment(*, nullable: bool = False) -> Any:
    return Column(DateTime(timezone=True), nullable=nullable)


class Facility(Table, table=True):
    """What a facility is called and where it is; a copy kept by FacilityChanged."""

    __tablename__ = "facility"

    code: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    region: str = Field(sa_type=Text)
    revision: int


class RecipientLanguage(Table, table=True):
    """The language a person wants to be written to in; Chinese for everybody who is not here."""

    __tablename__ = "recipient_language"
    __table_args__ = (CheckConstraint("language IN ('zh', 'en')", name="recipient_language_known"),)

    recipient: str = Field(primary_key=True, sa_type=Text)
    """The person's internal number."""
    language: str = Field(sa_type=Text)


class Subscription(Table, table=True):
    """A partner's wish to get events posted to its address."""

    __tablename__ = "subscription"
    __table_args__ = (
        CheckConstraint("cardinality(event_types) > 0", name="subscription_event_types"),
        CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="subscription_ended"),
        CheckConstraint("failures >= 0", name="subscription_failures"),
        CheckConstraint("(failures = 0) = (failing_since IS NULL)", name="subscription_failing"),
        CheckConstraint("(failures = 0) = (resting_until IS NULL)", name="subscription_resting"),
        Index("subscription_address", "party", "url", unique=True, postgresql_where=text("ended_at IS NULL")),
    )

    subscription_id: str = Field(primary_key=True, sa_type=Text)
    party: str = Field(sa_type=Text, index=True)
    """The agency's region code."""
    url: str = Field(sa_type=Text)
    secret: str = Field(sa_type=Text)
    """Encrypted."""
    event_types: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    created_by: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_column=_moment())
    ended_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    end_reason: str | None = Field(default=None, sa_type=Text)
    """withdrawn by the party, http-410, or unreachable."""
    failures: int
    """Rounds in a row in which its address took nothing."""
    failing_since: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    resting_until: datetime | None = Field(default=None, sa_column=_moment(nullable=True))


class Message(Table, table=True):
    """One message to one recipient over one channel. Holds no name, phone or identity number."""

    __tablename__ = "message"
    __table_args__ = (
        # One event never makes two messages to one recipient.
        UniqueConstraint(
            "event_id",
            "template",
            "channel",
            "recipient",
            "subscription_id",
            name="message_once",
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("channel IN ('sms', 'webhook', 'party_inbox')", name="message_channel"),
        CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="message_state"),
        CheckConstraint("attempts BETWEEN 0 AND attempts_allowed", name="message_attempts"),
        CheckConstraint("(channel = 'webhook') = (subscription_id IS NOT NULL)", name="message_subscription"),
        CheckConstraint("(channel = 'sms') = (language IS NOT NULL)", name="message_language"),
        CheckConstraint("language IN ('zh', 'en')", name="message_language_known"),
        CheckConstraint("channel <> 'party_inbox' OR state = 'delivered'", name="message_inbox_delivered"),
        CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name="message_delivered"),
        CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name="message_failed"),
        CheckConstraint("(read_at IS NULL) = (read_by IS NULL)", name="message_read"),
        CheckConstraint("read_at IS NULL OR channel = 'party_inbox'", name="message_read_in_inbox"),
        ForeignKeyConstraint(
            ["subscription_id"], ["notification.subscription.subscription_id"], name="message_of_subscription"
        ),
        Index("message_due_sms", "next_attempt_at", postgresql_where=text("state = 'pending' AND channel = 'sms'")),
        Index(
            "message_due_webhook",
            "subscription_id",
            "next_attempt_at",
            postgresql_where=text("state = 'pending' AND channel = 'webhook'"),
        ),
        Index(
            "message_used_up",
            "next_attempt_at",
            postgresql_where=text("state = 'pending' AND attempts >= attempts_allowed"),
        ),
        Index("message_open", "state", "message_id", postgresql_where=text("state <> 'delivered'")),
        Index("message_inbox", "recipient", "message_id", postgresql_where=text("channel = 'party_inbox'")),
    )

    message_id: str = Field(primary_key=True, sa_type=Text)
    event_id: str = Field(sa_type=Text)
    event_type: str = Field(sa_type=Text)
    template: str = Field(sa_type=Text)
    """`webhook` and `ping` carry the event itself."""
    channel: str = Field(sa_type=Text)
    recipient: str = Field(sa_type=Text)
    """The person's internal number, or the party's code."""
    subscription_id: str | None = Field(default=None, sa_type=Text)
    fields: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    """What the text fills in; for a webhook the whole CloudEvent."""
    language: str | None = Field(default=None, sa_type=Text)
    regions: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    """The regions that take part in the event: whose officers may look at the message."""
    state: str = Field(sa_type=Text)
    attempts: int
    """Attempts begun, also those whose outcome a crash swallowed."""
    attempts_allowed: int
    next_attempt_at: datetime = Field(sa_column=_moment())
    """While a round is at work on the message: when its lease ends."""
    created_at: datetime = Field(sa_column=_moment())
    delivered_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    failure: str | None = Field(default=None, sa_type=Text)
    read_at: datetime | None = Field(default=None, sa_column=_moment(nullable=True))
    read_by: str | None = Field(default=None, sa_type=Text)
    traceparent: str | None = Field(default=None, sa_type=Text)


class Attempt(Table, table=True):
    """One attempt whose outcome is known. A missing number is one that a crash interrupted."""

    __tablename__ = "attempt"
    __table_args__ = (
        CheckConstraint("outcome IN ('delivered', 'failed', 'refused')", name="attempt_outcome"),
        ForeignKeyConstraint(
            ["message_id"], ["notification.message.message_id"], name="attempt_message", ondelete="CASCADE"
        ),
    )

    message_id: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True)
    at: datetime = Field(sa_column=_moment())
    outcome: str = Field(sa_type=Text)
    detail: str = Field(sa_type=Text)
    """HTTP status or a short code, never personal data."""
