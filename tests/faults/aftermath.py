"""What must hold when everything is over: every accepted bill in the books exactly once, and nothing else anywhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx

from deploy.local.cluster import Cluster
from shared.keys import TokenMaker
from shared.settings import SERVICES, Settings
from tests.conftest import TLS
from tests.faults.load import Load
from tests.services.claims.seeds import Owner

AMOUNTS = "settlement_id, total_fen, fund_fen, account_fen"
SETTLED = f"SELECT {AMOUNTS} FROM claims.settlement WHERE facility_code = $1 ORDER BY settlement_id"
BOOKED = f"SELECT {AMOUNTS} FROM settlement.bill WHERE facility_code = $1 ORDER BY settlement_id"
LEDGER = "SELECT coalesce(sum(amount_fen), 0)::bigint FROM settlement.ledger_entry"
UNBALANCED = """
    SELECT count(*) FROM (
        SELECT 1 FROM settlement.ledger_entry GROUP BY transaction_id, book HAVING sum(amount_fen) <> 0
    ) AS off
"""
COUNTERS_OFF = """
    SELECT count(*) FROM (
        SELECT s.person_id, changed.key AS counter, sum(changed.value::bigint) AS used
        FROM claims.settlement AS s JOIN claims.working AS w USING (settlement_id),
            jsonb_each_text(w.changes) AS changed
        WHERE NOT EXISTS (SELECT FROM claims.settlement AS r WHERE r.reverses_settlement_id = s.settlement_id)
        GROUP BY s.person_id, counter
    ) AS s FULL JOIN (
        SELECT b.person_id, kept.key AS counter, kept.value::bigint AS used
        FROM claims.year_book AS b, jsonb_each_text(b.used) AS kept
    ) AS b USING (person_id, counter)
    WHERE s.used IS DISTINCT FROM b.used
"""
"""Counters are what the standing settlements took, and nothing else."""
UNEXPLAINED = """
    SELECT count(*) FROM claims.settlement AS s LEFT JOIN claims.working AS w USING (settlement_id)
    WHERE (s.reverses_settlement_id IS NULL) <> (w.settlement_id IS NOT NULL)
"""
FUND_OFF = """
    SELECT count(*) FROM claims.settlement AS s JOIN claims.working AS w USING (settlement_id)
    WHERE s.facility_code = $1 AND s.reverses_settlement_id IS NULL AND s.fund_fen <> coalesce((
        SELECT sum(changed.value::bigint) FROM jsonb_each_text(w.changes) AS changed WHERE changed.key LIKE '%-fund@%'
    ), 0)
"""
"""The load's people are employees: each of their funds has a cap, whose counter grows by what it pays."""
WRITTEN = "SELECT count(*) FROM claims.visit WHERE facility_visit_no = ANY($1::text[])"


class Aftermath:
    """Looks at the database as its owner, and at settlement's own proof."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        self._cluster, self._settings = cluster, settings

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """A fresh connection: an older one may have died with the database."""
        connection = await asyncpg.connect(self._settings.database_url, timeout=10)
        try:
            yield connection
        finally:
            await connection.close()

    async def seed(self, people: int) -> tuple[str, Sequence[str]]:
        """A facility under agreement, and people insured, known to claims."""
        async with self.owner() as connection:
            owner = Owner(connection)
            return await owner.facility(level="1"), [await owner.person("411628", "310", "11") for _ in range(people)]

    async def drained(self, facility: str, within_s: float = 45) -> None:
        """Wait until no event waits and every settlement of a facility is booked; a killed consumer's share of the
        topic goes to the next one only when the broker has given it up, ten seconds later.
        """
        until = time.monotonic() + within_s
        while True:
            waiting = await self._waiting(facility)
            if not any(waiting.values()):
                return
            assert time.monotonic() < until, f"still on the way after {within_s} s: {waiting}"
            await asyncio.sleep(0.2)

    async def _waiting(self, facility: str) -> dict[str, int]:
        async with self.owner() as owner:
            waiting = {s: await owner.fetchval(f"SELECT count(*) FROM {s}.outbox") for s in SERVICES}
            settled = await owner.fetchval("SELECT count(*) FROM claims.settlement WHERE facility_code = $1", facility)
            booked = await owner.fetchval("SELECT count(*) FROM settlement.bill WHERE facility_code = $1", facility)
        return {**waiting, "to be booked": settled - booked}

    async def holds(self, load: Load) -> None:
        """Nothing lost, nothing twice, nothing left by what was refused; the same question gets the same answer."""
        assert load.unexpected == []
        await self.drained(load.facility)
        accepted = sorted(call.settlement["settlement_id"] for call in load.acknowledged)
        async with self.owner() as owner:
            settled = [tuple(row) for row in await owner.fetch(SETTLED, load.facility)]
            booked = [tuple(row) for row in await owner.fetch(BOOKED, load.facility)]
            assert [row[0] for row in settled] == accepted
            assert booked == settled
            assert await owner.fetchval(LEDGER) == 0
            assert await owner.fetchval(UNBALANCED) == 0
            assert await owner.fetchval(COUNTERS_OFF) == 0
            assert await owner.fetchval(UNEXPLAINED) == 0
            assert await owner.fetchval(FUND_OFF, load.facility) == 0
            assert await owner.fetchval(WRITTEN, load.refused) == 0
        assert (await self.proof())["holds"]
        await load.ask_again()
        async with self.owner() as owner:
            assert len(await owner.fetch(SETTLED, load.facility)) == len(accepted)

    async def proof(self) -> dict[str, Any]:
        """Settlement's own proof."""
        headers = {"Authorization": f"Bearer {TokenMaker(self._settings).make(role='operator', party='operations')}"}
        async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=30, verify=TLS) as client:
            answer = await client.get(f"{self._cluster.url('settlement')}/v1/proof")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found
