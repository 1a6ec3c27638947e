"""Outbox, relay, consumer and inbox on the real database and broker: once, in order, never lost, poison set aside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import pytest

from shared import outbox
from shared.clock import system_clock
from shared.consumer import Consumer, Handlers, decode
from shared.database import Connection, Database
from shared.events import Envelope, dead_letter_topic, headers_of, new_id, topic_of
from shared.events.notification import MessageDelivered
from shared.kafka import Message, Producer, Record, Subscription
from shared.outbox import Relay, announce
from shared.refusals import RefusalKind, Refused, Unavailable
from shared.settings import Settings
from shared.telemetry import Gauges
from tests.shared.conftest import SCHEMA

REFUSES = RefusalKind("test.refuses", 422, "拒绝", "refused")  # not declared: the catalogue is the product's


def delivered(message_id: str, number: int = 0) -> Envelope[MessageDelivered]:
    """An event nobody in the product hears."""
    event = MessageDelivered(message_id=message_id, template="t", channel="sms", recipient="p", attempts=number)
    return Envelope(event, datetime.now(UTC))


async def note_effect(tx: Connection, heard: Sequence[Envelope[MessageDelivered]], now: datetime) -> None:
    """A handler whose effect can be counted."""
    rows = [(e.event.message_id, e.event.attempts) for e in heard]
    await tx.executemany("INSERT INTO effect VALUES ($1, $2)", rows)


async def effects(database: Database) -> list[tuple[str, int]]:
    async with database.read() as reader:
        return [tuple(r) for r in await reader.fetch("SELECT message_id, number FROM effect ORDER BY ctid")]


def relay_of(database: Database, producer: Producer, settings: Settings) -> Relay:
    return Relay(database, producer, settings, Gauges())


@pytest.fixture
def consumer_of(database: Database, producer: Producer, settings: Settings) -> Callable[[Handlers], Consumer]:
    """Makes consumers of the kernel schema."""

    def make(handlers: Handlers) -> Consumer:
        return Consumer(SCHEMA, handlers, database, producer, settings, system_clock, Gauges())

    return make


def record_of(envelope: Envelope[MessageDelivered], *, value: bytes | None = None, offset: int = 0) -> Record:
    """The event as it stands on its topic."""
    headers = headers_of(
        MessageDelivered, event_id=envelope.id, occurred_at=envelope.occurred_at, traceparent=envelope.traceparent
    )
    body = envelope.event.model_dump_json().encode() if value is None else value
    return Record(topic_of("notification"), 0, offset, envelope.event.key.encode(), body, dict(headers))


@asynccontextmanager
async def reading(settings: Settings, topic: str) -> AsyncIterator[Callable[[str], list[Record]]]:
    """Everything that arrives on a topic while the block runs, by key."""
    seen: list[Record] = []

    async def read(subscription: Subscription) -> None:
        while True:
            seen.extend(await subscription.poll(0.1))

    async with Subscription(settings, f"test-{new_id()}", [topic]).opened() as subscription:
        task = asyncio.create_task(read(subscription))
        try:
            yield lambda key: [r for r in seen if r.key == key.encode()]
        finally:
            task.cancel()


async def until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - the condition is somebody else's state
            await asyncio.sleep(0.05)


async def test_an_event_is_announced_with_its_fact_or_not_at_all(
    database: Database, producer: Producer, settings: Settings
) -> None:
    async def fact_that_fails() -> None:
        async with database.transaction() as tx:
            await announce(tx, [delivered(new_id())])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fact_that_fails()
    assert await relay_of(database, producer, settings).relay_once() == 0


async def test_the_relay_sends_all_unsent_in_order_and_keeps_none(
    database: Database, producer: Producer, settings: Settings
) -> None:
    message_id = new_id()
    async with reading(settings, topic_of("notification")) as by_key:
        async with database.transaction() as tx:
            await announce(tx, [delivered(message_id, number) for number in range(25)])
        relay = relay_of(database, producer, settings.model_copy(update={"outbox_batch_max": 10}))
        assert [await relay.relay_once() for _ in range(4)] == [10, 10, 5, 0]
        await until(lambda: len(by_key(message_id)) == 25)
        numbers = [MessageDelivered.model_validate_json(r.value).attempts for r in by_key(message_id)]
    assert numbers == list(range(25))


async def test_two_relays_never_work_at_one_time(database: Database, producer: Producer, settings: Settings) -> None:
    async with database.transaction() as tx:
        await announce(tx, [delivered(new_id())])
    async with database.transaction() as other:
        # The lock another relay holds while it sends; without it in `relay_once` both would send the row.
        await other.fetchval("SELECT pg_advisory_xact_lock(hashtext('sifang.relay.' || current_schema()))")
        assert await relay_of(database, producer, settings).relay_once() == 0
    assert await relay_of(database, producer, settings).relay_once() == 1


@pytest.mark.parametrize("locked", [True, False])
async def test_the_guard_is_the_lock_without_it_two_relays_send_twice(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    """Both relays read the unsent rows before either has deleted one: the slow producer gives them the time."""
    if not locked:
        monkeypatch.setattr(outbox, "_LOCK", "SELECT true")
    sent: list[str] = []

    class SlowProducer(Producer):
        async def send(self, messages: Sequence[Message]) -> None:
            await asyncio.sleep(0.3)
            sent.extend(dict(m.headers)["ce_id"].decode() for m in messages)

    envelopes = [delivered("m", number) for number in range(20)]
    async with database.transaction() as tx:
        await announce(tx, envelopes)
    relays = [relay_of(database, SlowProducer(settings, "slow"), settings) for _ in range(2)]
    await asyncio.gather(*(relay.relay_once() for relay in relays))
    assert sent == [e.id for e in envelopes] * (1 if locked else 2)


async def test_what_the_broker_did_not_take_stays_and_goes_later_in_order(
    database: Database, producer: Producer, settings: Settings
) -> None:
    message_id = new_id()
    nowhere = settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    async with database.transaction() as tx:
        await announce(tx, [delivered(message_id, number) for number in range(5)])
    with pytest.raises(Unavailable):
        await relay_of(database, Producer(nowhere, "nowhere"), nowhere).relay_once()
    async with reading(settings, topic_of("notification")) as by_key:
        assert await relay_of(database, producer, settings).relay_once() == 5
        await until(lambda: len(by_key(message_id)) == 5)
        assert [MessageDelivered.model_validate_json(r.value).attempts for r in by_key(message_id)] == list(range(5))


async def test_an_announcement_wakes_a_sleeping_relay(
    database: Database, producer: Producer, settings: Settings
) -> None:
    message_id = new_id()
    relay = relay_of(database, producer, settings.model_copy(update={"outbox_poll_s": 600.0}))
    running = asyncio.create_task(relay.run())
    try:
        async with reading(settings, topic_of("notification")) as by_key:
            await asyncio.sleep(0.5)
            async with database.transaction() as tx:
                await announce(tx, [delivered(message_id)])
            await until(lambda: len(by_key(message_id)) == 1)
    finally:
        running.cancel()
        await relay.close()


async def test_a_crash_between_broker_and_database_sends_twice_and_acts_once(
    database: Database, producer: Producer, settings: Settings, consumer_of: Callable[[Handlers], Consumer]
) -> None:
    envelope = delivered(new_id())
    consumer = consumer_of({MessageDelivered: note_effect})
    await consumer.handle_records([record_of(envelope), record_of(envelope, offset=1)])
    await consumer.handle_records([record_of(envelope, offset=2)])
    assert await effects(database) == [(envelope.event.message_id, 0)]


async def test_the_guard_is_the_inbox_row_without_it_the_effect_doubles(
    database: Database, consumer_of: Callable[[Handlers], Consumer]
) -> None:
    envelope = delivered(new_id())
    consumer = consumer_of({MessageDelivered: note_effect})
    await consumer.handle_records([record_of(envelope)])
    async with database.transaction() as tx:
        await tx.execute("DELETE FROM inbox")
    await consumer.handle_records([record_of(envelope)])
    assert len(await effects(database)) == 2


async def test_effect_and_inbox_row_commit_together(
    database: Database, consumer_of: Callable[[Handlers], Consumer]
) -> None:
    async def fails_late(tx: Connection, heard: Sequence[Envelope[MessageDelivered]], now: datetime) -> None:
        await note_effect(tx, heard, now)
        raise Unavailable("somebody")

    with pytest.raises(Unavailable):
        await consumer_of({MessageDelivered: fails_late}).handle_records([record_of(delivered(new_id()))])
    async with database.read() as reader:
        assert await reader.fetchval("SELECT count(*) FROM inbox") == 0
    assert await effects(database) == []


async def test_events_of_one_batch_keep_their_order(
    database: Database, consumer_of: Callable[[Handlers], Consumer]
) -> None:
    envelopes = [delivered("m", number) for number in range(10)]
    await consumer_of({MessageDelivered: note_effect}).handle_records([record_of(e) for e in envelopes])
    assert [number for _, number in await effects(database)] == list(range(10))


@pytest.mark.parametrize("poison", ["refused", "error", "undecodable"])
async def test_poison_goes_aside_with_its_reason_and_the_others_go_on(
    database: Database, settings: Settings, consumer_of: Callable[[Handlers], Consumer], poison: str
) -> None:
    good, bad, also_good = (delivered(new_id()) for _ in range(3))

    async def picky(tx: Connection, heard: Sequence[Envelope[MessageDelivered]], now: datetime) -> None:
        if any(e.id == bad.id for e in heard):
            raise Refused(REFUSES()) if poison == "refused" else ZeroDivisionError
        await note_effect(tx, heard, now)

    value = b'{"message_id": 5' if poison == "undecodable" else None
    async with reading(settings, dead_letter_topic(SCHEMA)) as by_key:
        consumer = consumer_of({MessageDelivered: picky})
        await consumer.handle_records([record_of(good), record_of(bad, value=value), record_of(also_good)])
        await until(lambda: len(by_key(bad.event.key)) == 1)
        letter = by_key(bad.event.key)[0]
    assert letter.header("sifang_kind") == poison
    assert letter.header("sifang_topic") == topic_of("notification")
    assert letter.header("ce_id") == bad.id
    assert [m for m, _ in await effects(database)] == [good.event.message_id, also_good.event.message_id]


async def test_an_unknown_type_is_not_ours_and_not_poison(consumer_of: Callable[[Handlers], Consumer]) -> None:
    record = record_of(delivered(new_id()))
    strange = Record(record.topic, 0, 0, record.key, record.value, {**record.headers, "ce_type": b"other.v1"})
    assert decode(strange) is None
    consumer = consumer_of({MessageDelivered: note_effect})
    await consumer.handle_records([strange])
    assert consumer.set_aside == 0


async def test_through_the_broker_from_announcement_to_effect(
    database: Database, producer: Producer, settings: Settings, consumer_of: Callable[[Handlers], Consumer]
) -> None:
    message_id = new_id()
    consumer = consumer_of({MessageDelivered: note_effect})
    running = asyncio.create_task(consumer.run())
    relay = relay_of(database, producer, settings)
    try:
        async with database.transaction() as tx:
            await announce(tx, [delivered(message_id, number) for number in range(50)])
        while await relay.relay_once():
            pass
        async with asyncio.timeout(30):
            while len([m for m, _ in await effects(database) if m == message_id]) < 50:  # noqa: ASYNC110 - a table
                await asyncio.sleep(0.1)
    finally:
        consumer.stop()
        await asyncio.wait_for(running, 10)
    numbers = [n for m, n in await effects(database) if m == message_id]
    assert numbers == list(range(50))


async def test_every_partition_is_rewound_and_committed_together(producer: Producer, settings: Settings) -> None:
    topic, group = topic_of("notification"), f"test-{new_id()}"
    sent = {new_id() for _ in range(30)}
    await producer.send([Message(topic, key.encode(), b"{}", []) for key in sent])

    async def all_of(subscription: Subscription) -> list[Record]:
        records: list[Record] = []
        async with asyncio.timeout(20):
            while not sent <= {(r.key or b"").decode() for r in records}:
                records += await subscription.poll(0.5)
        return records

    async with Subscription(settings, group, [topic]).opened() as subscription:
        records = await all_of(subscription)
        assert len({r.partition for r in records}) > 1, "or it shows nothing"
        subscription.rewind(records)
        again = await all_of(subscription)
        assert sorted((r.partition, r.offset) for r in again) == sorted((r.partition, r.offset) for r in records)
        await subscription.commit(again)
    async with Subscription(settings, group, [topic]).opened() as subscription:
        ends = await subscription.ends()
        left: list[Record] = []
        while await subscription.before(ends):
            left += await subscription.poll(0.5)
    assert sent.isdisjoint((r.key or b"").decode() for r in left)


async def test_a_database_that_is_away_is_said_so(settings: Settings, kernel_schema: str) -> None:
    nowhere = settings.model_copy(update={"database_url": "postgresql://sifang@127.0.0.1:1/sifang"})
    with pytest.raises(Unavailable):
        await Database(nowhere, kernel_schema).open()


async def test_a_broker_that_is_away_is_said_so(settings: Settings) -> None:
    nowhere = Producer(settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"}), "nowhere")
    with pytest.raises(Unavailable):
        await nowhere.send([Message("t", None, b"", [])])


async def test_nobody_reads_another_schema(database: Database) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.read() as reader:
            await reader.fetch("SELECT * FROM claims.settlement")
