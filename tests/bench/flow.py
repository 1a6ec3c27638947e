"""From accepted at HTTP to visible in the settlement books: a steady stream, and how far the books lag behind."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from itertools import islice
from time import perf_counter

import asyncpg

from deploy.local.ports import HOST
from tests.bench import load
from tests.bench.settle import CONNECTIONS, Figures, Say
from tests.bench.world import World

PER_S = 330
"""A little above the nation's average of 324 a second."""


async def measure(owner_url: str, world: World, say: Say, seconds: int) -> Figures:
    """Bills booked a second over the whole run, and the lag's p99 in milliseconds."""
    connection = await asyncpg.connect(owner_url)
    try:
        say("letting the books catch up")
        before = await _quiet(connection)
        say(f"{PER_S} bills a second for {seconds} s")
        return await _stream(connection, world, before, PER_S * seconds)
    finally:
        await connection.close()


async def _booked(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM settlement.bill"))


async def _quiet(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    """The bills in the books once every settlement is there. Raises TimeoutError after a minute."""
    settled = await connection.fetchval("SELECT count(*) FROM claims.settlement")
    for _ in range(300):
        if await _booked(connection) >= settled:
            return int(settled)
        await asyncio.sleep(0.2)
    raise TimeoutError("the books did not catch up within a minute")


async def _stream(connection: asyncpg.Connection[asyncpg.Record], world: World, before: int, count: int) -> Figures:
    requests = list(islice(world.settlements(count), count))
    started = perf_counter()
    sending = asyncio.create_task(load.run(HOST, world.port, requests, connections=CONNECTIONS, per_s=PER_S))
    seen: list[tuple[int, float]] = []
    async with asyncio.timeout(count / PER_S + 60):
        while not seen or seen[-1][0] < count:
            seen.append((await _booked(connection) - before, perf_counter()))
            await asyncio.sleep(0.05)
    outcome = await sending
    if set(outcome.statuses) != {201}:
        raise RuntimeError(f"not everything was settled: {outcome.statuses} {outcome.unexpected[:500]!r}")
    lags_s = sorted(_lags(sorted(outcome.finished_at), seen))
    return {
        "flow_per_s": round(count / (seen[-1][1] - started), 1),
        "flow_lag_p99_ms": round(lags_s[int(0.99 * (len(lags_s) - 1))] * 1000, 1),
    }


def _lags(accepted_at: list[float], seen: list[tuple[int, float]]) -> list[float]:
    """For the n-th bill accepted, how long until n bills were seen in the books; looked at every 50 ms."""
    counts = [count for count, _ in seen]
    return [max(0.0, seen[bisect_left(counts, n)][1] - at) for n, at in enumerate(accepted_at, 1)]
