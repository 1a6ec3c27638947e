"""`kill -9` of settlement in the middle of every kind of work of whole months, from booking to the last payment.

And two of it at once, at the same months and the same bank.

`SIFANG_TEST_SEED` repeats a run; a failing one names its seed.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from deploy.local.bank import REJECTED, Bank, read
from deploy.local.cluster import Cluster
from deploy.local.process import run_tool
from deploy.local.surroundings import ROOT
from shared.settings import Settings
from shared.workdays import shanghai_day
from tests.conftest import TLS
from tests.faults.aftermath import Aftermath
from tests.faults.office import Office, OfficeMonth

SEED = int(os.environ.get("SIFANG_TEST_SEED", "20261122"))
EARLY = ("files", "agency-statements", "confirmations")
LATE = ("clearing-cycles", "orders", "outbox", "inbox", "anything")
"""In the middle of which call settlement is killed, or while which folder of the bank holds a file: in random order.

Months are begun until that is done; those that are begun are brought to their end. Reminders, escalations, sealing and
the invariants go on all the time, and die with each of them.
"""
LOOKS = 2000
"""How often it is looked for what is aimed at, each two milliseconds; then it is whatever goes on."""

TERMS = """
    INSERT INTO settlement.region_terms (region, valid_from, reason, state, proposed_by, proposed_at, decided_by,
        decided_at, netting, payment_way)
    VALUES ('411600', '2026-01-01', 'test', 'approved', 'a', now(), 'b', now(), 'multilateral', 'bank'),
        ('411603', '2026-01-01', 'test', 'approved', 'a', now(), 'b', now(), 'gross', 'recorded')
"""
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
SENT = "SELECT order_id FROM settlement.payment_order WHERE batch_id IS NOT NULL"
PAID_OTHERWISE = """
    SELECT root_order_id, max(debt_fen), sum(paid_fen) FROM settlement.payment_order WHERE by_bank
    GROUP BY root_order_id HAVING max(debt_fen) <> sum(paid_fen)
"""
UNSEALED = "SELECT count(*) FROM settlement.ledger_unsealed"
SEALED_AND_CHECKED = """
    SELECT coalesce((SELECT chain_no FROM settlement.invariant_check WHERE scope = 'recent'), 0)
        = (SELECT coalesce(max(chain_no), 0) FROM settlement.ledger_chain)
"""


@pytest.fixture
async def office(fragile: Cluster, fragile_settings: Settings, aftermath: Aftermath) -> AsyncIterator[Office]:
    """Everybody's desk."""
    async with aftermath.owner() as owner:
        await owner.execute(TERMS)
    async with httpx.AsyncClient(timeout=20, trust_env=False, verify=TLS) as client:
        made = Office(fragile_settings, client, lambda: [fragile.url("settlement")], random.Random(SEED))
        await made.open_accounts()
        yield made


async def killed_in_the_middle(cluster: Cluster, office: Office, dice: random.Random) -> list[str]:
    """Kill settlement again and again, each time while it does something else; what was met in the middle."""
    folder, met = cluster.folders.data / "bank", []
    for aim in (*dice.sample(EARLY, len(EARLY)), *dice.sample(LATE, len(LATE))):
        for _ in range(LOOKS):
            if _goes_on(office, folder, aim):
                met.append(aim)
                break
            await asyncio.sleep(0.002)
        await asyncio.sleep(dice.choice((0.0, dice.uniform(0.0, 0.05))))
        await asyncio.to_thread(cluster.kill_part, "settlement")
        await asyncio.to_thread(cluster.start_part, "settlement")
    return met


def _goes_on(office: Office, folder: Path, aim: str) -> bool:
    if aim in ("outbox", "inbox"):
        place = folder / aim
        return place.is_dir() and any(True for _ in place.iterdir())
    return aim == "anything" or office.doing[aim] > 0


@asynccontextmanager
async def bank_at_work(cluster: Cluster) -> AsyncIterator[Path]:
    """A bank that answers payment files all the time, and rejects some orders; its folder."""
    folder = cluster.folders.data / "bank"
    bank = Bank(folder, shanghai_day(datetime.now(UTC)), {REJECTED: 10})
    done = asyncio.Event()

    async def work() -> None:
        while not done.is_set():
            await asyncio.to_thread(bank.answer)
            await asyncio.sleep(0.1)

    working = asyncio.create_task(work())
    try:
        yield folder
    finally:
        done.set()
        await working


async def months_after_months(office: Office, killing: asyncio.Task[list[str]], closed: list[OfficeMonth]) -> None:
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
    async with named_seed(), bank_at_work(fragile) as folder:
        killing = asyncio.create_task(killed_in_the_middle(fragile, office, random.Random(SEED + 1)))
        await asyncio.gather(*(months_after_months(office, killing, closed) for _ in range(4)), killing)
        assert len(closed) >= 4
        assert len(killing.result()) >= 3, "hardly anything that was aimed at was met"
        broken = office.answers.keys() & {"ReadError", "RemoteProtocolError", "ConnectError"}
        assert broken, f"no call was ever interrupted: {office.answers}"
        assert office.answers["500"] == 0
        await everything_holds(fragile, aftermath, office, closed, folder)


async def test_two_processes_close_the_same_months(fragile: Cluster, aftermath: Aftermath, office: Office) -> None:
    """Calls go to either process, and one of the two is killed while it works."""
    other = await asyncio.to_thread(fragile.start_another, "settlement")
    port = fragile.process(other).program.environment["SIFANG_SETTLEMENT_PORT"]
    office.urls = lambda: [fragile.url("settlement"), f"http://127.0.0.1:{port}"]
    months = [OfficeMonth(office) for _ in range(4)]
    async with named_seed(), bank_at_work(fragile) as folder:
        closing = asyncio.gather(*(month.close() for month in months))
        await asyncio.sleep(office.dice.uniform(1, 3))
        await asyncio.to_thread(fragile.kill_part, other)
        office.urls = lambda: [fragile.url("settlement")]
        await closing
        await everything_holds(fragile, aftermath, office, months, folder)


@asynccontextmanager
async def named_seed() -> AsyncIterator[None]:
    """Whatever fails in the block says how to repeat it."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"SIFANG_TEST_SEED={SEED}")
        raise


def _payment_files(bank: Path) -> list[Path]:
    return [file for place in ("outbox", "sent") for file in (bank / place).glob("[!.]*.xml")]


async def everything_holds(
    cluster: Cluster, aftermath: Aftermath, office: Office, months: Sequence[OfficeMonth], bank: Path
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
        asked = Counter(t.end_to_end_id for file in _payment_files(bank) for t in read(file.read_bytes()).transfers)
        assert set(asked.values()) == {1}, "an order was sent twice, or none ever"
        assert {row["order_id"] for row in await owner.fetch(SENT)} == asked.keys()
        assert [tuple(row) for row in await owner.fetch(PAID_OTHERWISE)] == []
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
