"""What `tables.py` declares is what the migrations made; what one service keeps, no other can read."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Column, Connection, Integer, MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable

from shared.database import Database
from shared.keys import database_password
from shared.migrations import metadata_of
from shared.plumbing import TABLES
from shared.settings import SERVICES, Settings

every_service = pytest.mark.parametrize("service", SERVICES)


@pytest.fixture
async def undone(settings: Settings) -> AsyncIterator[AsyncConnection]:
    """A connection of the owner whose transaction is rolled back."""
    url = settings.database_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        transaction = await connection.begin()
        yield connection
        await transaction.rollback()
    await engine.dispose()


def differences(connection: Connection, service: str, metadata: MetaData) -> list[Any]:
    """What a migration would still have to do, plumbing aside."""
    context = MigrationContext.configure(
        connection,
        opts={
            "include_schemas": True,
            "include_name": lambda name, kind, _: name == service if kind == "schema" else True,
            "include_object": lambda _o, name, kind, _r, _c: (
                not (kind == "table" and name in (*TABLES, "schema_version"))
            ),
        },
    )
    return list(compare_metadata(context, metadata))


@every_service
async def test_tables_are_as_declared(undone: AsyncConnection, service: str) -> None:
    assert await undone.run_sync(differences, service, metadata_of(service)) == []


async def test_a_column_that_is_only_declared_is_seen(undone: AsyncConnection) -> None:
    metadata = MetaData(schema="claims")
    for table in metadata_of("claims").tables.values():
        table.to_metadata(metadata)
    metadata.tables["claims.visit"].append_column(Column("ward", Integer))
    found = await undone.run_sync(differences, "claims", metadata)
    assert [(change[0], change[3].name) for change in found] == [("add_column", "ward")]


# Alembic does not compare CHECK constraints, so they are compared as PostgreSQL itself writes them down.

CHECKS = """
    SELECT c.conrelid::regclass::text AS relation, c.conname AS name, pg_get_constraintdef(c.oid) AS definition
    FROM pg_constraint AS c JOIN pg_namespace AS n ON n.oid = c.connamespace
    WHERE c.contype = 'c' AND n.nspname = '{schema}'
"""


async def checks(connection: AsyncConnection, schema: str) -> dict[tuple[str, str], str]:
    """The CHECK constraints of a schema by table and name."""
    rows = await connection.exec_driver_sql(CHECKS.format(schema=schema))
    return {
        (r.relation.rpartition(".")[2], r.name): r.definition
        for r in rows
        if r.relation.rpartition(".")[2] not in TABLES
    }


async def declared_checks(connection: AsyncConnection, metadata: MetaData) -> dict[tuple[str, str], str]:
    """The CHECK constraints as PostgreSQL takes them from the declaration, in a schema made for the moment."""
    await connection.exec_driver_sql("CREATE SCHEMA declared")
    declared = MetaData()
    for table in metadata.tables.values():
        copy = table.to_metadata(declared, schema="declared", referred_schema_fn=lambda *_: "declared")
        for constraint in [c for c in copy.constraints if not isinstance(c, CheckConstraint)]:
            copy.constraints.discard(constraint)
        await connection.execute(CreateTable(copy))
    return await checks(connection, "declared")


@every_service
async def test_checks_are_as_declared(undone: AsyncConnection, service: str) -> None:
    migrated = await checks(undone, service)
    assert await declared_checks(undone, metadata_of(service)) == migrated
    assert migrated


async def test_a_check_that_is_only_declared_is_seen(undone: AsyncConnection) -> None:
    metadata = MetaData(schema="claims")
    for table in metadata_of("claims").tables.values():
        table.to_metadata(metadata)
    metadata.tables["claims.visit"].append_constraint(CheckConstraint("began_at > '2000-01-01'", name="visit_recent"))
    assert await declared_checks(undone, metadata) != await checks(undone, "claims")


@every_service
def test_tables_have_no_behaviour(service: str) -> None:
    module = importlib.import_module(f"services.{service}.tables")
    below = pkgutil.iter_modules(getattr(module, "__path__", ()), f"{module.__name__}.")
    modules = [module, *(importlib.import_module(found.name) for found in below)]
    kinds = [k for m in modules for k in vars(m).values() if isinstance(k, type) and hasattr(k, "__table__")]
    assert {k.__table__.schema for k in kinds if isinstance(k.__table__, Table)} == {service}
    own = [n for k in kinds for n, v in vars(k).items() if callable(v) and v.__class__.__name__ == "function"]
    assert [name for name in own if not name.startswith("__")] == []


# One schema, one role


@pytest.fixture
async def as_role(settings: Settings) -> AsyncIterator[dict[str, asyncpg.Connection[Any]]]:
    """A connection of every service's role."""
    opened = {s: await asyncpg.connect(Database(settings, s).url) for s in SERVICES}
    yield opened
    for connection in opened.values():
        await connection.close()


async def tables(connection: asyncpg.Connection[Any], schema: str) -> list[str]:
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
    return [row["tablename"] for row in rows]


@every_service
async def test_a_role_reads_its_own_schema_and_no_other(
    service: str, as_role: dict[str, asyncpg.Connection[Any]]
) -> None:
    own = as_role[service]
    for schema in SERVICES:
        for table in await tables(own, schema):
            if schema == service:
                await own.execute(f"SELECT FROM {schema}.{table} LIMIT 1")
                continue
            for statement in (f"SELECT FROM {schema}.{table}", f"DELETE FROM {schema}.{table}"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await own.execute(statement)


@every_service
async def test_a_role_changes_no_definition(service: str, as_role: dict[str, asyncpg.Connection[Any]]) -> None:
    statements = [
        f"CREATE TABLE {service}.mine (x int)",
        f"ALTER TABLE {service}.outbox ADD COLUMN x int",
        f"DROP TABLE {service}.inbox",
        f"ALTER TABLE {service}.outbox DISABLE TRIGGER outbox_wake",
        "CREATE SCHEMA mine",
        "CREATE TABLE public.mine (x int)",
        "SET ROLE sifang",
    ]
    for statement in statements:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_role[service].execute(statement)


@every_service
async def test_no_service_logs_in_as_another(service: str, settings: Settings) -> None:
    others = [s for s in (*SERVICES, "") if s != service]
    for other in others:
        url = settings.role_url(service, database_password(settings, other) if other else "")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url)
