"""The broker. The only module that knows aiokafka.

Producing is idempotent with acks from all; consuming commits by hand after the database transaction. Everything that
means "the broker is away" is `Unavailable`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    for_code,
)

from shared.events import dead_letter_topic, topic_of
from shared.refusals import Unavailable
from shared.settings import SERVICES, Settings

PARTITIONS = 6
"""Of each events topic: the most consumers of one service that can share its work."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to be sent."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Record:
    """One message received, with where it stood."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]

    def header(self, name: str) -> str | None:
        """A header as text."""
        value = self.headers.get(name)
        return None if value is None else value.decode(errors="replace")


class Producer:
    """Sends messages; made anew after a failure, because an idempotent producer that lost its place stays lost."""

    def __init__(self, settings: Settings, client: str) -> None:
        self._settings, self._client = settings, client
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def send(self, messages: Sequence[Message]) -> None:
        """Send all, in order per key, and wait for the broker's word. Raises Unavailable when one of them failed."""
        try:
            producer = await self._ready()
            sent = [await producer.send(m.topic, m.value, m.key, headers=list(m.headers)) for m in messages]
            async with asyncio.timeout(30):
                await asyncio.gather(*sent)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise Unavailable("broker", type(error).__name__) from error

    async def _ready(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._settings.kafka_bootstrap,
                    client_id=self._client,
                    enable_idempotence=True,
                    acks="all",
                    linger_ms=2,
                    request_timeout_ms=15_000,
                )
                await _start(producer)
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        """Stop; what was not acknowledged is the caller's to send again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(5):
                    await producer.stop()


class Subscription:
    """A consumer of some topics in a service's group."""

    def __init__(self, settings: Settings, group: str, topics: Sequence[str]) -> None:
        self._settings, self._group, self._topics = settings, group, topics
        self._consumer: AIOKafkaConsumer | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Subscription]:
        """Joined to the group for the length of the block. Raises Unavailable."""
        consumer = AIOKafkaConsumer(
            *self._topics,
            bootstrap_servers=self._settings.kafka_bootstrap,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=self._settings.consumer_batch_max,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            fetch_max_wait_ms=100,
        )
        await _start(consumer)
        self._consumer = consumer
        try:
            yield self
        finally:
            self._consumer = None
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(5):
                    await consumer.stop()

    @property
    def _open(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise Unavailable("broker", "not subscribed")
        return self._consumer

    async def poll(self, timeout_s: float = 0.2) -> list[Record]:
        """The next records, those of each partition in order. Raises Unavailable."""
        try:
            fetched = await self._open.getmany(
                timeout_ms=int(timeout_s * 1000), max_records=self._settings.consumer_batch_max
            )
        except (KafkaError, OSError) as error:
            raise Unavailable("broker", type(error).__name__) from error
        return [_record(r) for records in fetched.values() for r in records]

    async def commit(self, records: Sequence[Record]) -> None:
        """Everything up to the last of these is done. Losing the partition meanwhile is fine: the inbox knows them."""
        try:
            await self._open.commit({TopicPartition(r.topic, r.partition): r.offset + 1 for r in records})
        except (CommitFailedError, IllegalStateError):
            return
        except (KafkaError, OSError) as error:
            raise Unavailable("broker", type(error).__name__) from error

    def rewind(self, records: Sequence[Record]) -> None:
        """Read these again."""
        firsts = {TopicPartition(r.topic, r.partition): r.offset for r in reversed(records)}
        for partition, offset in firsts.items():
            with suppress(IllegalStateError):
                self._open.seek(partition, offset)

    async def lag(self) -> int:
        """Records beyond our position, as far as the broker's last answers told. Raises Unavailable."""
        consumer, lag = self._open, 0
        try:
            for partition in consumer.assignment():
                end = consumer.highwater(partition)
                if end is not None:
                    lag += max(0, end - await consumer.position(partition))
        except (KafkaError, OSError) as error:
            raise Unavailable("broker", type(error).__name__) from error
        return lag

    async def ends(self) -> dict[int, int]:
        """Where the first topic's partitions end now, by partition. Raises Unavailable."""
        partitions = [
            TopicPartition(self._topics[0], p) for p in self._open.partitions_for_topic(self._topics[0]) or ()
        ]
        try:
            found = await self._open.end_offsets(partitions)
        except (KafkaError, OSError) as error:
            raise Unavailable("broker", type(error).__name__) from error
        return {p.partition: offset for p, offset in found.items()}

    async def before(self, ends: Mapping[int, int]) -> bool:
        """Whether anything is left to read before these ends. Raises Unavailable."""
        try:
            assigned = self._open.assignment()  # empty until the group has settled: then everything is left
            return not assigned or any([await self._open.position(p) < ends[p.partition] for p in assigned])
        except (KafkaError, OSError) as error:
            raise Unavailable("broker", type(error).__name__) from error


def _record(r: object) -> Record:
    return Record(r.topic, r.partition, r.offset, r.key, r.value or b"", dict(r.headers))  # type: ignore[attr-defined]


async def _start(client: Any) -> None:
    """Start a producer, consumer or admin client; one that fails is closed. Raises Unavailable."""
    try:
        async with asyncio.timeout(15):
            await client.start()
    except BaseException as error:
        with suppress(KafkaError, OSError, TimeoutError):
            await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
        if isinstance(error, KafkaError | OSError | TimeoutError):
            raise Unavailable("broker", type(error).__name__) from error
        raise


async def ensure_topics(settings: Settings) -> None:
    """Make the topics that are missing: one of events and one of dead letters for each service. Raises Unavailable."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap, client_id="sifang-prepare")
    await _start(admin)
    try:
        for service in SERVICES:
            for name, partitions in ((topic_of(service), PARTITIONS), (dead_letter_topic(service), 1)):
                await _create_topic(admin, name, partitions)
    except (KafkaError, OSError) as error:
        raise Unavailable("broker", type(error).__name__) from error
    finally:
        await admin.close()


async def _create_topic(admin: AIOKafkaAdminClient, name: str, partitions: int) -> None:
    """Make a topic with the broker's own replication, unless it is there. The client tells errors in its answer."""
    answer: Any = await admin.create_topics([NewTopic(name, partitions, -1, replica_assignments={})])
    for _, code, *_ in answer.topic_errors:
        error = for_code(code)
        if error is not NoError and error is not TopicAlreadyExistsError:
            raise error(f"topic {name}")


async def check(settings: Settings) -> None:
    """Whether the broker answers and our topics are there. Raises Unavailable."""
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.kafka_bootstrap, client_id="sifang-ready", request_timeout_ms=3000
    )
    await _start(admin)
    try:
        missing = {topic_of(s) for s in SERVICES} - set(await admin.list_topics())
    except (KafkaError, OSError) as error:
        raise Unavailable("broker", type(error).__name__) from error
    finally:
        await admin.close()
    if missing:
        raise Unavailable("broker", f"topics missing: {', '.join(sorted(missing))}")
