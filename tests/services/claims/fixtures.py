"""Fixtures of everything that talks to claims; a `conftest.py` that needs them imports them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import asyncpg
import httpx
import pytest

from shared.settings import Settings
from tests.conftest import MakeClient, MakeToken
from tests.flow import Flow
from tests.services.claims.seeds import Owner


class MakeHis(Protocol):
    """Makes a client of claims that speaks for a facility."""

    def __call__(self, facility_code: str) -> httpx.AsyncClient: ...


@pytest.fixture(scope="session")
async def owner(settings: Settings) -> AsyncIterator[Owner]:
    """The database seen by its owner."""
    connection = await asyncpg.connect(settings.database_url)
    yield Owner(connection)
    await connection.close()


@pytest.fixture
def his(client: MakeClient, token: MakeToken) -> MakeHis:
    """`his(facility_code)` is a hospital's system."""
    return lambda facility_code: client("claims", token("facility", facility_code))


@pytest.fixture
def flow(client: MakeClient, token: MakeToken) -> Flow:
    """The callers of all services."""
    return Flow(client, token)
