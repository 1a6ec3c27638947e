"""The database away, the sender killed: nothing is lost, and what is repeated can be recognised.

Last in the folder: after a kill the broker waits ten seconds before it gives the partitions to the next process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from deploy.local.cluster import Cluster
from shared.settings import Settings
from tests.services.notification.conftest import Caller, Database, Enrol, Publish, connected, eventually
from tests.services.notification.examples import HOME, bill, envelope
from tests.services.notification.receiver import Receiver
from tests.services.notification.steps import arrived, message_of, subscribed

pytestmark = pytest.mark.usefixtures("no_subscriptions")


async def test_an_outcome_waits_for_the_database(
    publish: Publish, caller: Caller, receiver: Receiver, own_cluster: Cluster, own_settings: Settings
) -> None:
    """The database restarts between sending and recording: the outcome is kept, and nothing is sent twice."""
    await subscribed(caller("partner", HOME), receiver.url)
    settled = envelope(bill())
    receiver.released.clear()
    await publish(settled)
    await arrived(receiver, settled.id)

    own_cluster.stop_part("postgres")
    receiver.released.set()
    await asyncio.sleep(1)
    own_cluster.start_part("postgres")

    database = await connected(own_settings)
    try:
        message = await message_of(database, settled.id, "delivered")
    finally:
        await database.close()
    assert message["attempts"] == 1
    assert len(receiver.of_event(settled.id)) == 1


async def test_a_kill_loses_no_message(
    publish: Publish, enrol: Enrol, database: Database, own_cluster: Cluster, all_sms: Callable[[], set[str]]
) -> None:
    """SIGKILL at chance moments of sending: every event makes one message, and each reaches the carrier."""
    person = await enrol("郑四", "13812345673")
    told = [envelope(bill(person_id=person)) for _ in range(1200)]
    await publish(*told)
    await eventually(lambda: database.fetchval("SELECT count(*) = 1200 FROM message WHERE recipient = $1", person))
    for _ in range(2):
        await asyncio.sleep(random.uniform(0, 0.8))
        own_cluster.kill_part("notification")
        # The leases of the killed process would hold for two minutes: let them have passed.
        await database.execute("UPDATE message SET next_attempt_at = created_at WHERE state = 'pending'")
        own_cluster.start_part("notification")

    query = "SELECT message_id FROM message WHERE event_id = ANY($1::text[]) AND state = 'delivered'"

    async def delivered() -> set[str]:
        rows = await database.fetch(query, [one.id for one in told])
        return {row["message_id"] for row in rows} if len(rows) == len(told) else set()

    messages = await eventually(delivered, within_s=60)
    assert len(messages) == len(told)
    assert messages <= all_sms()


async def test_a_kill_between_sending_and_recording_repeats_under_the_same_id(
    publish: Publish, caller: Caller, receiver: Receiver, database: Database, own_cluster: Cluster
) -> None:
    await subscribed(caller("partner", HOME), receiver.url)
    settled = envelope(bill())
    receiver.released.clear()
    await publish(settled)
    (first,) = await arrived(receiver, settled.id)

    own_cluster.kill_part("notification")
    receiver.released.set()
    leased = await message_of(database, settled.id, "pending")
    # Its lease would hold for two minutes: let it have passed.
    await database.execute("UPDATE message SET next_attempt_at = created_at WHERE event_id = $1", settled.id)
    own_cluster.start_part("notification")

    _, second = await arrived(receiver, settled.id, times=2)
    message = await message_of(database, settled.id, "delivered")
    assert first.delivery == second.delivery == message["message_id"]
    assert (leased["attempts"], message["attempts"]) == (1, 2)
    log = (await caller("operator", "ops").get(f"/v1/messages/{message['message_id']}")).json()["log"]
    assert [attempt["number"] for attempt in log] == [2]  # nobody knows what came of the first
