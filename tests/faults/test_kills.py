"""`kill -9` of processes and parts under load: what was acknowledged is there, once, and nothing else is."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import psutil
import pytest

from deploy.local.cluster import Cluster
from tests.faults.aftermath import Aftermath
from tests.faults.load import Load

dice = random.Random(4711)


async def crash(cluster: Cluster, part: str, *, away_s: float = 0.0) -> None:
    """Kill a part, leave it dead for a while, and start it again."""
    await asyncio.to_thread(cluster.kill_part, part)
    await asyncio.sleep(away_s)
    await asyncio.to_thread(cluster.start_part, part)


async def test_a_bill_that_is_lost_or_left_over_would_be_seen(load: Load, aftermath: Aftermath) -> None:
    """What all tests here end with can fail: by a bill that is not there, and by one that nobody was told of."""
    await load.run(0.5)
    await aftermath.holds(load)
    *others, last = load.acknowledged
    load.acknowledged = others
    with pytest.raises(AssertionError):
        await aftermath.holds(load)
    lost = replace(last, settlement={**last.settlement, "settlement_id": "0" * 26})
    load.acknowledged = [*others, lost]
    with pytest.raises(AssertionError):
        await aftermath.holds(load)


async def test_services_killed_at_random_moments(fragile: Cluster, load: Load, aftermath: Aftermath) -> None:
    """All five, claims and settlement twice; the windows repeat what got no answer, with the same key."""
    async with load.at_work():
        for victim in ("claims", "settlement", "notification", "claims", "enrollment", "settlement", "designation"):
            await asyncio.sleep(dice.uniform(0.1, 1.0))
            await crash(fragile, victim)
    assert load.answers["ConnectError"] + load.answers["ReadError"] + load.answers["RemoteProtocolError"] > 0
    assert len(load.acknowledged) > 100
    await aftermath.holds(load)


async def test_the_broker_killed_and_restarted(fragile: Cluster, load: Load, aftermath: Aftermath) -> None:
    """Bills are settled all the while: their events wait in the outbox."""
    async with load.at_work():
        await asyncio.sleep(1)
        await asyncio.to_thread(fragile.kill_part, "kafka")
        before = len(load.acknowledged)
        await asyncio.sleep(2)
        assert len(load.acknowledged) - before > 20
        await asyncio.to_thread(fragile.start_part, "kafka")
        await asyncio.sleep(1)
    await aftermath.holds(load)


async def test_the_database_killed_and_restarted(fragile: Cluster, load: Load, aftermath: Aftermath) -> None:
    """What was answered before the crash is on the disk; until the database is back the answer is 503, never 500."""
    async with load.at_work():
        await asyncio.sleep(1)
        await crash(fragile, "postgres", away_s=1.5)
        await asyncio.sleep(1)
    assert load.answers["503"] > 0
    assert load.answers["500"] == 0
    await aftermath.holds(load)


async def test_two_processes_of_each_and_one_of_them_killed(fragile: Cluster, load: Load, aftermath: Aftermath) -> None:
    """Two relays and two consumers share the work; what a killed one held goes to the other."""
    claims = await asyncio.to_thread(fragile.start_another, "claims")
    settlement = await asyncio.to_thread(fragile.start_another, "settlement")
    port = fragile.process(claims).program.environment["SIFANG_CLAIMS_PORT"]
    load.urls = lambda: [fragile.url("claims"), f"http://127.0.0.1:{port}"]
    async with load.at_work():
        await asyncio.sleep(2)
        await asyncio.to_thread(fragile.kill_part, settlement)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(fragile.kill_part, claims)
        await asyncio.sleep(1)
    await aftermath.holds(load)


async def test_a_service_asked_to_stop_finishes_what_it_accepted(
    fragile: Cluster, load: Load, aftermath: Aftermath
) -> None:
    """SIGTERM under load: exit code 0, and not one accepted call without its answer."""
    pid = fragile.process("claims").pid
    assert pid is not None
    process = psutil.Process(pid)
    async with load.at_work():
        await asyncio.sleep(1)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
        await asyncio.to_thread(fragile.stop_part, "claims")
        await asyncio.to_thread(fragile.start_part, "claims")
        await asyncio.sleep(0.5)
    assert load.done_unanswered == [], "an accepted call lost its answer"
    await aftermath.holds(load)
