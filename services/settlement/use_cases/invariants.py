"""The invariants (恒等式), watched all the time by jobs of their own, which share nothing with the code that books."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import perf_counter

from services.settlement.config import SettlementSettings
from services.settlement.store import chain as chain_store
from services.settlement.store import invariants as store
from services.settlement.store.invariants import Check, Invariant, Violation
from services.settlement.use_cases.parts import Settlement
from services.settlement.use_cases.proof import prove
from shared.clock import Clock
from shared.database import Connection
from shared.telemetry import Gauges

log = logging.getLogger(__name__)

RECENT, WHOLE = "recent", "whole"
FINDINGS_MAX = 100
"""Violations kept and logged by name; all are counted."""


async def check_recent(parts: Settlement, clock: Clock, gauges: Gauges) -> None:
    """Look at what was sealed since the last look, and once more at what was found violated then."""
    behind = True
    while behind:
        async with parts.database.transaction() as tx:
            if not await store.try_lock_checker(tx, RECENT):
                return
            check, behind = await _recent(tx, parts.settings, clock())
            await store.save(tx, check)
        _tell(check, gauges)


async def _recent(tx: Connection, settings: SettlementSettings, now: datetime) -> tuple[Check, bool]:
    started = perf_counter()
    before = (await store.checks(tx)).get(RECENT)
    after, suspects = (0, []) if before is None else (before.chain_no, before.findings)
    head = await chain_store.head(tx)
    until = min(head.chain_no, after + settings.invariants_batch_max)
    ids = {*(violation.subject for violation in suspects), *await store.ids_between(tx, after, until)}
    found = await store.violations(tx, sorted(ids)) + await store.unsealed(tx, settings.unsealed_max_s)
    return _check(RECENT, now, started, until, len(ids), found), until < head.chain_no


async def check_whole(parts: Settlement, clock: Clock, gauges: Gauges) -> None:
    """Look at everything there is, when the last such look is long enough ago."""
    now = clock()
    async with parts.database.transaction() as tx:
        last = (await store.checks(tx)).get(WHOLE)
        pause = timedelta(seconds=parts.settings.invariants_whole_every_s)
        if (last is not None and last.checked_at + pause > now) or not await store.try_lock_checker(tx, WHOLE):
            return
        check = await _whole(parts, tx, now)
        await store.save(tx, check)
    _tell(check, gauges)


async def _whole(parts: Settlement, tx: Connection, now: datetime) -> Check:
    started, looked_at, found = perf_counter(), 0, []
    head, step = await chain_store.head(tx), parts.settings.invariants_batch_max
    for after in range(0, head.chain_no, step):
        ids = await store.ids_between(tx, after, min(after + step, head.chain_no))
        looked_at += len(ids)
        found += await store.violations(tx, ids)
    found += await store.unsealed(tx, parts.settings.unsealed_max_s) + await store.outside_chain(tx)
    if not (await prove(parts)).holds:
        found.append(Violation(Invariant.WHOLE_IS_PROVEN, "GET /v1/proof", "says which identity does not hold"))
    return _check(WHOLE, now, started, head.chain_no, looked_at, found)


def _check(
    scope: str, now: datetime, started: float, chain_no: int, transactions: int, found: Sequence[Violation]
) -> Check:
    took_s = round(perf_counter() - started, 3)
    return Check(scope, now, took_s, chain_no, transactions, len(found), found[:FINDINGS_MAX])


def _tell(check: Check, gauges: Gauges) -> None:
    gauges.set(f"sifang.invariants.{check.scope}", check.violations)
    if check.violations:
        named = [f"{v.invariant} {v.subject}: {v.detail}" for v in check.findings]
        fields = {"scope": check.scope, "violations": check.violations, "findings": named}
        log.critical("invariants of the ledger are violated", extra={"fields": fields})
