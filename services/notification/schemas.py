"""Bodies of notification's requests and answers; known only to `api.py`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from services.notification.tables import Attempt, Message, Subscription
from shared.http.paging import PageQuery
from shared.http.types import Body, View

_SUBSCRIPTION: dict[str, JsonValue] = {
    "url": "https://partner.example/sifang/events",
    "event_types": ["sifang.claims.DischargeSettled.v1", "sifang.settlement.Reconciled.v1"],
}
_SUBSCRIPTION_VIEW: dict[str, JsonValue] = {
    "subscription_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q",
    "party": "411300",
    **_SUBSCRIPTION,
    "created_by": "partner@411300",
    "created_at": "2026-11-02T01:30:00Z",
    "ended_at": None,
    "end_reason": None,
    "failures": 0,
    "resting_until": None,
}
_MESSAGE: dict[str, JsonValue] = {
    "message_id": "01KAJ6A4M0T9C1R2S3V4W5X6Y7",
    "event_id": "01KAJ69ZQ8D7F6G5H4J3K2M1N0",
    "event_type": "sifang.claims.DischargeSettled.v1",
    "template": "discharge_settled.person",
    "channel": "sms",
    "recipient": "01KAJ0P3R5S0N1D2E3N4T5F6Y7",
    "subscription_id": None,
    "language": "zh",
    "state": "failed",
    "attempts": 1,
    "attempts_allowed": 15,
    "next_attempt_at": "2026-11-02T01:30:01Z",
    "created_at": "2026-11-02T01:30:00Z",
    "delivered_at": None,
    "failure": "no-phone",
}
_ATTEMPT: dict[str, JsonValue] = {
    "number": 1,
    "at": "2026-11-02T01:30:01Z",
    "outcome": "refused",
    "detail": "no-phone",
}

Url = Annotated[str, Field(min_length=8, max_length=500)]
EventType = Annotated[str, Field(min_length=1, max_length=100)]


class SubscriptionBody(Body):
    """A new subscription."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SUBSCRIPTION]})

    url: Url
    """Where events are posted: https, and never an address inside our own network."""
    event_types: Annotated[list[EventType], Field(min_length=1, max_length=50)]
    """CloudEvents types. Only events in which your region, or one below it, takes part are sent."""


class SubscriptionView(View):
    """A subscription, without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SUBSCRIPTION_VIEW]})

    subscription_id: str
    party: str
    url: str
    event_types: list[str]
    created_by: str
    created_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    """withdrawn, http-410 (your address said it is gone), or unreachable (it took nothing for two weeks)."""
    failures: int
    """Rounds in a row in which the address took nothing."""
    resting_until: datetime | None
    """While it takes nothing it is probed with one message now and then; the others wait."""

    @classmethod
    def of(cls, row: Subscription) -> SubscriptionView:
        """The view of a row."""
        return cls(**row.model_dump(exclude={"secret", "failing_since"}))


class NewSubscriptionView(SubscriptionView):
    """A subscription just made: the only time its secret is shown."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**_SUBSCRIPTION_VIEW, "secret": "whsec_Zr1vYf0n3G7c5mWkQ2tH8xJ4pLsD6bAeUoIyTqRgNXE"}]
        }
    )

    secret: str
    """Key of `Sifang-Signature: t=<unix seconds>,v1=<hex>`: HMAC-SHA256 over "<t>.<body>". Keep it; make a new
    subscription when it is lost."""

    @classmethod
    def with_secret(cls, row: Subscription, secret: str) -> NewSubscriptionView:
        """The view of a new row and its secret."""
        return cls(**row.model_dump(exclude={"secret", "failing_since"}), secret=secret)


class InboxQuery(PageQuery):
    """Which messages of the inbox are wanted."""

    unread: bool = False
    """Only those nobody has read."""


class InboxMessageView(View):
    """A message to the caller's party, newest first in lists; the text in the language asked for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "message_id": "01KAJ6A4M0T9C1R2S3V4W5X6Y7",
                    "event_type": "sifang.settlement.Disbursed.v1",
                    "at": "2026-11-20T02:00:00Z",
                    "text": "收到淮阳区医保经办机构拨付8432.10元（淮阳区人民医院，2026-10）。",
                    "fields": {"case_id": "01KAJ5T1D4GQ7X8Z2V3N4M5P6Q", "amount_fen": 843210},
                    "read_at": None,
                    "read_by": None,
                }
            ]
        }
    )

    message_id: str
    event_type: str
    at: datetime
    text: str
    fields: dict[str, Any]
    """The event's own data."""
    read_at: datetime | None
    read_by: str | None

    @classmethod
    def of(cls, row: Message, text: str) -> InboxMessageView:
        """The view of a row whose text is written."""
        return cls(
            message_id=row.message_id,
            event_type=row.event_type,
            at=row.created_at,
            text=text,
            fields=row.fields,
            read_at=row.read_at,
            read_by=row.read_by,
        )


class AttemptView(View):
    """One attempt to send. A number that is missing was interrupted by a crash; nobody knows what came of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ATTEMPT]})

    number: int
    at: datetime
    outcome: str
    """delivered, failed (tried again) or refused (never)."""
    detail: str


class MessageView(View):
    """What became of a message. Says to whom by internal number or code, and never what."""

    model_config = ConfigDict(json_schema_extra={"examples": [_MESSAGE]})

    message_id: str
    event_id: str
    event_type: str
    template: str
    channel: str
    recipient: str
    subscription_id: str | None
    language: str | None
    state: str
    attempts: int
    attempts_allowed: int
    next_attempt_at: datetime
    created_at: datetime
    delivered_at: datetime | None
    failure: str | None

    @classmethod
    def of(cls, row: Message) -> MessageView:
        """The view of a row."""
        return cls(**row.model_dump(include=set(MessageView.model_fields)))


class MessageLogView(MessageView):
    """A message with the log of its attempts."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_MESSAGE, "log": [_ATTEMPT]}]})

    log: list[AttemptView]

    @classmethod
    def with_log(cls, row: Message, attempts: Sequence[Attempt]) -> MessageLogView:
        """The view of a row and its attempts."""
        log = [AttemptView(**attempt.model_dump(exclude={"message_id"})) for attempt in attempts]
        return cls(**row.model_dump(include=set(MessageView.model_fields)), log=log)


class MessageQuery(PageQuery):
    """Which messages are wanted."""

    state: Literal["pending", "failed"] = "failed"


class LanguageBody(Body):
    """The language a person wants to be written to in."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"language": "en"}]})

    language: Literal["zh", "en"]


class LanguageView(View):
    """A person's language."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"person_id": "01KAJ0P3R5S0N1D2E3N4T5F6Y7", "language": "en"}]}
    )

    person_id: str
    language: str
