"""A database of its own, in which nobody else's jobs run, on the server of the session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import SplitResult, urlsplit

import asyncpg
import pytest

from deploy.local import services
from deploy.local.cluster import Cluster
from services.settlement.use_cases.parts import Settlement
from shared.database import Database
from shared.settings import Settings
from tests.simulation.parts import parts_of

NAME = "simulation"


@pytest.fixture(scope="package")
def stage(cluster: Cluster) -> Settings:
    """The settings of a prepared database without services."""
    environment = cluster.environment
    url = urlsplit(environment["SIFANG_DATABASE_URL"])
    asyncio.run(_make(url, (cluster.folders.secrets / "database-postgres").read_text()))
    own = url._replace(path=f"/{NAME}").geturl()
    services.prepare(environment | {"SIFANG_DATABASE_URL": own})
    return Settings(
        database_url=own,
        kafka_bootstrap=environment["SIFANG_KAFKA_BOOTSTRAP"],
        secrets_dir=cluster.folders.secrets,
    )


async def _make(url: SplitResult, password: str) -> None:
    """By the superuser: the owner makes no databases."""
    superuser = await asyncpg.connect(
        host=url.hostname, port=url.port, user="postgres", password=password, database="postgres"
    )
    try:
        await superuser.execute(f"CREATE DATABASE {NAME} OWNER {url.username}")
    finally:
        await superuser.close()


@pytest.fixture
async def parts(stage: Settings) -> AsyncIterator[Settlement]:
    """The product's own parts on it."""
    database = Database(stage, "settlement")
    await database.open()
    yield parts_of(stage, database)
    await database.close()
