"""Discharge settlement while a month of a million bills is closed beside it: its rate and its p99, and both alone.

Moments of as many calls as are answered take turns with moments at an even pace of half of that, first alone, then
for as long as the month takes to close.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice
from statistics import median
from typing import NamedTuple

import httpx

from deploy.local.ports import HOST
from shared.keys import TokenMaker
from tests.bench import load, reconcile
from tests.bench.load import Outcome
from tests.bench.settle import CONNECTIONS, Figures, Say
from tests.bench.world import World

MOMENT_S = 2
ALONE_TURNS = 4
PACE = 0.5


class Kept(NamedTuple):
    """What was answered in turns of a moment each."""

    peaks: list[Outcome]
    paced: list[Outcome]

    @property
    def per_s(self) -> float:
        """Settlements a second in the middle one of the moments at full speed."""
        return median(outcome.per_s for outcome in self.peaks)

    @property
    def p99_ms(self) -> float:
        """The p99 of all moments at an even pace together."""
        latencies = [latency for outcome in self.paced for latency in outcome.latencies_s]
        return Outcome(latencies_s=latencies).percentile_ms(0.99)


async def measure(
    owner_url: str, settlement_url: str, world: World, tokens: TokenMaker, say: Say, bills: int
) -> Figures:
    """Rate and p99 alone and beside the closing. Raises RuntimeError when anything is refused."""
    async with httpx.AsyncClient(base_url=settlement_url, timeout=600, trust_env=False) as client:
        month = await reconcile.matched(owner_url, client, tokens, say, bills)
        say("warming up")
        await _send(world, 2_000)
        per_s = (await _send(world, 1_500)).per_s
        say("settling alone")
        turns = iter(range(ALONE_TURNS))
        alone = await _turns(world, per_s, lambda: next(turns, None) is not None)
        say("settling while the month is closed")
        closing = asyncio.create_task(month.closing.close(month.cases))
        beside = await _turns(world, alone.per_s, lambda: not closing.done())
        closed = await closing
    return {
        "bills": bills,
        "beside_close_s": closed["close_s"],
        "alone_per_s": round(alone.per_s, 1),
        "beside_per_s": round(beside.per_s, 1),
        "beside_ratio": round(beside.per_s / alone.per_s, 3),
        "alone_p99_ms": round(alone.p99_ms, 1),
        "beside_p99_ms": round(beside.p99_ms, 1),
        "beside_p99_ratio": round(beside.p99_ms / alone.p99_ms, 2),
    }


async def _turns(world: World, per_s: float, going_on: Callable[[], bool]) -> Kept:
    kept = Kept([], [])
    while going_on():
        kept.peaks.append(await _send(world, int(per_s * MOMENT_S)))
        kept.paced.append(await _send(world, int(PACE * per_s * MOMENT_S), PACE * per_s))
    return kept


async def _send(world: World, count: int, per_s: float | None = None) -> Outcome:
    requests = list(islice(world.settlements(count), count))
    outcome = await load.run(HOST, world.port, requests, connections=CONNECTIONS, per_s=per_s)
    if set(outcome.statuses) != {201}:
        raise RuntimeError(f"not everything was settled: {outcome.statuses} {outcome.unexpected[:500]!r}")
    return outcome
