"""Events twice and late, poison among them: had once; what cannot be handled is set aside, not lost."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.cluster import Cluster
from deploy.local.surroundings import ROOT
from shared.events import dead_letter_topic, new_id, topic_of
from shared.kafka import PARTITIONS, Message, Producer, Record, Subscription
from shared.settings import Settings
from tests.faults.aftermath import Aftermath
from tests.faults.load import Load
from tests.flow import eventually

CLAIMS = topic_of("claims")


@pytest.fixture
async def producer(fragile_settings: Settings) -> AsyncIterator[Producer]:
    """Somebody who can write to the topics."""
    made = Producer(fragile_settings, "faults")
    yield made
    await made.close()


async def read_all(settings: Settings, topic: str) -> list[Record]:
    """Everything on a topic, in order within each partition."""
    found: list[Record] = []
    async with Subscription(settings, f"test-{new_id()}", [topic]).opened() as subscription:
        ends = await subscription.ends()
        while await subscription.before(ends):
            found += await subscription.poll(0.5)
    return found


def again(record: Record) -> Message:
    """The record as a new message: same event, same id, a later place on the topic."""
    return Message(record.topic, record.key, record.value, list(record.headers.items()))


async def test_the_whole_topic_once_more_backwards_changes_nothing(
    fragile_settings: Settings, producer: Producer, load: Load, aftermath: Aftermath
) -> None:
    """Every bill a second time, reversals before what they reverse, hours after: each id is known."""
    await load.run(2)
    await aftermath.holds(load)
    before = await aftermath.proof()
    records = await read_all(fragile_settings, CLAIMS)
    assert len(records) >= len(load.acknowledged)
    await producer.send([again(record) for record in reversed(records)])
    await producer.send([again(record) for record in records[:50] for _ in range(3)])
    await handled_to_the_end(fragile_settings)
    assert await aftermath.proof() == before
    await aftermath.holds(load)


async def handled_to_the_end(settings: Settings) -> None:
    """Wait until settlement's group has read all there is on claims' topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    reader = AIOKafkaConsumer(CLAIMS, bootstrap_servers=settings.kafka_bootstrap)
    await admin.start()
    await reader.start()
    try:
        partitions = [TopicPartition(CLAIMS, number) for number in range(PARTITIONS)]
        ends = await reader.end_offsets(partitions)

        async def reached() -> bool | None:
            offsets = await admin.list_consumer_group_offsets("sifang-settlement")
            done = all(p in offsets and offsets[p].offset >= end for p, end in ends.items() if end)
            return True if done else None

        await eventually(reached, within_s=40)
    finally:
        await reader.stop()
        await admin.close()


async def test_poison_is_set_aside_and_handled_when_replayed(
    fragile: Cluster, fragile_settings: Settings, producer: Producer, load: Load, aftermath: Aftermath
) -> None:
    """Settlement may not write its bills for a while: that is no outage, so the events go aside one by one. The
    right is given back, the command replays them, and the books are whole.
    """
    async with aftermath.owner() as owner:
        await owner.execute("REVOKE INSERT ON settlement.bill FROM sifang_settlement")
        try:
            await load.run(0.5)
            accepted = len(load.acknowledged)
            assert accepted
            await producer.send([Message(CLAIMS, b"nonsense", b'{"half": ', [("ce_type", b"x"), ("ce_id", b"")])])

            async def all_aside() -> bool | None:
                letters = await read_all(fragile_settings, dead_letter_topic("settlement"))
                return True if len(letters) >= accepted + 1 else None

            await eventually(all_aside, within_s=40, every_s=1)
        finally:
            await owner.execute("GRANT INSERT ON settlement.bill TO sifang_settlement")
        assert await owner.fetchval("SELECT count(*) FROM settlement.bill WHERE facility_code = $1", load.facility) == 0

    code, said = await asyncio.to_thread(replay, fragile)
    # Nonsense stays nonsense: set aside again, so that the command does not end as if all were well.
    assert (code, said) == (1, f"handled {accepted}, set aside again 1")
    await aftermath.holds(load)
    letters = await read_all(fragile_settings, dead_letter_topic("settlement"))
    assert letters[-1].header("sifang_replays") == "1"
    assert letters[-1].header("sifang_kind") == "undecodable"


def replay(cluster: Cluster) -> tuple[int, str]:
    """The command as an operator runs it: its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "shared.dead_letters", "replay", "--service", "settlement"],
        cwd=ROOT,
        env={**os.environ, **cluster.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = re.search(r"handled \d+, set aside again \d+", done.stdout)
    assert found, done.stdout + done.stderr
    return done.returncode, found.group()


async def test_replaying_what_was_handled_meanwhile_does_nothing(
    fragile: Cluster, fragile_settings: Settings, producer: Producer, load: Load, aftermath: Aftermath
) -> None:
    """Letters of events that are in the books already: an operator replays too much, and the inbox knows them."""
    await load.run(0.5)
    await aftermath.drained(load.facility)
    before = await aftermath.proof()
    own = [r for r in await read_all(fragile_settings, CLAIMS) if load.facility.encode() in r.value]
    letters = [Message(dead_letter_topic("settlement"), r.key, r.value, list(r.headers.items())) for r in own]
    await producer.send(letters)
    _, said = await asyncio.to_thread(replay, fragile)
    assert said.startswith(f"handled {len(own)}, ")
    assert await aftermath.proof() == before
    await aftermath.holds(load)
