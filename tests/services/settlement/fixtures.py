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
from tests.services.settlement.world import Books


class Caller:
    """Somebody who calls settlement, with a fresh Idempotency-Key for each call."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **query: Any) -> httpx.Response:
        """Read."""
        return await self._client.get(path, params=query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> httpx.Response:
        """Do."""
        return await self._client.post(path, json=body, headers={"Idempotency-Key": key or new_id()})


class ActAs(Protocol):
    """Makes a caller of settlement: `act_as("finance", "411603", "finance-2")`."""

    def __call__(self, role: str, party: str, subject: str | None = None) -> Caller: ...


@pytest.fixture
def act_as(client: MakeClient, token: MakeToken) -> ActAs:
    """Callers of the running service."""

    def make(role: str, party: str, subject: str | None = None) -> Caller:
        return Caller(client("settlement", token(role, party, subject or f"{role}-1")))

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
