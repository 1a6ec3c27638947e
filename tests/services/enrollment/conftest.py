"""What the tests of enrollment share: clients for its callers, its database, its topic."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeAlias

import asyncpg
import httpx
import pytest

from deploy.local.cluster import Cluster
from services.enrollment.app import make_parts
from services.enrollment.use_cases.parts import Enrollment
from shared.database import Database
from shared.events import EVENTS, Event, new_id, topic_of
from shared.kafka import Subscription
from shared.regions import RegionTree
from shared.settings import Settings
from tests.conftest import MakeClient, MakeToken
from tests.services.enrollment.people import HOME, person

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Announced = Callable[[str, int], Awaitable[list[Event]]]
"""`announced(person_id, n)` waits for n events about a person and returns all there are."""
Enrol = Callable[..., Awaitable[dict[str, Any]]]


class Caller(Protocol):
    """Makes a client of enrollment that speaks for a role at a party."""

    def __call__(self, role: str, party: str, subject: str | None = None) -> httpx.AsyncClient: ...


@pytest.fixture
def caller(client: MakeClient, token: MakeToken) -> Caller:
    """Clients of enrollment; closed after the test."""
    return lambda role, party, subject=None: client("enrollment", token(role, party, subject))


@pytest.fixture
def officer(caller: Caller) -> httpx.AsyncClient:
    """An officer of the home agency."""
    return caller("officer", HOME)


@pytest.fixture
def enrol(officer: httpx.AsyncClient) -> Enrol:
    """`enrol(…)` enrols a person and gives what was answered."""

    async def enrolled(**changed: Any) -> dict[str, Any]:
        answer = await officer.post("/v1/persons", json=person(**changed))
        assert answer.status_code == 201, answer.text
        view: dict[str, Any] = answer.json()
        return view

    return enrolled


@pytest.fixture
async def owner(settings: Settings) -> AsyncIterator[Owner]:
    """The database as its owner sees it, looking at enrollment's schema."""
    connection = await asyncpg.connect(settings.database_url, server_settings={"search_path": "enrollment"})
    yield connection
    await connection.close()


@pytest.fixture
async def parts(cluster: Cluster, settings: Settings) -> AsyncIterator[Enrollment]:
    """The parts of enrollment in this process; an import takes three lines at a time."""
    database = Database(settings, "enrollment")
    await database.open()
    made = make_parts(settings, database, RegionTree.load())
    few = made.settings.model_copy(update={"import_chunk_lines": 3, "rotation_batch_rows": 7})
    yield dataclasses.replace(made, settings=few)
    await database.close()


@pytest.fixture
async def announced(settings: Settings) -> AsyncIterator[Announced]:
    """Reads the topic of enrollment from its beginning."""
    seen: dict[str, list[Event]] = {}
    async with Subscription(settings, f"test-{new_id()}", [topic_of("enrollment")]).opened() as topic:

        async def about(person_id: str, count: int) -> list[Event]:
            for _ in range(100):
                if len(seen.get(person_id, [])) >= count:
                    break
                for record in await topic.poll():
                    event = EVENTS[record.header("ce_type") or ""].model_validate_json(record.value)
                    seen.setdefault(event.key, []).append(event)
            return seen.get(person_id, [])

        yield about
