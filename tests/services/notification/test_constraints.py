"""What the database itself refuses, whatever the code above it does."""

from __future__ import annotations

import asyncpg
import pytest

from deploy.local.cluster import Cluster
from shared.keys import database_password
from shared.settings import Settings
from tests.services.notification.conftest import Database

_MESSAGE: dict[str, str] = {
    "message_id": "'m'",
    "event_id": "'e'",
    "event_type": "'t'",
    "template": "'discharge_settled.person'",
    "channel": "'sms'",
    "recipient": "'p'",
    "fields": "'{}'",
    "language": "'zh'",
    "regions": "'{}'",
    "state": "'pending'",
    "attempts": "0",
    "attempts_allowed": "5",
    "next_attempt_at": "now()",
    "created_at": "now()",
}
_INBOX = {"channel": "'party_inbox'", "language": "NULL", "state": "'delivered'", "delivered_at": "now()"}


def insert(table: str, values: dict[str, str]) -> str:
    """An INSERT of one row whose values are SQL."""
    return f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})"


async def refused_by(database: Database, *statements: str) -> str | None:
    """The constraint that refuses the last of some statements; nothing of them stays."""
    transaction = database.transaction()
    await transaction.start()
    try:
        for statement in statements:
            await database.execute(statement)
    except asyncpg.IntegrityConstraintViolationError as error:
        return error.constraint_name
    finally:
        await transaction.rollback()
    return None


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({}, None),
        (_INBOX, None),
        ({**_INBOX, "read_at": "now()", "read_by": "'wang'"}, None),
        ({"channel": "'fax'"}, "message_channel"),
        ({"state": "'lost'"}, "message_state"),
        ({"attempts": "6"}, "message_attempts"),
        ({"attempts": "-1"}, "message_attempts"),
        ({"language": "NULL"}, "message_language"),
        ({"language": "'fr'"}, "message_language_known"),
        ({"channel": "'webhook'", "language": "NULL"}, "message_subscription"),
        ({"subscription_id": "'s'"}, "message_subscription"),
        ({"channel": "'webhook'", "language": "NULL", "subscription_id": "'s'"}, "message_of_subscription"),
        ({**_INBOX, "state": "'pending'", "delivered_at": "NULL"}, "message_inbox_delivered"),
        ({"state": "'delivered'"}, "message_delivered"),
        ({"delivered_at": "now()"}, "message_delivered"),
        ({"state": "'failed'"}, "message_failed"),
        ({"failure": "'why'"}, "message_failed"),
        ({**_INBOX, "read_at": "now()"}, "message_read"),
        ({"read_at": "now()", "read_by": "'wang'"}, "message_read_in_inbox"),
    ],
)
async def test_a_message(database: Database, changed: dict[str, str], constraint: str | None) -> None:
    assert await refused_by(database, insert("message", {**_MESSAGE, **changed})) == constraint


@pytest.mark.parametrize(
    ("other", "constraint"),
    [
        ({"message_id": "'n'"}, "message_once"),
        ({"message_id": "'n'", "recipient": "'q'"}, None),
        ({"message_id": "'n'", "template": "'other.person'"}, None),
        ({"message_id": "'n'", "event_id": "'f'"}, None),
        ({"event_id": "'f'"}, "message_pkey"),
    ],
)
async def test_one_event_never_makes_two(database: Database, other: dict[str, str], constraint: str | None) -> None:
    twice = insert("message", _MESSAGE), insert("message", {**_MESSAGE, **other})

    assert await refused_by(database, *twice) == constraint


_SUBSCRIPTION = {
    "subscription_id": "'s'",
    "party": "'999999'",
    "url": "'https://partner.example/'",
    "secret": "'k1.x'",
    "event_types": "'{a}'",
    "created_by": "'c'",
    "created_at": "now()",
    "failures": "0",
}


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({}, None),
        ({"event_types": "'{}'"}, "subscription_event_types"),
        ({"ended_at": "now()"}, "subscription_ended"),
        ({"end_reason": "'gone'"}, "subscription_ended"),
        ({"failures": "-1", "failing_since": "now()", "resting_until": "now()"}, "subscription_failures"),
        ({"failures": "1", "resting_until": "now()"}, "subscription_failing"),
        ({"failures": "1", "failing_since": "now()"}, "subscription_resting"),
    ],
)
async def test_a_subscription(database: Database, changed: dict[str, str], constraint: str | None) -> None:
    assert await refused_by(database, insert("subscription", {**_SUBSCRIPTION, **changed})) == constraint


async def test_one_active_subscription_an_address(database: Database) -> None:
    first, second = (
        insert("subscription", _SUBSCRIPTION),
        insert("subscription", {**_SUBSCRIPTION, "subscription_id": "'r'"}),
    )
    end = "UPDATE subscription SET ended_at = now(), end_reason = 'withdrawn' WHERE subscription_id = 's'"

    assert await refused_by(database, first, second) == "subscription_address"
    assert await refused_by(database, first, end, second) is None


async def test_an_attempt_belongs_to_a_message(database: Database) -> None:
    attempt = {"message_id": "'m'", "number": "1", "at": "now()", "outcome": "'failed'", "detail": "''"}
    message, doubtful = insert("message", _MESSAGE), {**attempt, "outcome": "'maybe'"}

    assert await refused_by(database, message, insert("attempt", attempt)) is None
    assert await refused_by(database, insert("attempt", attempt)) == "attempt_message"
    assert await refused_by(database, message, insert("attempt", doubtful)) == "attempt_outcome"


async def test_another_services_role_sees_nothing(own_cluster: Cluster, own_settings: Settings) -> None:
    url = own_settings.role_url("enrollment", database_password(own_settings, "enrollment"))
    connection = await asyncpg.connect(url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM notification.message")
    finally:
        await connection.close()
