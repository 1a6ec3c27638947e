"""Notification and enrollment on a cluster of their own: these tests announce events that nobody else should book."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import asyncpg
import httpx
import pytest
from stdnum.cn import ric

from deploy.local.cluster import Cluster
from deploy.local.ports import free_ports
from deploy.local.screen import Screen
from deploy.local.surroundings import KAFKA, POSTGRES, Folders, own_only
from shared.events import Envelope, Event, headers_of, topic_of
from shared.kafka import Message, Producer
from shared.keys import TokenMaker
from shared.settings import Settings
from tests.conftest import MakeFolder
from tests.services.notification.examples import FACILITY_CHANGED, HOME, envelope
from tests.services.notification.receiver import Receiver, receiving

T = TypeVar("T")
Publish = Callable[..., Awaitable[None]]
"""Puts envelopes on their announcers' topics, as relays do."""
Enrol = Callable[[str, str | None], Awaitable[str]]
"""Enrols somebody with a name and perhaps a phone; their internal number."""
Database: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Caller(Protocol):
    """Makes an HTTP client of notification that speaks for a role at a party."""

    def __call__(self, role: str, party: str, subject: str | None = None) -> httpx.AsyncClient: ...


async def eventually(look: Callable[[], Awaitable[T | None]], *, within_s: float = 20) -> T:
    """The first true thing that `look` sees; what it saw last is in the error."""
    deadline = time.monotonic() + within_s
    while not (seen := await look()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {seen!r}"
        await asyncio.sleep(0.05)
    return seen


_HURRIED = {"SIFANG_NOTIFICATION_BACKOFF_FIRST_S": "0.2", "SIFANG_NOTIFICATION_HOUSEKEEPING_EVERY_S": "0.5"}
"""Pauses that a test does not wait for."""


@pytest.fixture(scope="package")
def own_cluster(cluster_folder: MakeFolder, quiet: Screen) -> Iterator[Cluster]:
    """PostgreSQL, Kafka, enrollment and notification."""
    with Cluster(
        Folders.below(cluster_folder(), os.environ),
        free_ports,
        environment=own_only(os.environ) | _HURRIED,
        screen=quiet,
        parts=(POSTGRES, KAFKA),
    ) as cluster:
        cluster.start()
        cluster.start_services(("enrollment", "notification"))
        yield cluster


@pytest.fixture(scope="package")
def own_settings(own_cluster: Cluster) -> Settings:
    """The settings under which code in this process meets the cluster."""
    environment = own_cluster.environment
    return Settings(
        database_url=environment["SIFANG_DATABASE_URL"],
        kafka_bootstrap=environment["SIFANG_KAFKA_BOOTSTRAP"],
        secrets_dir=own_cluster.folders.secrets,
    )


@pytest.fixture
async def publish(own_settings: Settings) -> AsyncIterator[Publish]:
    """`publish(envelope, …)`; the hospital of the examples is known before."""
    producer = Producer(own_settings, "test")

    async def send(*envelopes: Envelope[Event]) -> None:
        await producer.send([_record(one) for one in envelopes])

    await send(envelope(FACILITY_CHANGED))
    yield send
    await producer.close()


def _record(one: Envelope[Event]) -> Message:
    event = one.event
    headers = headers_of(type(event), event_id=one.id, occurred_at=one.occurred_at, traceparent=one.traceparent)
    return Message(topic_of(event.announcer), event.key.encode(), event.model_dump_json().encode(), headers)


async def connected(settings: Settings) -> Database:
    """A connection of the owner's, looking at notification's schema."""
    return await asyncpg.connect(settings.database_url, server_settings={"search_path": "notification"})


@pytest.fixture
async def database(own_settings: Settings) -> AsyncIterator[Database]:
    """Such a connection, closed after the test."""
    connection = await connected(own_settings)
    yield connection
    await connection.close()


@pytest.fixture
async def caller(own_cluster: Cluster, own_settings: Settings) -> AsyncIterator[Caller]:
    """Clients of notification; closed after the test."""
    maker = TokenMaker(own_settings)
    async with AsyncExitStack() as opened:

        def make(role: str, party: str, subject: str | None = None) -> httpx.AsyncClient:
            headers = {"Authorization": f"Bearer {maker.make(role=role, party=party, subject=subject)}"}
            made = httpx.AsyncClient(
                base_url=own_cluster.url("notification"), headers=headers, timeout=30, trust_env=False
            )
            opened.push_async_callback(made.aclose)
            return made

        yield make


_numbers = itertools.count(1)


@pytest.fixture
async def enrol(own_cluster: Cluster, own_settings: Settings) -> AsyncIterator[Enrol]:
    """Enrols people of Chuanhui through enrollment's own interface."""
    token = TokenMaker(own_settings).make(role="officer", party=HOME)
    async with httpx.AsyncClient(base_url=own_cluster.url("enrollment"), trust_env=False, timeout=30) as client:

        async def make(name: str, phone: str | None) -> str:
            number = next(_numbers)
            first = f"411602{19500101 + number // 1000:08d}{number % 1000:03d}"
            body: dict[str, Any] = {"identity_number": first + ric.calc_check_digit(first + "0"), "name": name}
            answer = await client.post(
                "/v1/persons",
                json={**body, "phone": phone} if phone else body,
                headers={"Authorization": f"Bearer {token}"},
            )
            assert answer.status_code == 201, answer.text
            person_id: str = answer.json()["person_id"]
            return person_id

        yield make


@pytest.fixture
async def no_subscriptions(database: Database) -> None:
    """Ends the subscriptions of earlier tests."""
    await database.execute("UPDATE subscription SET ended_at = now(), end_reason = 'withdrawn' WHERE ended_at IS NULL")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A partner's system."""
    with receiving() as one:
        yield one


@pytest.fixture
def sms_file(own_cluster: Cluster) -> Path:
    """Where the local carrier writes."""
    return Path(own_cluster.environment["SIFANG_NOTIFICATION_SMS_FILE"])


@pytest.fixture
def sms_of(sms_file: Path) -> Callable[[str], list[dict[str, str]]]:
    """What the carrier got under a message's id."""
    return lambda message_id: [sms for sms in _lines(sms_file) if sms["message_id"] == message_id]


@pytest.fixture
def all_sms(sms_file: Path) -> Callable[[], set[str]]:
    """The ids of all messages that the carrier got."""
    return lambda: {sms["message_id"] for sms in _lines(sms_file)}


def _lines(sms_file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in sms_file.read_text(encoding="utf-8").splitlines()]
