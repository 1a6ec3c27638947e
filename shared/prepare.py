"""Prepares database and broker for the services: roles, schemas, migrations, topics. Idempotent."""

from __future__ import annotations

import asyncio

import asyncpg

from shared import kafka, migrations
from shared.keys import database_password, init
from shared.settings import SERVICES, Settings


async def prepare(settings: Settings) -> None:
    """Everything the services expect to find. Raises what the database or broker refuse."""
    init(settings.secrets_dir)
    await _roles_and_schemas(settings)
    for service in SERVICES:
        await migrations.upgrade(service)
    await _grants(settings)
    await kafka.ensure_topics(settings)


async def _roles_and_schemas(settings: Settings) -> None:
    connection = await asyncpg.connect(settings.database_url)
    try:
        for service in SERVICES:
            role, password = f"sifang_{service}", database_password(settings, service)
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
                await connection.execute(f"CREATE ROLE {role} LOGIN")
            await connection.execute(f"ALTER ROLE {role} PASSWORD '{password}'")
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service}")
            await connection.execute(f"GRANT USAGE ON SCHEMA {service} TO {role}")
        await connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    finally:
        await connection.close()


async def _grants(settings: Settings) -> None:
    """A role may read and write its own schema's rows and nothing else: not even its tables' definitions."""
    connection = await asyncpg.connect(settings.database_url)
    try:
        for service in SERVICES:
            role = f"sifang_{service}"
            await connection.execute(
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {service} TO {role}"
            )
            await connection.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {service} TO {role}")
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(prepare(Settings()))
