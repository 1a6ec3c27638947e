"""The life of a message: states, what an attempt does to it, and when the next one is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Channel(StrEnum):
    """The way a message takes."""

    SMS = "sms"
    WEBHOOK = "webhook"
    PARTY_INBOX = "party_inbox"
    """Read by the party itself: delivered as soon as it is written."""


class State(StrEnum):
    """Where a message stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Outcome(StrEnum):
    """What came of one attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """Another attempt may succeed."""
    REFUSED = "refused"
    """No attempt will: no phone number, an address that is gone."""


@dataclass(frozen=True, slots=True)
class Due:
    """A message leased by a round of sending; `attempts` counts the one that begins."""

    message_id: str
    template: str
    channel: Channel
    recipient: str
    subscription_id: str | None
    fields: dict[str, Any]
    language: str | None
    attempts: int
    attempts_allowed: int
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome and its reason: an HTTP status or a short code, never personal data."""

    outcome: Outcome
    detail: str = ""
    answered: bool = True
    """False when nobody was there to say it: the next message would fare no better."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to send one message. `number` counts from 1; `allowed` is how many there may be."""

    message_id: str
    number: int
    allowed: int
    result: Result


@dataclass(frozen=True, slots=True)
class Decision:
    """The message after an attempt."""

    state: State
    next_attempt_at: datetime
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds that double from `first_s` up to `max_s`."""

    first_s: float
    max_s: float

    def pause(self, failures: int, chance: float) -> timedelta:
        """The pause after `failures` ≥ 1 in a row; `chance` in 0–1 spreads it over its upper half."""
        whole_s = min(self.max_s, self.first_s * 2 ** min(failures - 1, 40))
        return timedelta(seconds=whole_s * (0.5 + chance / 2))


def decide(attempt: Attempt, now: datetime, backoff: Backoff, chance: float) -> Decision:
    """What an attempt makes of its message."""
    match attempt.result.outcome:
        case Outcome.DELIVERED:
            return Decision(State.DELIVERED, now)
        case Outcome.REFUSED:
            return Decision(State.FAILED, now, attempt.result.detail)
        case Outcome.FAILED if attempt.number >= attempt.allowed:
            return Decision(State.FAILED, now, attempt.result.detail)
        case Outcome.FAILED:
            return Decision(State.PENDING, now + backoff.pause(attempt.number, chance))


@dataclass(frozen=True, slots=True)
class Health:
    """How a subscription's address has been answering. An address that takes nothing at all rests."""

    failures: int = 0
    failing_since: datetime | None = None
    resting_until: datetime | None = None


GONE = "http-410"
"""The partner's own word that the address is no more (410 Gone): the subscription is switched off."""


def health_after(
    before: Health, results: list[Result], now: datetime, backoff: Backoff, give_up_days: int
) -> Health | str:
    """A subscription's health after a round of at least one result, or the reason to switch it off."""
    if any(result.detail == GONE for result in results):
        return GONE
    if any(result.outcome is Outcome.DELIVERED for result in results):
        return Health()
    since = before.failing_since or now
    if now - since >= timedelta(days=give_up_days):
        return "unreachable"
    failures = before.failures + 1
    return Health(failures, since, now + backoff.pause(failures, chance=1.0))
