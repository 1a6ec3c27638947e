"""Runs a service's Alembic migrations: own schema, own version table, owner's rights, service's role.

`python -m shared.migrations new SERVICE "message"` writes the next one from the difference between `tables.py` and
the database.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

from alembic import command
from alembic import context as alembic_context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.plumbing import TABLES
from shared.settings import SERVICES, Settings

ROOT = Path(__file__).resolve().parent.parent


def _config(service: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "services" / service / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["service"] = service
    return config


def metadata_of(service: str) -> MetaData:
    """The declared tables of a service."""
    metadata: MetaData = importlib.import_module(f"services.{service}.tables").METADATA
    return metadata


def environment() -> None:
    """What each service's `migrations/env.py` calls: run inside the connection given, or open one."""
    config = alembic_context.config
    connection: Connection | None = config.attributes.get("connection")
    if connection is not None:
        _run(connection, config.attributes["service"])
    else:
        asyncio.run(_with_engine(lambda c: _run(c, config.attributes["service"])))


def _run(connection: Connection, service: str) -> None:
    alembic_context.configure(
        connection=connection,
        target_metadata=metadata_of(service),
        version_table="schema_version",
        version_table_schema=service,
        include_schemas=True,
        include_name=lambda name, kind, _: name == service if kind == "schema" else True,
        include_object=lambda _o, name, kind, _r, _c: not (kind == "table" and name in (*TABLES, "schema_version")),
    )
    with alembic_context.begin_transaction():
        alembic_context.run_migrations()


async def _with_engine(work: Any) -> None:
    url = Settings().database_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(work)
    finally:
        await engine.dispose()


async def upgrade(service: str, revision: str = "head") -> None:
    """Bring a service's schema to a version, the newest unless told otherwise, in one transaction."""

    def work(connection: Connection) -> None:
        # Two processes preparing at once: the second waits, then finds nothing to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('sifang.migrations'))"))
        config = _config(service)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    await _with_engine(work)


def main(arguments: list[str]) -> None:
    """`new SERVICE MESSAGE`: write the next migration of a service."""
    match arguments:
        case ["new", service, message] if service in SERVICES:
            number = len(list((ROOT / "services" / service / "migrations" / "versions").glob("[0-9]*.py"))) + 1
            command.revision(_config(service), message=message, autogenerate=True, rev_id=f"{number:04d}")
        case _:
            sys.exit('usage: python -m shared.migrations new SERVICE "message"')


if __name__ == "__main__":
    main(sys.argv[1:])
