"""Settlements a second through HTTP, against pgbench on the same rows; latency under 70 % of the peak and alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from deploy.local.cluster import Cluster
from deploy.local.ports import HOST
from tests.bench import load, pgbench
from tests.bench.load import Outcome
from tests.bench.world import World

Figures = dict[str, float]
Say = Callable[[str], None]

CONNECTIONS = 64
BARE_S, PEAK_S, PACED_S = 6, 8, 8


async def measure(cluster: Cluster, world: World, say: Say) -> Figures:
    """The settle figures. Raises RuntimeError when an answer was not 201."""
    owner_url = cluster.environment["SIFANG_DATABASE_URL"]
    await pgbench.make_tables(owner_url)
    say("warming up")
    await _send(world, 600, connections=CONNECTIONS)
    say(f"pgbench, the same rows, {BARE_S} s")
    bare_per_s = pgbench.run(owner_url, BARE_S)
    trial = await _send(world, 1_500, connections=CONNECTIONS)
    say(f"settling as fast as answered, about {PEAK_S} s")
    peak = await _send(world, int(trial.per_s * PEAK_S), connections=CONNECTIONS)
    say(f"settling at 70 % of that, {PACED_S} s")
    pace = 0.7 * peak.per_s
    paced = await _send(world, int(pace * PACED_S), connections=CONNECTIONS, per_s=pace)
    say("one call at a time")
    lonely = await _send(world, 200, connections=1)
    return {
        "settle_per_s": round(peak.per_s, 1),
        "pgbench_per_s": round(bare_per_s, 1),
        "settle_ratio": round(peak.per_s / bare_per_s, 3),
        "settle_p99_ms": round(paced.percentile_ms(0.99), 1),
        "lonely_p50_ms": round(lonely.percentile_ms(0.50), 2),
    }


async def _send(world: World, count: int, *, connections: int, per_s: float | None = None) -> Outcome:
    requests = list(islice(world.settlements(count), count))
    outcome = await load.run(HOST, world.port, requests, connections=connections, per_s=per_s)
    if set(outcome.statuses) != {201}:
        raise RuntimeError(f"not everything was settled: {outcome.statuses} {outcome.unexpected[:500]!r}")
    return outcome
