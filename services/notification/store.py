"""Every query of schema notification."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from services.notification.rules.delivery import Attempt, Channel, Decision, Due, Health, State
from services.notification.rules.drafts import NewMessage
from services.notification.tables import Attempt as AttemptRow
from services.notification.tables import Facility, Message, Subscription
from shared.database import Connection, row_to, rows_to
from shared.events import new_id

if TYPE_CHECKING:
    from asyncpg import Record

FACILITY_UPSERT = """
    INSERT INTO facility (code, name, region, revision)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[])
    ON CONFLICT (code) DO UPDATE SET name = EXCLUDED.name, region = EXCLUDED.region, revision = EXCLUDED.revision
    WHERE EXCLUDED.revision > facility.revision
"""
FACILITIES = "SELECT code, name, region, revision FROM facility WHERE code = ANY($1::text[])"

LANGUAGE_UPSERT = """
    INSERT INTO recipient_language (recipient, language) VALUES ($1, $2)
    ON CONFLICT (recipient) DO UPDATE SET language = EXCLUDED.language
"""
LANGUAGES = "SELECT recipient, language FROM recipient_language WHERE recipient = ANY($1::text[])"

_SUBSCRIPTION = """
    SELECT subscription_id, party, url, secret, event_types, created_by, created_at, ended_at, end_reason,
           failures, failing_since, resting_until
    FROM subscription
"""
PARTY_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('sifang.notification.party ' || $1, 0))"
SUBSCRIPTION_INSERT = """
    INSERT INTO subscription (subscription_id, party, url, secret, event_types, created_by, created_at, failures)
    VALUES ($1, $2, $3, $4, $5::text[], $6, $7, 0)
    ON CONFLICT DO NOTHING RETURNING subscription_id
"""
SUBSCRIPTIONS_ACTIVE = "SELECT count(*) FROM subscription WHERE party = $1 AND ended_at IS NULL"
SUBSCRIPTIONS_TO = _SUBSCRIPTION + " WHERE ended_at IS NULL AND event_types && $1::text[] ORDER BY subscription_id"
SUBSCRIPTIONS_OF = _SUBSCRIPTION + " WHERE party = $1 AND subscription_id > $2 ORDER BY subscription_id LIMIT $3"
SUBSCRIPTIONS = _SUBSCRIPTION + " WHERE subscription_id = ANY($1::text[]) ORDER BY subscription_id"
SUBSCRIPTIONS_FOR_UPDATE = SUBSCRIPTIONS + " FOR UPDATE"
SUBSCRIPTION_FOR_UPDATE = _SUBSCRIPTION + " WHERE subscription_id = $1 FOR UPDATE"
SEALED = "SELECT subscription_id, secret FROM subscription"
SEALED_UPDATE = "UPDATE subscription SET secret = $3 WHERE subscription_id = $1 AND secret = $2"
SUBSCRIPTION_HEALTH_UPDATE = """
    UPDATE subscription SET failures = $2, failing_since = $3, resting_until = $4
    WHERE subscription_id = $1 AND ended_at IS NULL
"""
SUBSCRIPTION_END = """
    UPDATE subscription SET ended_at = $2, end_reason = $3 WHERE subscription_id = $1 AND ended_at IS NULL
"""
MESSAGES_WITHDRAW = """
    UPDATE message SET attempts_allowed = attempts
    WHERE subscription_id = $1 AND channel = 'webhook' AND state = 'pending'
"""

MESSAGES_INSERT = """
    INSERT INTO message (message_id, event_id, event_type, template, channel, recipient, subscription_id, fields,
                         language, regions, traceparent, state, attempts, attempts_allowed, next_attempt_at,
                         created_at, delivered_at)
    SELECT message_id, event_id, event_type, template, channel, recipient, subscription_id, fields::jsonb,
           language, string_to_array(regions, ' '), traceparent,
           CASE channel WHEN 'party_inbox' THEN 'delivered' ELSE 'pending' END, 0, $13, $12::timestamptz, $12,
           CASE channel WHEN 'party_inbox' THEN $12::timestamptz END
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::text[], $10::text[], $11::text[])
        AS new (message_id, event_id, event_type, template, channel, recipient, subscription_id, fields,
                language, regions, traceparent)
    ON CONFLICT ON CONSTRAINT message_once DO NOTHING
"""
_DUE_COLUMNS = """
    message.message_id, template, channel, recipient, message.subscription_id, fields, language, attempts,
    attempts_allowed, traceparent
"""
SMS_LEASE = f"""
    WITH due AS (
        SELECT message_id FROM message
        WHERE state = 'pending' AND channel = 'sms' AND next_attempt_at <= $1 AND attempts < attempts_allowed
        ORDER BY next_attempt_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE message SET attempts = attempts + 1, next_attempt_at = $3
    FROM due WHERE message.message_id = due.message_id
    RETURNING {_DUE_COLUMNS}
"""
# A lane is one subscription's share of the round. An address that takes nothing rests; then one message probes it.
WEBHOOK_LEASE = f"""
    WITH lane AS MATERIALIZED (
        SELECT subscription_id, CASE WHEN failures > 0 THEN 1 ELSE $2 END AS width FROM subscription
        WHERE ended_at IS NULL AND (resting_until IS NULL OR resting_until <= $1) ORDER BY random()
    ), due AS (
        SELECT ready.message_id FROM lane CROSS JOIN LATERAL (
            SELECT message_id FROM message
            WHERE message.subscription_id = lane.subscription_id AND state = 'pending' AND channel = 'webhook'
              AND next_attempt_at <= $1 AND attempts < attempts_allowed
            ORDER BY next_attempt_at LIMIT lane.width FOR UPDATE SKIP LOCKED
        ) AS ready LIMIT $3
    )
    UPDATE message SET attempts = attempts + 1, next_attempt_at = $4
    FROM due WHERE message.message_id = due.message_id
    RETURNING {_DUE_COLUMNS}
"""
LEASE_RETURN = """
    UPDATE message SET attempts = message.attempts - 1, next_attempt_at = $3
    FROM unnest($1::text[], $2::int[]) AS leased (message_id, number)
    WHERE message.message_id = leased.message_id AND message.state = 'pending' AND message.attempts = leased.number
"""
ATTEMPTS_INSERT = """
    INSERT INTO attempt (message_id, number, at, outcome, detail)
    SELECT message_id, number, $5, outcome, detail
    FROM unnest($1::text[], $2::int[], $3::text[], $4::text[]) AS made (message_id, number, outcome, detail)
    ON CONFLICT DO NOTHING
"""
# A delivery counts whoever made it; any other outcome only if no later round has begun another attempt.
MESSAGES_MARK = """
    UPDATE message SET state = made.state, next_attempt_at = made.next_attempt_at, failure = made.failure,
           delivered_at = CASE made.state WHEN 'delivered' THEN $6::timestamptz END
    FROM unnest($1::text[], $2::int[], $3::text[], $4::timestamptz[], $5::text[])
        AS made (message_id, number, state, next_attempt_at, failure)
    WHERE message.message_id = made.message_id AND message.state = 'pending'
      AND (made.state = 'delivered' OR message.attempts = made.number)
    RETURNING message.message_id
"""
USED_UP = """
    WITH used_up AS (
        SELECT message.message_id, CASE WHEN ended_at IS NULL THEN 'attempts-used-up' ELSE 'subscription-ended' END
            AS reason
        FROM message LEFT JOIN subscription ON subscription.subscription_id = message.subscription_id
        WHERE state = 'pending' AND attempts >= attempts_allowed AND next_attempt_at <= $1
        LIMIT $2 FOR UPDATE OF message SKIP LOCKED
    )
    UPDATE message SET state = 'failed', failure = used_up.reason
    FROM used_up WHERE message.message_id = used_up.message_id
    RETURNING message.message_id, template, channel, recipient, attempts, failure, traceparent
"""
PURGE = """
    DELETE FROM message WHERE message_id IN (
        SELECT message_id FROM message WHERE message_id < $1 AND state <> 'pending' ORDER BY message_id LIMIT $2
    )
"""

_MESSAGE = """
    SELECT message_id, event_id, event_type, template, channel, recipient, subscription_id, fields, language, regions,
           state, attempts, attempts_allowed, next_attempt_at, created_at, delivered_at, failure, read_at, read_by,
           traceparent
    FROM message
"""
MESSAGE = _MESSAGE + " WHERE message_id = $1"
MESSAGE_FOR_UPDATE = MESSAGE + " FOR UPDATE"
MESSAGES_OPEN = _MESSAGE + " WHERE state = $1 AND state <> 'delivered' AND message_id > $2 ORDER BY message_id LIMIT $3"
INBOX = (
    _MESSAGE
    + """
    WHERE channel = 'party_inbox' AND recipient = $1 AND ($2 = '' OR message_id < $2)
      AND (NOT $4 OR read_at IS NULL)
    ORDER BY message_id DESC LIMIT $3
"""
)
READ_MARK = """
    UPDATE message SET read_at = coalesce(read_at, $3), read_by = coalesce(read_by, $4)
    WHERE message_id = $1 AND recipient = $2 AND channel = 'party_inbox'
    RETURNING *
"""
RETRY = """
    UPDATE message SET state = 'pending', failure = NULL, attempts_allowed = attempts + $2, next_attempt_at = $3
    WHERE message_id = $1 AND state = 'failed'
    RETURNING *
"""
ATTEMPTS = "SELECT message_id, number, at, outcome, detail FROM attempt WHERE message_id = $1 ORDER BY number"


@dataclass(frozen=True, slots=True)
class UsedUp:
    """A message that failed without an attempt of its own."""

    message_id: str
    template: str
    channel: str
    recipient: str
    attempts: int
    failure: str
    traceparent: str | None


async def save_facilities(tx: Connection, facilities: Sequence[Facility]) -> None:
    """Write facilities, one row each, unless a newer revision is known."""
    columns = [[getattr(f, name) for f in facilities] for name in ("code", "name", "region", "revision")]
    await tx.execute(FACILITY_UPSERT, *columns)


async def facilities(tx: Connection, codes: Sequence[str]) -> dict[str, Facility]:
    """Those that are known, by code."""
    if not codes:
        return {}
    return {facility.code: facility for facility in rows_to(Facility, await tx.fetch(FACILITIES, list(codes)))}


async def set_language(tx: Connection, recipient: str, language: str) -> None:
    """The language of a person's messages from now on."""
    await tx.execute(LANGUAGE_UPSERT, recipient, language)


async def languages(tx: Connection, recipients: Sequence[str]) -> dict[str, str]:
    """The languages of those who chose one."""
    if not recipients:
        return {}
    return {row["recipient"]: row["language"] for row in await tx.fetch(LANGUAGES, list(recipients))}


async def lock_party(tx: Connection, party: str) -> None:
    """Nobody else changes this party's subscriptions until the transaction ends."""
    await tx.execute(PARTY_LOCK, party)


async def add_subscription(tx: Connection, subscription: Subscription) -> bool:
    """Insert; False when the party has an active one to this address."""
    s = subscription
    inserted = await tx.fetchval(
        SUBSCRIPTION_INSERT, s.subscription_id, s.party, s.url, s.secret, s.event_types, s.created_by, s.created_at
    )
    return inserted is not None


async def active_subscriptions(tx: Connection, party: str) -> int:
    """How many a party has."""
    return int(await tx.fetchval(SUBSCRIPTIONS_ACTIVE, party))


async def subscriptions_to(tx: Connection, event_types: Sequence[str]) -> list[Subscription]:
    """Active subscriptions to any of some event types."""
    return rows_to(Subscription, await tx.fetch(SUBSCRIPTIONS_TO, list(event_types)))


async def subscriptions_of(tx: Connection, party: str, after: str, limit: int) -> list[Subscription]:
    """A party's subscriptions, ended ones included, by id."""
    return rows_to(Subscription, await tx.fetch(SUBSCRIPTIONS_OF, party, after, limit))


async def subscriptions(tx: Connection, ids: Sequence[str], *, for_update: bool = False) -> dict[str, Subscription]:
    """Some subscriptions, by id."""
    rows = await tx.fetch(SUBSCRIPTIONS_FOR_UPDATE if for_update else SUBSCRIPTIONS, list(ids))
    return {s.subscription_id: s for s in rows_to(Subscription, rows)}


async def subscription_for_update(tx: Connection, subscription_id: str) -> Subscription | None:
    """One subscription, locked."""
    return row_to(Subscription, await tx.fetchrow(SUBSCRIPTION_FOR_UPDATE, subscription_id))


async def secrets(tx: Connection) -> dict[str, str]:
    """The encrypted secrets of all subscriptions, by id."""
    return {row["subscription_id"]: row["secret"] for row in await tx.fetch(SEALED)}


async def save_secret(tx: Connection, subscription_id: str, before: str, secret: str) -> None:
    """The same secret under another key."""
    await tx.execute(SEALED_UPDATE, subscription_id, before, secret)


async def save_health(tx: Connection, subscription_id: str, health: Health) -> None:
    """How a subscription's address has been answering."""
    h = health
    await tx.execute(SUBSCRIPTION_HEALTH_UPDATE, subscription_id, h.failures, h.failing_since, h.resting_until)


async def end_subscription(tx: Connection, subscription_id: str, reason: str, at: datetime) -> None:
    """Switch a subscription off; its waiting messages get no further attempt."""
    await tx.execute(SUBSCRIPTION_END, subscription_id, at, reason)
    await tx.execute(MESSAGES_WITHDRAW, subscription_id)


async def add_messages(
    tx: Connection, messages: Sequence[NewMessage], attempts_allowed: int, now: datetime
) -> list[str]:
    """Insert messages and give their ids; one that its event made before is left as it is."""
    ids = [new_id() for _ in messages]
    if not messages:
        return ids
    await tx.execute(
        MESSAGES_INSERT,
        ids,
        [m.event_id for m in messages],
        [m.event_type for m in messages],
        [m.template for m in messages],
        [m.channel for m in messages],
        [m.recipient for m in messages],
        [m.subscription_id for m in messages],
        [m.fields for m in messages],
        [m.language for m in messages],
        [" ".join(m.regions) for m in messages],
        [m.traceparent for m in messages],
        now,
        attempts_allowed,
    )
    return ids


async def lease_sms(tx: Connection, now: datetime, limit: int, until: datetime) -> list[Due]:
    """Due messages to persons; until the lease ends, nobody else gets them."""
    return [_due(row) for row in await tx.fetch(SMS_LEASE, now, limit, until)]


async def lease_webhooks(tx: Connection, now: datetime, lane_max: int, limit: int, until: datetime) -> list[Due]:
    """Due webhooks of all subscriptions that do not rest."""
    return [_due(row) for row in await tx.fetch(WEBHOOK_LEASE, now, lane_max, limit, until)]


async def return_leases(tx: Connection, due: Sequence[Due], next_attempt_at: datetime) -> None:
    """As if these had not been leased: nothing was attempted."""
    await tx.execute(LEASE_RETURN, [d.message_id for d in due], [d.attempts for d in due], next_attempt_at)


async def add_attempts(tx: Connection, attempts: Sequence[Attempt], at: datetime) -> None:
    """Record attempts."""
    await tx.execute(
        ATTEMPTS_INSERT,
        [a.message_id for a in attempts],
        [a.number for a in attempts],
        [a.result.outcome for a in attempts],
        [a.result.detail for a in attempts],
        at,
    )


async def mark(tx: Connection, attempts: Sequence[Attempt], decisions: Sequence[Decision], at: datetime) -> set[str]:
    """Write what attempts made of their messages; the ids of those whose state or date changed."""
    rows = await tx.fetch(
        MESSAGES_MARK,
        [a.message_id for a in attempts],
        [a.number for a in attempts],
        [d.state for d in decisions],
        [d.next_attempt_at for d in decisions],
        [d.failure for d in decisions],
        at,
    )
    return {row["message_id"] for row in rows}


async def fail_used_up(tx: Connection, now: datetime, limit: int) -> list[UsedUp]:
    """Let messages fail that have no attempt left: a crash took the last one, or their subscription ended."""
    return rows_to(UsedUp, await tx.fetch(USED_UP, now, limit))


async def purge(tx: Connection, before: str, limit: int) -> None:
    """Forget messages that are done and have smaller ids than this, with their attempts."""
    await tx.execute(PURGE, before, limit)


async def message(tx: Connection, message_id: str, *, for_update: bool = False) -> Message | None:
    """One message."""
    return _message(await tx.fetchrow(MESSAGE_FOR_UPDATE if for_update else MESSAGE, message_id))


async def open_messages(tx: Connection, state: State, after: str, limit: int) -> list[Message]:
    """Pending or failed messages, by id."""
    return _messages(await tx.fetch(MESSAGES_OPEN, state, after, limit))


async def inbox(tx: Connection, party: str, before: str, limit: int, *, unread: bool) -> list[Message]:
    """A party's messages, newest first."""
    return _messages(await tx.fetch(INBOX, party, before, limit, unread))


async def mark_read(tx: Connection, message_id: str, party: str, at: datetime, reader: str) -> Message | None:
    """The message with who read it first, and when; None when it is not in this party's inbox."""
    return _message(await tx.fetchrow(READ_MARK, message_id, party, at, reader))


async def retry(tx: Connection, message_id: str, attempts: int, now: datetime) -> Message | None:
    """A failed message gets some more attempts; None when it is not failed."""
    return _message(await tx.fetchrow(RETRY, message_id, attempts, now))


async def attempts_of(tx: Connection, message_id: str) -> list[AttemptRow]:
    """A message's attempts in order."""
    return rows_to(AttemptRow, await tx.fetch(ATTEMPTS, message_id))


def _due(row: Record) -> Due:
    return Due(**{**row, "channel": Channel(row["channel"]), "fields": json.loads(row["fields"])})


def _message(row: Record | None) -> Message | None:
    return None if row is None else Message(**{**row, "fields": json.loads(row["fields"])})


def _messages(rows: Sequence[Record]) -> list[Message]:
    return [one for row in rows if (one := _message(row)) is not None]
