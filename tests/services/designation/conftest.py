"""What the tests of designation share: callers, a fresh facility, its database, its topic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeAlias

import asyncpg
import httpx
import pytest

from shared.events import EVENTS, Event, new_id, topic_of
from shared.kafka import Subscription
from shared.settings import Settings
from tests.conftest import MakeClient, MakeToken

AREA, COUNTY, ELSEWHERE = "411600", "411603", "411300"
FACILITY: dict[str, str] = {"name": "淮阳区人民医院", "kind": "hospital", "level": "2", "region": COUNTY}
DAYS = {"valid_from": "2026-01-01", "valid_to": "2026-12-31"}

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Announced = Callable[[str, int], Awaitable[list[Event]]]
"""`announced(code, n)` waits for n events about a facility and returns all there are."""
Register = Callable[[], Awaitable[str]]
"""Registers a facility nobody knew; its code."""
Draft = Callable[[str], Awaitable[str]]
"""Drafts an agreement of a facility for 2026; its id."""


class Caller(Protocol):
    """Makes a client of designation that speaks for a role at a party."""

    def __call__(self, role: str, party: str, subject: str | None = None) -> httpx.AsyncClient: ...


@pytest.fixture
def caller(client: MakeClient, token: MakeToken) -> Caller:
    """Clients of designation; closed after the test."""
    return lambda role, party, subject=None: client("designation", token(role, party, subject))


@pytest.fixture
def officer(caller: Caller) -> httpx.AsyncClient:
    """An officer of the county's agency."""
    return caller("officer", COUNTY, "officer-1")


@pytest.fixture
def reviewer(caller: Caller) -> httpx.AsyncClient:
    """A reviewer of the same agency, who is another person."""
    return caller("reviewer", COUNTY, "reviewer-1")


def fresh_code() -> str:
    """A facility code nobody has."""
    return f"H{new_id()}"


@pytest.fixture
def register(officer: httpx.AsyncClient) -> Register:
    """`register()` registers a facility in the county."""

    async def make() -> str:
        code = fresh_code()
        answer = await officer.post("/v1/facilities", json={"code": code, **FACILITY})
        assert answer.status_code == 201, answer.text
        return code

    return make


@pytest.fixture
def draft(officer: httpx.AsyncClient) -> Draft:
    """`draft(code)` drafts an agreement."""

    async def make(code: str) -> str:
        answer = await officer.post("/v1/agreements", json={"facility_code": code, **DAYS})
        assert answer.status_code == 201, answer.text
        agreement_id: str = answer.json()["agreement_id"]
        return agreement_id

    return make


@pytest.fixture
async def owner(settings: Settings) -> AsyncIterator[Owner]:
    """The database as its owner sees it, looking at designation's schema."""
    connection = await asyncpg.connect(settings.database_url, server_settings={"search_path": "designation"})
    yield connection
    await connection.close()


@pytest.fixture
async def announced(settings: Settings) -> AsyncIterator[Announced]:
    """Reads the topic of designation from its beginning."""
    seen: dict[str, list[Event]] = {}
    async with Subscription(settings, f"test-{new_id()}", [topic_of("designation")]).opened() as topic:

        async def about(code: str, count: int) -> list[Event]:
            for _ in range(100):
                if len(seen.get(code, [])) >= count:
                    break
                for record in await topic.poll():
                    event = EVENTS[record.header("ce_type") or ""].model_validate_json(record.value)
                    seen.setdefault(event.key, []).append(event)
            return seen.get(code, [])

        yield about


def codes(answer: httpx.Response) -> list[str]:
    """The codes of a refusal, without the service's name."""
    found: list[dict[str, Any]] = answer.json()["errors"]
    return [error["code"].removeprefix("designation.") for error in found]
