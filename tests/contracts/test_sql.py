"""Every query is one the real schema takes, under the role of the service that asks it.

Queries are constants, so that each can be prepared here: PostgreSQL then checks its grammar, its tables and columns,
its types, and at execution its rights. A query written in place, where this test would not see it, is refused too.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from types import ModuleType

import asyncpg
import pytest

from shared import inbox, outbox
from shared.database import Database
from shared.http import idempotency
from shared.settings import SERVICES, Settings

ROOT = Path(__file__).resolve().parents[2]
ASKING = {"fetch", "fetchrow", "fetchval", "execute", "executemany", "prepare", "cursor"}
_QUERY = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|MERGE|TRUNCATE|LOCK)\b")


def asked(text: str) -> Iterator[ast.expr]:
    """What a file's calls of the database ask: the first argument of each."""
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ASKING
            and node.args
        ):
            yield node.args[0]


def asked_by_name(text: str) -> list[str]:
    """The names of the queries a file asks."""
    return [query.id for query in asked(text) if isinstance(query, ast.Name)]


def in_place(text: str) -> list[int]:
    """The lines of calls that are given a query's text instead of its name."""
    return [
        query.lineno
        for query in asked(text)
        if isinstance(query, ast.JoinedStr | ast.BinOp)
        or (isinstance(query, ast.Constant) and _QUERY.match(str(query.value)))
    ]


def modules(service: str) -> Iterator[ModuleType]:
    """The service's store, all files of it."""
    store = importlib.import_module(f"services.{service}.store")
    yield store
    for found in pkgutil.walk_packages(getattr(store, "__path__", ()), f"{store.__name__}."):
        yield importlib.import_module(found.name)


def queries(module: ModuleType) -> Iterator[tuple[str, str]]:
    """(name, text) of every query a module keeps, in tables of queries too; a private one that is never asked is a part
    of others.
    """
    names = set(asked_by_name(inspect.getsource(module)))
    for name, value in vars(module).items():
        if not name.isupper() or (name.startswith("_") and name not in names):
            continue
        if isinstance(value, str) and _QUERY.match(value):
            yield f"{module.__name__}.{name}", value
        elif isinstance(value, Mapping):
            texts = [(key, text) for key, text in value.items() if isinstance(text, str) and _QUERY.match(text)]
            yield from ((f"{module.__name__}.{name}[{key}]", text) for key, text in texts)


PLUMBING = [query for module in (outbox, inbox, idempotency) for query in queries(module)]
QUERIES = [
    (service, name, text)
    for service in SERVICES
    for name, text in [*(query for module in modules(service) for query in queries(module)), *PLUMBING]
]


@pytest.fixture(scope="module")
async def databases(settings: Settings) -> AsyncIterator[Mapping[str, Database]]:
    """The database under each service's own role."""
    opened = {service: Database(settings, service) for service in SERVICES}
    for database in opened.values():
        await database.open()
    yield opened
    for database in opened.values():
        await database.close()


@pytest.mark.parametrize(("service", "name", "text"), QUERIES, ids=[f"{s} {n}" for s, n, _ in QUERIES])
async def test_is_a_query_of_the_real_schema(
    service: str, name: str, text: str, databases: Mapping[str, Database]
) -> None:
    async with databases[service].read() as reader:
        prepared = await reader.prepare(text)
        # Planning checks what preparing does not: the rights of the role on every table and column.
        holes = ", ".join(["NULL"] * len(prepared.get_parameters()))
        await reader.execute(f"PREPARE planned AS {text}")
        try:
            await reader.execute(f"EXPLAIN EXECUTE planned{f'({holes})' if holes else ''}")
        finally:
            await reader.execute("DEALLOCATE planned")


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_queries(service: str) -> None:
    """The test above would pass over a store whose queries it does not find."""
    assert [name for s, name, _ in QUERIES if s == service and ".store" in name]


async def test_a_query_beyond_the_schema_is_refused(databases: Mapping[str, Database]) -> None:
    async with databases["claims"].read() as reader:
        with pytest.raises(asyncpg.UndefinedColumnError):
            await reader.prepare("SELECT no_such_column FROM visit")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("EXPLAIN SELECT * FROM settlement.bill")


# Queries in place


def test_queries_stand_in_store_and_by_name() -> None:
    files = [f for s in SERVICES for f in (ROOT / "services" / s).rglob("*.py") if "migrations" not in f.parts]
    assert {str(file.relative_to(ROOT)): found for file in files if (found := in_place(file.read_text()))} == {}


def test_a_query_in_place_is_seen() -> None:
    assert in_place("async def f(tx):\n    await tx.fetch('SELECT 1')\n    await tx.fetch(ONE)\n") == [2]
    assert in_place("async def f(tx, x):\n    await tx.execute(f'SELECT {x}')\n") == [2]


def test_only_the_database_commits() -> None:
    """One request or batch is one transaction, and it ends in one place. `ON COMMIT DROP` ends none."""
    files = [*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]
    committing = {
        f.name for f in files if re.search(r"(?<!ON )\bCOMMIT\b|\.transaction\(\)\.start|\.rollback\(", f.read_text())
    }
    assert committing == set()
