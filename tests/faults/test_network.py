"""The network to database or broker refused, or silent, for a while: work pauses or goes on, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from deploy.local.cluster import Cluster
from tests.conftest import TLS
from tests.faults.aftermath import Aftermath
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
        "SIFANG_DATABASE_TIMEOUT_S": "1.5",
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
async def test_network_refused_and_silent(
    load: Load, database_way: Proxy, broker_way: Proxy, fragile: Cluster, aftermath: Aftermath
) -> None:
    """Refused one after the other, then both silent: connections stay open and nothing comes. Even then a call ends
    after twice the time the database is given (once for the query, once for taking leave of the connection).
    """
    async with load.at_work():
        await asyncio.sleep(1)
        database_way.refuse()
        assert await seen_away(load, "503", 2) > 0
        assert await readiness(load) == (503, 200), "not ready, but alive: nobody restarts it for that"
        database_way.allow()
        assert await seen_away(load, "201", 2) > 0, "the database is back and so is the work"
        broker_way.refuse()
        assert await seen_away(load, "201", 2) > 0, "bills are settled without a broker"
        broker_way.allow()
        await asyncio.sleep(1)
        database_way.silence()
        broker_way.silence()
        assert await seen_away(load, "503", 5) > 0
        database_way.allow()
        broker_way.allow()
        await asyncio.sleep(1)
    assert load.answers["500"] == 0
    # The usual processes take over: what was accepted behind the proxies is known to them.
    for service in ("claims", "settlement"):
        await asyncio.to_thread(fragile.start_part, service)
    load.urls = lambda: [fragile.url("claims")]
    await aftermath.holds(load)


async def readiness(load: Load) -> tuple[int, int]:
    """The status of ready and live."""
    async with httpx.AsyncClient(trust_env=False, timeout=30, verify=TLS) as client:
        ready, live = [await client.get(f"{load.urls()[0]}/health/{what}") for what in ("ready", "live")]
    assert ready.json()["database"] != "ok"
    assert ready.json()["broker"] == "ok"
    return ready.status_code, live.status_code
