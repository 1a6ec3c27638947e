"""A schema of the kernel's own, so that its tests never meet a running service's rows or relay."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.cluster import Cluster
from shared.database import Database
from shared.events import dead_letter_topic
from shared.kafka import Producer
from shared.keys import database_password
from shared.plumbing import create_statements
from shared.settings import Settings

SCHEMA = "kernel"


@pytest.fixture(scope="session")
async def kernel_schema(cluster: Cluster, settings: Settings) -> str:
    """A schema with the plumbing tables and a table that handlers write to, a role, and a dead-letter topic."""
    owner = await asyncpg.connect(settings.database_url)
    try:
        password = database_password(settings, SCHEMA)
        await owner.execute(f"CREATE ROLE sifang_{SCHEMA} LOGIN PASSWORD '{password}'")
        await owner.execute(f"CREATE SCHEMA {SCHEMA}")
        for statement in create_statements(SCHEMA):
            await owner.execute(statement)
        await owner.execute(f"CREATE TABLE {SCHEMA}.effect (message_id text NOT NULL, number int NOT NULL)")
        await owner.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO sifang_{SCHEMA}")
        await owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO sifang_{SCHEMA}")
        await owner.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO sifang_{SCHEMA}")
    finally:
        await owner.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(dead_letter_topic(SCHEMA), 1, -1, replica_assignments={})])
    finally:
        await admin.close()
    return SCHEMA


@pytest.fixture
async def database(settings: Settings, kernel_schema: str) -> AsyncIterator[Database]:
    """The kernel schema under its own role, empty."""
    opened = Database(settings, kernel_schema)
    await opened.open()
    async with opened.transaction() as tx:
        for table in ("outbox", "inbox", "idempotency", "effect"):
            await tx.execute(f"DELETE FROM {table}")
    yield opened
    await opened.close()


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[Producer]:
    """A producer of the real broker."""
    made = Producer(settings, "kernel-test")
    yield made
    await made.close()
