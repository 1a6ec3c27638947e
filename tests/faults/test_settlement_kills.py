"""`kill -9` of settlement at random moments of whole months, from booking to the last payment, and two of it at once.

`SIFANG_TEST_SEED` repeats a run; a failing one names its seed.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest

from deploy.local.cluster import Cluster
from deploy.local.process import run_tool
from deploy.local.surroundings import ROOT
from shared.settings import Settings
from tests.conftest import TLS
from tests.faults.aftermath import Aftermath
from tests.faults.office import Office, OfficeMonth

SEED = int(os.environ.get("SIFANG_TEST_SEED", "20261122"))
KILLS = 8
"""Months are begun until settlement was killed so often; those that are begun are brought to their end."""

PAID_TWICE = """
    SELECT count(*) FROM settlement.payment p
    WHERE (SELECT count(*) FROM settlement.ledger_entry e WHERE e.transaction_id = p.payment_id
           AND e.account_kind = 'bank' AND e.book = p.payer) <> 1
"""
BANK = """
    SELECT coalesce(sum(amount_fen), 0)::bigint FROM settlement.ledger_entry WHERE book = $1 AND account_kind = 'bank'
"""
OPEN = "SELECT count(*) FROM settlement.settlement_case WHERE facility_code = ANY($1) AND state <> 'closed'"
BOOKED = "SELECT count(*) FROM settlement.bill WHERE facility_code = $1"
STEPS_TWICE = """
    SELECT count(*) FROM (
        SELECT FROM settlement.case_step JOIN settlement.settlement_case USING (case_id)
        WHERE step ~ '^(confirm|pay_hop|reconcile|close|propose)' AND facility_code = ANY($1)
        GROUP BY case_id, step, party HAVING count(*) > 1) AS twice
"""
UNSEALED = "SELECT count(*) FROM settlement.ledger_unsealed"
SEALED_AND_CHECKED = """
    SELECT coalesce((SELECT chain_no FROM settlement.invariant_check WHERE scope = 'recent'), 0)
        = (SELECT coalesce(max(chain_no), 0) FROM settlement.ledger_chain)
"""


@pytest.fixture
async def office(fragile: Cluster, fragile_settings: Settings) -> AsyncIterator[Office]:
    """Everybody's desk."""
    async with httpx.AsyncClient(timeout=20, trust_env=False, verify=TLS) as client:
        yield Office(fragile_settings, client, lambda: [fragile.url("settlement")], random.Random(SEED))


async def killed_at_random(cluster: Cluster, dice: random.Random) -> None:
    """Kill settlement again and again, shortly after its start and in the middle of work."""
    for _ in range(KILLS):
        await asyncio.sleep(dice.choice((dice.uniform(0.0, 0.3), dice.uniform(0.3, 2.5))))
        await asyncio.to_thread(cluster.kill_part, "settlement")
        await asyncio.to_thread(cluster.start_part, "settlement")


async def months_after_months(office: Office, killing: asyncio.Task[None], closed: list[OfficeMonth]) -> None:
    """One hospital's month after another."""
    while not killing.done():
        month = OfficeMonth(office)
        await month.close()
        closed.append(month)


async def test_settlement_killed_at_random_moments_of_its_months(
    fragile: Cluster, aftermath: Aftermath, office: Office
) -> None:
    """Nothing is lost, nothing is paid twice, and everything goes on by itself."""
    closed: list[OfficeMonth] = []
    async with named_seed():
        killing = asyncio.create_task(killed_at_random(fragile, random.Random(SEED + 1)))
        await asyncio.gather(*(months_after_months(office, killing, closed) for _ in range(5)), killing)
        assert len(closed) >= 5
        broken = office.answers.keys() & {"ReadError", "RemoteProtocolError", "ConnectError"}
        assert broken, f"no call was ever interrupted: {office.answers}"
        assert office.answers["500"] == 0
        await everything_holds(fragile, aftermath, office, closed)


async def test_two_processes_close_the_same_months(fragile: Cluster, aftermath: Aftermath, office: Office) -> None:
    """Calls go to either process, and one of the two is killed while it works."""
    other = await asyncio.to_thread(fragile.start_another, "settlement")
    port = fragile.process(other).program.environment["SIFANG_SETTLEMENT_PORT"]
    office.urls = lambda: [fragile.url("settlement"), f"http://127.0.0.1:{port}"]
    months = [OfficeMonth(office) for _ in range(4)]
    async with named_seed():
        closing = asyncio.gather(*(month.close() for month in months))
        await asyncio.sleep(office.dice.uniform(1, 3))
        await asyncio.to_thread(fragile.kill_part, other)
        office.urls = lambda: [fragile.url("settlement")]
        await closing
        await everything_holds(fragile, aftermath, office, months)


@asynccontextmanager
async def named_seed() -> AsyncIterator[None]:
    """Whatever fails in the block says how to repeat it."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"SIFANG_TEST_SEED={SEED}")
        raise


async def everything_holds(
    cluster: Cluster, aftermath: Aftermath, office: Office, months: Sequence[OfficeMonth]
) -> None:
    """Bills, payments, steps, proof, invariants and chain, once all that was booked is sealed and looked at."""
    codes = [month.hospital.code for month in months]
    async with aftermath.owner() as owner:
        until = time.monotonic() + 45
        while await owner.fetchval(UNSEALED) or not await owner.fetchval(SEALED_AND_CHECKED):
            assert time.monotonic() < until, "sealing or the invariants do not keep up"
            await asyncio.sleep(0.2)
        assert await owner.fetchval(OPEN, codes) == 0
        assert await owner.fetchval(PAID_TWICE) == 0
        assert await owner.fetchval(STEPS_TWICE, codes) == 0
        for month in months:
            assert await owner.fetchval(BOOKED, month.hospital.code) == len(month.bills)
            assert await owner.fetchval(BANK, month.hospital.code) == month.owed_fen
    assert (await aftermath.proof())["holds"]
    checks = await office.done("GET", "/v1/invariants", "operations")
    assert all(check["violations"] == 0 for check in checks["checks"]), checks
    environment = cluster.environment
    await asyncio.to_thread(
        run_tool, [sys.executable, "-m", "services.settlement.verify"], environment=environment, folder=ROOT
    )
