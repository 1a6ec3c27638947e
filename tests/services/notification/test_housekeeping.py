"""What nobody asked for and has to be done: give up, forget, take late outcomes, renew encryption."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from ulid import ULID

from services.notification import store
from services.notification.app import templates_of
from services.notification.config import NotificationSettings
from services.notification.rules.addresses import AddressPolicy
from services.notification.rules.delivery import Attempt, Backoff, Outcome, Result, decide
from services.notification.use_cases import Notification
from services.notification.use_cases.subscriptions import SECRET_CONTEXT, renew_encryption
from shared.database import Database as Pool
from shared.events.notification import MessageFailed
from shared.personal import PersonalDataKeys
from shared.regions import RegionTree
from shared.settings import Settings
from tests.services.notification.conftest import Caller, Database, eventually
from tests.services.notification.examples import HOME
from tests.services.notification.steps import announced, subscribed

pytestmark = pytest.mark.usefixtures("no_subscriptions")

_INSERT = """
    INSERT INTO message (message_id, event_id, event_type, template, channel, recipient, fields, language, regions,
                         state, attempts, attempts_allowed, next_attempt_at, created_at, delivered_at)
    VALUES ($1, $1, 't', 'discharge_settled.person', 'sms', 'p', '{}', 'zh', '{}', $2, $3, 3, $4::timestamptz, $4,
            CASE $2 WHEN 'delivered' THEN $4::timestamptz END)
"""


def id_of(age_days: int) -> str:
    """An identifier given so many days ago."""
    return str(ULID.from_datetime(datetime.now(UTC) - timedelta(days=age_days)))


async def test_a_message_whose_last_attempt_a_crash_took_fails(
    database: Database, caller: Caller, own_settings: Settings
) -> None:
    """Its lease has passed, and it has no attempt left; one whose lease still holds is left alone."""
    lost, leased = id_of(0), id_of(1)
    now = datetime.now(UTC)
    await database.execute(_INSERT, lost, "pending", 3, now - timedelta(seconds=1))
    await database.execute(_INSERT, leased, "pending", 3, now + timedelta(seconds=60))

    query = "SELECT failure FROM message WHERE message_id = $1 AND state = 'failed'"
    assert await eventually(lambda: database.fetchval(query, lost)) == "attempts-used-up"

    assert (await caller("operator", "ops").get(f"/v1/messages/{leased}")).json()["state"] == "pending"
    (failed,) = await announced(own_settings, MessageFailed, lost)
    assert failed.model_dump()["reason"] == "attempts-used-up"


async def test_what_is_done_and_old_is_forgotten(database: Database) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=500)
    old, young, waiting = id_of(500), id_of(300), id_of(501)
    await database.execute(_INSERT, young, "delivered", 1, long_ago)
    await database.execute(_INSERT, waiting, "pending", 0, datetime.now(UTC) + timedelta(hours=1))
    async with database.transaction():
        await database.execute(_INSERT, old, "delivered", 1, long_ago)
        await database.execute("INSERT INTO attempt VALUES ($1, 1, now(), 'delivered', '')", old)

    await eventually(lambda: database.fetchval("SELECT NOT EXISTS (SELECT 1 FROM message WHERE message_id = $1)", old))

    left = await database.fetch("SELECT message_id FROM message WHERE message_id = ANY($1)", [old, young, waiting])
    assert {row["message_id"] for row in left} == {young, waiting}
    assert not await database.fetchval("SELECT 1 FROM attempt WHERE message_id = $1", old)


@pytest.mark.parametrize(
    ("number", "outcome", "state"),
    [
        (2, Outcome.FAILED, "pending"),
        (1, Outcome.FAILED, "pending"),
        (3, Outcome.FAILED, "failed"),
        (1, Outcome.REFUSED, "pending"),
        (1, Outcome.DELIVERED, "delivered"),
    ],
)
async def test_a_late_outcome_of_an_earlier_lease(
    database: Database, own_settings: Settings, number: int, outcome: Outcome, state: str
) -> None:
    """A round that outlived its lease: what it delivered is delivered; what it did not, the later attempt decides."""
    message_id, now = id_of(2), datetime.now(UTC)
    lease_ends = now + timedelta(hours=1)
    await database.execute(_INSERT, message_id, "pending", 2 if number < 3 else 3, lease_ends)
    attempt = Attempt(message_id, number, 3, Result(outcome, "why"))
    pool = Pool(own_settings, "notification")
    await pool.open()
    async with pool.transaction() as tx:
        changed = await store.mark(tx, [attempt], [decide(attempt, now, Backoff(1, 1), 0)], now)
    await pool.close()

    row = await database.fetchrow("SELECT state, next_attempt_at FROM message WHERE message_id = $1", message_id)
    assert row is not None
    late = number == 1 and outcome is not Outcome.DELIVERED
    assert (row["state"], row["next_attempt_at"] == lease_ends) == (state, late)
    assert changed == (set() if late else {message_id})


async def test_secrets_move_to_the_active_key(database: Database, caller: Caller, own_settings: Settings) -> None:
    made = await subscribed(caller("partner", HOME), "https://partner.example/rotated")
    document = json.loads((own_settings.secrets_dir / "data-keys.json").read_text())
    rotated = PersonalDataKeys.rotated(document, "k2")
    pool = Pool(own_settings, "notification")
    await pool.open()
    settings = NotificationSettings()
    parts = Notification(
        pool,
        RegionTree.load(),
        settings,
        templates_of(settings),
        AddressPolicy((), local=True),
        PersonalDataKeys(rotated),
    )

    await renew_encryption(parts)

    query = "SELECT secret FROM subscription WHERE subscription_id = $1"
    renewed = await database.fetchval(query, made["subscription_id"])
    old_key_gone = {**rotated, "encryption": {"k2": rotated["encryption"]["k2"]}}
    assert PersonalDataKeys(old_key_gone).decrypt(renewed, context=SECRET_CONTEXT) == made["secret"]
    await renew_encryption(parts)
    assert await database.fetchval(query, made["subscription_id"]) == renewed
    await database.execute("DELETE FROM subscription WHERE url = 'https://partner.example/rotated'")
    await pool.close()
