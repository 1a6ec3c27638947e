"""The network to database or broker refused, or silent, for a while: work pauses or goes on, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from deploy.local.cluster import Cluster
from tests.faults.aftermath import Aftermath
from tests.faults.conftest import broken_while
from tests.faults.load import Load
from tests.faults.proxy import Proxy


@pytest.fixture(scope="module")
def database_way(fragile: Cluster) -> Iterator[Proxy]:
    """The way to the database."""
    with Proxy(fragile.ports["postgres"]) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def broker_way(fragile: Cluster) -> Iterator[Proxy]:
    """The way to the broker."""
    with Proxy(fragile.ports["kafka"], kafka=True) as proxy:
        yield proxy


@pytest.fixture
async def behind(fragile: Cluster, database_way: Proxy, broker_way: Proxy, load: Load) -> AsyncIterator[None]:
    """Claims and settlement run behind the proxies, and nowhere else."""
    database = urlsplit(fragile.environment["SIFANG_DATABASE_URL"])
    way = database.netloc.rpartition(":")[0] + f":{database_way.port}"
    extra = {
        "SIFANG_DATABASE_URL": urlunsplit(database._replace(netloc=way)),
        "SIFANG_KAFKA_BOOTSTRAP": f"127.0.0.1:{broker_way.port}",
        "SIFANG_DATABASE_TIMEOUT_S": "2",
    }
    names = []
    for service in ("claims", "settlement"):
        await asyncio.to_thread(fragile.stop_part, service)
        names.append(await asyncio.to_thread(fragile.start_another, service, extra))
    port = fragile.process(names[0]).program.environment["SIFANG_CLAIMS_PORT"]
    load.urls = lambda: [f"http://127.0.0.1:{port}"]
    yield
    database_way.allow()
    broker_way.allow()


async def seen_away(load: Load, code: str, seconds: float) -> int:
    """How many more answers of a kind came while it was so."""
    before = load.answers[code]
    await asyncio.sleep(seconds)
    return load.answers[code] - before


@pytest.mark.usefixtures("behind")
async def test_database_and_broker_refused_in_turn(
    load: Load, database_way: Proxy, broker_way: Proxy, fragile: Cluster, aftermath: Aftermath
) -> None:
    working = broken_while(load, 16)
    await asyncio.sleep(2)
    database_way.refuse()
    assert await seen_away(load, "503", 2) > 0
    database_way.allow()
    assert await seen_away(load, "201", 3) > 0, "the database is back and so is the work"
    broker_way.refuse()
    assert await seen_away(load, "201", 3) > 0, "bills are settled without a broker"
    broker_way.allow()
    await working
    assert load.answers["500"] == 0
    await _original(fragile, load)
    await aftermath.holds(load)


@pytest.mark.usefixtures("behind")
async def test_database_and_broker_silent_at_once(
    load: Load, database_way: Proxy, broker_way: Proxy, fragile: Cluster, aftermath: Aftermath
) -> None:
    """Connections stay open and nothing comes: a call ends after twice the time the database is given, at the latest
    (once for the query, once for taking leave of the connection).
    """
    working = broken_while(load, 14)
    await asyncio.sleep(2)
    database_way.silence()
    broker_way.silence()
    assert await seen_away(load, "503", 7) > 0
    database_way.allow()
    broker_way.allow()
    await working
    assert load.answers["500"] == 0
    await _original(fragile, load)
    await aftermath.holds(load)


async def _original(fragile: Cluster, load: Load) -> None:
    """The usual processes take over: what was accepted behind the proxies is known to them."""
    for service in ("claims", "settlement"):
        await asyncio.to_thread(fragile.start_part, service)
    load.urls = lambda: [fragile.url("claims")]
