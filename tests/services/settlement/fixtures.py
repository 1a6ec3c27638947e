"""Fixtures of everything that talks to settlement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import asyncpg
import httpx
import pytest

from deploy.local.cluster import Cluster
from services.settlement.rules.chain import LedgerKey
from shared.consumer import decode
from shared.database import Database
from shared.events import Event, new_id, topic_of
from shared.kafka import Subscription
from shared.keys import ledger_key
from shared.settings import Settings
from tests.conftest import MakeClient, MakeToken
from tests.services.settlement.world import Books, Hospital


class Caller:
    """Somebody who calls settlement, with a fresh Idempotency-Key for each call unless told otherwise."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client, self._token = client, token

    async def get(self, path: str, *, key: str | None = None, **query: Any) -> httpx.Response:
        """Read."""
        return await self._client.get(path, params=query, headers=self._headers(key))

    async def post(self, path: str, body: Mapping[str, Any] | None = None, key: str | None = "") -> httpx.Response:
        """Do; with `key=None` without any key."""
        return await self._client.post(path, json=body, headers=self._headers(new_id() if key == "" else key))

    async def put(self, path: str, content: Any, kind: str = "application/json", **query: Any) -> httpx.Response:
        """Put bytes, or what yields them, as the kind of content they are."""
        headers = self._headers(None) | {"Content-Type": kind}
        return await self._client.put(path, content=content, params=query, headers=headers)

    def _headers(self, key: str | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}", **({"Idempotency-Key": key} if key else {})}


if TYPE_CHECKING:
    Owner: TypeAlias = asyncpg.Connection[asyncpg.Record]
    """The database as its owner sees it."""
else:
    Owner = asyncpg.Connection


class ActAs(Protocol):
    """Makes a caller of settlement: `act_as("finance", "411603", "finance-2")`."""

    def __call__(self, role: str, party: str, subject: str | None = None) -> Caller: ...


@pytest.fixture
def act_as(client: MakeClient, token: MakeToken) -> ActAs:
    """Callers of the running service, who share their connections."""
    shared = client("settlement")

    def make(role: str, party: str, subject: str | None = None) -> Caller:
        return Caller(shared, token(role, party, subject or f"{role}-1"))

    return make


@pytest.fixture(scope="session")
async def books(settings: Settings) -> AsyncIterator[Books]:
    """The books, under the service's own database role."""
    database = Database(settings, "settlement")
    await database.open()
    yield Books(database, LedgerKey(ledger_key(settings)))
    await database.close()


class Heard(Protocol):
    """What settlement announced under a key, in order: `await heard(case_id)`."""

    def __call__(self, key: str) -> Awaitable[list[Event]]: ...


@pytest.fixture
def heard(services: Cluster, settings: Settings, books: Books) -> Heard:
    """Everything on settlement's topic under a key, once the relay has carried it there."""

    async def hear(key: str) -> list[Event]:
        for _ in range(200):
            if not await books.value("SELECT count(*) FROM outbox WHERE key = $1", key):
                break
            await asyncio.sleep(0.05)
        events: list[Event] = []
        topic = topic_of("settlement")
        async with Subscription(settings, f"tests-{new_id()}", [topic]).opened() as subscription:
            end = await subscription.ends()
            while await subscription.before(end):
                found = [decode(record) for record in await subscription.poll() if record.key == key.encode()]
                events += [envelope.event for envelope in found if envelope is not None]
        return events

    return hear


@pytest.fixture(scope="session")
async def owner(settings: Settings) -> AsyncIterator[Owner]:
    """The database as its owner sees it: not even the owner's statements pass the guards."""
    connection = await asyncpg.connect(settings.database_url, server_settings={"search_path": "settlement"})
    yield connection
    await connection.close()


@pytest.fixture
async def hospital(books: Books) -> Hospital:
    """A facility of the test's own, which settlement has heard of."""
    made = Hospital()
    await books.hear(made.changed())
    return made


async def waits(books: Books, at_query: str, connections: int = 1) -> None:
    """Until so many connections of settlement wait for a lock with such a query."""
    waiting = """
        SELECT count(*) FROM pg_stat_activity
        WHERE usename = 'sifang_settlement' AND wait_event_type = 'Lock' AND query LIKE '%' || $1 || '%'
    """
    for _ in range(250):
        if await books.value(waiting, at_query) >= connections:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"nobody waits with {at_query}")
