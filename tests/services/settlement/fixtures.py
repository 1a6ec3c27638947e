"""Fixtures of everything that talks to settlement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import asyncpg
import httpx
import pytest

from shared.database import Database
from shared.events import new_id
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

    def _headers(self, key: str | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}", **({"Idempotency-Key": key} if key else {})}


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
    yield Books(database)
    await database.close()


@pytest.fixture(scope="session")
async def owner(settings: Settings) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
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
